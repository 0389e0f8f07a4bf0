"""From `save()` in one process to the change in a client of another, beside the time of the same commit; and how many
changes of one statement arrive in a second."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from benchmarks import machine, place
from benchmarks.machine import SERVER_CORES
from benchmarks.scenario import Figures, Measure, Scenario, surroundings

DATABASES = ("sqlite+memory", "postgresql+redis")
DEVICES = 900
LIMIT = 120.0


class Save(Scenario):
    key = "save"
    title = "from save() to a client"
    records = ("save", "relay")

    def servers(self) -> Sequence[str]:
        return DATABASES

    def seconds(self, server: str) -> float:
        return 9

    @contextlib.contextmanager
    def open(self, servers: Sequence[str], quick: bool) -> Iterator[Measure]:
        with ExitStack() as stack:
            places: dict[str, dict[str, str]] = {}
            for server in servers:
                grown = server == DATABASES[1]
                env, key = stack.enter_context(surroundings(postgres=grown, redis=grown))
                place.manage(env, "demo", "--devices", str(DEVICES))
                places[server] = {**env, "BENCHMARK_TOKEN": key}

            def ask(server: str) -> Figures:
                env = places[server]
                # One server at a time: a relay that has nothing to do glances at its database a hundred times a second.
                with place.marshlight(env, "--no-services", cores=SERVER_CORES) as (_, port):
                    return saver(env, str(port), *(("30", "1") if quick else ("150", "3")))

            yield ask


def saver(env: dict[str, str], *words: str) -> Figures:
    with machine.on(machine.LOAD_CORES):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.saver", *words],
            cwd=place.ROOT,
            env=env,
            stdout=subprocess.PIPE,
            check=True,
            timeout=LIMIT,
        )
    found: Figures = json.loads(done.stdout)
    return found
