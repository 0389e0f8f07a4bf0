"""A program beside the servers that saves again and again and notes how long each save took:

python -m tests.recovery.scribe NAME SECONDS
"""

from __future__ import annotations

import json
import sys
import time

import django

PAUSE = 0.1


def main(name: str, seconds: float) -> None:
    django.setup()
    from devices.models import Location

    place = Location.objects.get(name=name)
    took: list[float] = []
    errors: list[str] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        place.icon = f"n{len(took)}"
        began = time.monotonic()
        try:
            place.save()
        except Exception as error:
            errors.append(repr(error))
        took.append(time.monotonic() - began)
        time.sleep(PAUSE)
    place.refresh_from_db()
    print(json.dumps({"took": took, "errors": errors, "kept": place.icon == f"n{len(took) - 1}"}))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
