"""What a writer pays for the journal: the same statements with triggers and without, on both databases.

python -m benchmarks.writers [--quick]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import bench
from tests import services


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

    return {"one row a transaction": one_by_one, f"{len(pks)} rows a statement": all_at_once}


def measure(count: int, rounds: int) -> dict[str, Any]:
    import django

    django.setup()
    from django.core.management import call_command

    found: dict[str, dict[str, list[float]]] = {}
    for _ in range(rounds):
        for kind in ("remove", "install"):
            call_command("journal", kind, stdout=open("/dev/null", "w"))  # noqa: SIM115 - ends with the process
            for name, write in statements(count).items():
                begun = time.perf_counter()
                rows = write()
                micro = 1e6 * (time.perf_counter() - begun) / rows
                found.setdefault(name, {}).setdefault(kind, []).append(micro)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--measure", nargs=2, metavar=("COUNT", "ROUNDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(*map(int, options.measure))))
        return
    table = []
    with services.running(services.Postgres()) as postgres:
        for name, environment in (("SQLite", {}), ("PostgreSQL", {"DATABASE_URL": postgres.url})):
            with bench.place(**environment) as env:
                bench.manage(env, "demo", "--devices", "900")
                words = ("300", "3") if options.quick else ("1000", "7")
                command = [sys.executable, "-m", "benchmarks.writers", "--measure", *words]
                done = subprocess.run(command, cwd=bench.ROOT, env=env, stdout=subprocess.PIPE, check=True, timeout=500)
            for what, figures in json.loads(done.stdout).items():
                bare = bench.spread(figures["remove"])["median"]
                live = bench.spread(figures["install"])["median"]
                table.append(
                    {
                        "database": name,
                        "statement": what,
                        "without, µs a row": f"{bare:.1f}",
                        "with the journal": f"{live:.1f}",
                        "costs": f"{live - bare:+.1f}",
                    }
                )
    print(f"{bench.conditions()}\n\n{bench.table(table)}")


if __name__ == "__main__":
    main()
