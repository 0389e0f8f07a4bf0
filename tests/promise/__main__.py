"""The promise among faults: `python -m tests.promise --pair postgresql+redis --faults 100 --seed 7`.

Every screen must equal the database within two seconds of the end of each fault, with nothing lost, phantom, backwards,
leaked or twice. A seed decides which faults come when; the report is written as it goes. Ends with 1 if anything was
found.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.promise.report import Report
    from tests.promise.schedule import Planned


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m tests.promise", description=__doc__.split("\n\n")[1])
    from tests.promise.site import PAIRS

    parser.add_argument("--pair", default="all", choices=[*PAIRS, "all"])
    parser.add_argument("--faults", type=int, default=100, help="at least so many for each pair (%(default)s)")
    parser.add_argument("--each", type=int, default=8, help="at least so many of each kind (%(default)s)")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--kind", action="append", help="only faults of this kind; may be given again")
    parser.add_argument("--from", dest="first", type=int, default=0, metavar="N", help="begin at number N")
    parser.add_argument("--list", action="store_true", help="show the schedule and end")
    parser.add_argument("--report", type=Path, default=Path("var/promise"), help="directory (%(default)s)")
    parser.add_argument(
        "--lock", type=Path, help="share this file's lock during each fault: others may measure between"
    )
    return parser.parse_args(words)


@contextlib.contextmanager
def shared(path: Path | None) -> Iterator[None]:
    if path is None:
        yield
        return
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def main(words: list[str]) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
    import django

    django.setup()
    # Whoever ends the run ends what it started too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    from tests.promise.report import Report
    from tests.promise.schedule import schedule
    from tests.promise.site import PAIRS

    chosen = arguments(words)
    found = 0
    for pair in PAIRS if chosen.pair == "all" else (chosen.pair,):
        planned = schedule(pair, chosen.seed, chosen.faults, chosen.each)
        planned = [one for one in planned if one.number >= chosen.first and (chosen.kind or [one.kind]).count(one.kind)]
        if chosen.list:
            print(f"{pair}, seed {chosen.seed}:", *planned, sep="\n")
            continue
        report = Report(chosen.report, pair, chosen.seed, len(planned))
        print(f"{pair}: {len(planned)} faults, seed {chosen.seed}; {report.path}", flush=True)
        while planned:
            planned = _some(pair, chosen, planned, report)
        found += sum(report.found().values())
        print(report.text().partition("\n## ")[0], flush=True)
    return 1 if found else 0


def _some(pair: str, chosen: argparse.Namespace, planned: list[Planned], report: Report) -> list[Planned]:
    """Fault after fault, until one leaves the site in a state in which no other can be judged; what is left."""
    from tests.promise.trial import trials

    with trials(pair, chosen.seed) as running:
        for place, one in enumerate(planned):
            print(f"{one}", end="", flush=True)
            with shared(chosen.lock):
                verdict, goes_on = running.run(one)
            report.add(verdict)
            slowest = "never" if verdict.slowest is None else f"{verdict.slowest:.2f} s"
            print(f" [{verdict.detail}] equal after {slowest}", flush=True)
            for finding in verdict.findings:
                print(f"      {finding}", flush=True)
            if not goes_on:
                print("      a new site for the others", flush=True)
                return planned[place + 1 :]
    return []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
