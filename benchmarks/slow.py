"""Ten of a thousand stop reading, while the others are sent 60 KiB a time; the next change when all the others have the
last one."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

from benchmarks.dialects import WIDE, WIDTH
from benchmarks.machine import cpu_seconds, resident
from benchmarks.receivers import Broken, crowd
from benchmarks.scenario import Figures, Measure, Scenario, surroundings
from benchmarks.servers import OURS, PACE, Running, started

RECEIVERS = 1000
QUIET = 10
# 60 KiB each: more than the kernel's buffers and an outbox of 1 MiB hold.
CHANGES = 120
SECONDS = 6.0


class SlowReaders(Scenario):
    key = "slow"
    title = "ten of a thousand stop reading"
    records = ("slow readers",)

    def servers(self) -> Sequence[str]:
        return [server for server in PACE if server != "limit"]

    def seconds(self, server: str) -> float:
        return 8

    @contextlib.contextmanager
    def open(self, servers: Sequence[str], quick: bool) -> Iterator[Measure]:
        with surroundings() as (env, key):

            def ask(server: str) -> Figures:
                with started(server, env["REDIS_URL"], env, key, *OPTIONS.get(server, ())) as at:
                    return {"slow readers": measure(at, SECONDS / 3 if quick else SECONDS)}

            yield ask


OPTIONS = {OURS: ("--no-services",)}


def measure(at: Running, seconds: float) -> dict[str, float | int | list[int]]:
    """As many changes as there is time for; all of them must reach all others."""
    with crowd(at.port, at.dialect, at.header) as receivers:
        receivers.ask("connect", count=RECEIVERS, room=WIDE, quiet=QUIET)
        at.publisher.publish([1], room=WIDE)
        receivers.ask("receive", until=1, seconds=seconds)
        receivers.ask("stop_reading", count=QUIET)
        empty, most = resident(at.pid), 0
        before, begun = cpu_seconds(at.pid), time.monotonic()
        done = 1
        while done <= CHANGES and time.monotonic() - begun < seconds:
            receivers.tell("receive", until=done + 1, seconds=60.0)
            at.publisher.publish([done + 1], room=WIDE)
            answer = receivers.answer()
            if answer["behind"] or answer["closed"]:
                raise Broken(f"others miss {answer['behind']} frames; closed: {answer['closed'][:5]}")
            done += 1
            most = max(most, resident(at.pid))
        spent, took = cpu_seconds(at.pid) - before, time.monotonic() - begun
        codes = receivers.ask("look", seconds=0.5)["codes"]
    return {
        "changes": done - 1,
        "frames": (done - 1) * (RECEIVERS - QUIET),
        "unread": (done - 1) * WIDTH * QUIET,
        "memory": most,
        "grown": most - empty,
        "cpu": spent / ((done - 1) * (RECEIVERS - QUIET)) * 1e6,
        "rate": (done - 1) * (RECEIVERS - QUIET) / took,
        "cut": sum(code != 0 for code in codes),
        "code": max(codes),
    }
