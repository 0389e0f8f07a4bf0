"""Publishes changes of the model `device` on Marshlight's real bus, as the relay does; each of an object of its own.

A process with Django in it, which obeys lines of JSON like the peers' own publishers.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import django

from benchmarks.dialects import thing

# Away from the objects of the database; their revisions stay below its own, or the relay would think it restored.
BEYOND = 1_000_000
REVISION = 1


def main() -> None:
    django.setup()
    from devices.models import Device
    from realtime import journal
    from realtime.bus import Publication, get_bus
    from realtime.change import Change, encode
    from realtime.models import published
    from realtime.values import wire_values

    state = wire_values(Device.objects.all()[0], published()[Device].columns)
    bus = get_bus()
    bus.identity = journal.identity()
    # Keys of their own over all measurements: no change is ever "not newer", none is merged with another.
    last = BEYOND * int(time.monotonic())
    for line in sys.stdin:
        words: dict[str, Any] = json.loads(line)
        batch = []
        for number in words["numbers"]:
            last += 1
            room = str(number % words["rooms"]) if words["rooms"] else words["room"]
            now = state | {"location": int(room)} if words["rooms"] else state
            data = thing(number, time.monotonic(), room)
            item = Change("device", str(last), REVISION, "updated", data, now, (now,), number, "device")
            batch.append(Publication("device", str(last), REVISION, encode(item)))
        bus.publish(batch)
        print("sent", flush=True)


if __name__ == "__main__":
    main()
