"""Measures Marshlight beside its peers, in turns, and writes figures, tables and plots.

python -m benchmarks                 everything; results are written as they come
python -m benchmarks --quick         a first look: one turn, short
python -m benchmarks --resume        goes on where a run was interrupted
python -m benchmarks report          tables and plots from the results, without measuring
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import environment, machine, report
from benchmarks.registry import SCENARIOS
from benchmarks.results import PLACE, Results
from benchmarks.scenario import Scenario

TURNS = 7


@dataclass(frozen=True)
class Step:
    scenario: Scenario
    server: str
    turn: int


class Progress:
    """What is done and about how long the rest takes: the expected seconds, corrected by those that passed."""

    def __init__(self, steps: list[Step]) -> None:
        self.left = steps
        self.began = time.monotonic()
        self.expected = 0.0
        self.whole = len(steps)

    def say(self, step: Step) -> None:
        passed = time.monotonic() - self.began
        factor = passed / self.expected if self.expected > 30 else 1.0
        rest = sum(one.scenario.seconds(one.server) for one in self.left) * factor
        print(
            f"[{self.whole - len(self.left) + 1}/{self.whole}, {rest / 60:.0f} min left] "
            f"{step.scenario.key}, turn {step.turn + 1}: {step.server}",
            file=sys.stderr,
            flush=True,
        )

    def done(self, step: Step) -> None:
        self.left.remove(step)
        self.expected += step.scenario.seconds(step.server)


def steps(scenario: Scenario, chosen: set[str] | None, turns: int, results: Results) -> Iterator[Step]:
    """Turn by turn, each turn begins with another server."""
    servers = [server for server in scenario.servers() if chosen is None or server in chosen]
    for turn in range(turns):
        for place in range(len(servers)):
            server = servers[(place + turn) % len(servers)]
            missing = not all(results.has(record, server, turn) for record in scenario.records_of(server))
            if missing and turn < scenario.turns(server, turns):
                yield Step(scenario, server, turn)


def measure(plan: list[Step], results: Results, quick: bool) -> list[str]:
    """Everything planned; what failed is recorded and told, and the rest goes on."""
    failures = []
    progress = Progress(list(plan))
    for scenario in dict.fromkeys(step.scenario for step in plan):
        own = [step for step in plan if step.scenario is scenario]
        with scenario.open(list(dict.fromkeys(step.server for step in own)), quick) as ask:
            for step in own:
                progress.say(step)
                try:
                    for record, figures in ask(step.server).items():
                        results.add(record, step.server, step.turn, **figures)
                except Exception as error:
                    failures.append(f"{scenario.key}, {step.server}: {error!r}")
                    print(failures[-1], *getattr(error, "__notes__", []), sep="\n", file=sys.stderr, flush=True)
                    for record in scenario.records_of(step.server):
                        results.add(record, step.server, step.turn, failed=repr(error)[:500])
                progress.done(step)
    return failures


def main() -> int:
    keys = [scenario.key for scenario in SCENARIOS]
    servers = list(dict.fromkeys(server for scenario in SCENARIOS for server in scenario.servers()))
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="servers: " + "; ".join(servers),
    )
    parser.add_argument("what", nargs="?", choices=["measure", "report"], default="measure")
    parser.add_argument("--only", metavar="A,B", help=f"of {', '.join(keys)}")
    parser.add_argument("--servers", metavar="A,B", help="only these")
    parser.add_argument("--alternations", type=int, metavar="N", default=TURNS, help=f"turns of each server ({TURNS})")
    parser.add_argument("--quick", action="store_true", help="one short turn, in a file of its own")
    parser.add_argument("--resume", action="store_true", help="keep what the file has, measure the rest")
    parser.add_argument("--results", type=Path, help="the file (var/benchmarks/full.json or quick.json)")
    parser.add_argument("--page", type=Path, help="report fills this page and its pictures (docs/benchmarks.md)")
    options = parser.parse_args()
    path = options.results or PLACE / ("quick.json" if options.quick else "full.json")
    only = set(options.only.split(",")) if options.only else set(keys)
    if unknown := only - set(keys):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    results = Results(path, resume=options.resume or options.what == "report")
    failures: list[str] = []
    if options.what == "measure":
        machine.many_files()
        environment.make()
        chosen = set(options.servers.split(",")) if options.servers else None
        turns = 1 if options.quick else options.alternations
        plan = [
            step for scenario in SCENARIOS if scenario.key in only for step in steps(scenario, chosen, turns, results)
        ]
        failures = measure(plan, results, options.quick)
    report.write(results, options.page or (report.PAGE if options.what == "report" else None))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
