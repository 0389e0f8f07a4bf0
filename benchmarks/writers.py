"""What a writer pays for the journal: the same statements with triggers and without, in turns, on both databases."""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from benchmarks import machine, place
from benchmarks.scenario import Figures, Measure, Scenario, surroundings

DATABASES = ("sqlite", "postgresql")
DEVICES = 900
LIMIT = 120.0


class Writers(Scenario):
    key = "writers"
    title = "what a writer pays for the journal"
    records = ("writer",)

    def servers(self) -> Sequence[str]:
        return DATABASES

    def seconds(self, server: str) -> float:
        return 4

    @contextlib.contextmanager
    def open(self, servers: Sequence[str], quick: bool) -> Iterator[Measure]:
        with ExitStack() as stack:
            places: dict[str, dict[str, str]] = {}
            for server in servers:
                grown = server == DATABASES[1]
                places[server], _ = stack.enter_context(surroundings(postgres=grown, redis=False))
                place.manage(places[server], "demo", "--devices", str(DEVICES))

            def ask(server: str) -> Figures:
                command = [sys.executable, "-m", "benchmarks.writers", "150" if quick else "500"]
                env = places[server]
                with machine.on(machine.LOAD_CORES):
                    done = subprocess.run(
                        command, cwd=place.ROOT, env=env, stdout=subprocess.PIPE, check=True, timeout=LIMIT
                    )
                return {"writer": json.loads(done.stdout)}

            yield ask


def statements(count: int) -> dict[str, Callable[[], int]]:
    """Name → something that changes rows of the model Device and returns how many."""
    from django.db.models import F

    from devices.models import Device

    pks = list(Device.objects.values_list("pk", flat=True))

    def one_by_one() -> int:
        for number in range(count):
            Device.objects.filter(pk=pks[number % len(pks)]).update(detail=str(time.perf_counter()))
        return count

    def all_at_once() -> int:
        return Device.objects.update(desired_version=F("desired_version") + 1)

    return {"row": one_by_one, "statement": all_at_once}


def main() -> None:
    """Microseconds a row, bare and with the journal."""
    import django

    django.setup()
    from django.core.management import call_command

    found: dict[str, float] = {}
    for kind, word in (("remove", "bare"), ("install", "journal")):
        call_command("journal", kind, stdout=io.StringIO())
        for name, write in statements(int(sys.argv[1])).items():
            begun = time.perf_counter()
            rows = write()
            found[f"{word} {name}"] = 1e6 * (time.perf_counter() - begun) / rows
    print(json.dumps(found))


if __name__ == "__main__":
    main()
