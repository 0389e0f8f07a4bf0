"""Ten thousand connections: what one costs while nothing happens, and changes that concern one of them each."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence

from benchmarks.machine import cpu_seconds, resident
from benchmarks.receivers import Broken, crowd
from benchmarks.scenario import Figures, Measure, Scenario, surroundings
from benchmarks.servers import OURS, PACE, Running, started

CONNECTIONS = 10_000
RATE = 5_000
BATCH = 100
# How long after the last publication a change may still come.
GRACE = 8.0
# Changes are published for so long that everybody's pings come into it, with their defaults: some send all of theirs in
# one second out of twenty. Whoever is far from keeping up gets a sample.
WINDOW = 20.0
KEEPS_UP = 20  # of `servers.PACE`


class Many(Scenario):
    key = "many"
    title = "10,000 idle connections, then each on a filter of its own at 5,000 changes a second"
    records = ("idle", "own filter")

    def servers(self) -> Sequence[str]:
        return [server for server in PACE if server != "limit"]

    def seconds(self, server: str) -> float:
        return 31 if PACE[server] < KEEPS_UP or server == OURS else 27

    @contextlib.contextmanager
    def open(self, servers: Sequence[str], quick: bool) -> Iterator[Measure]:
        with surroundings() as (env, key):

            def ask(server: str) -> Figures:
                # A fresh process each time: memory that was used before is not given back.
                with started(server, env["REDIS_URL"], env, key, *OPTIONS.get(server, ())) as at:
                    seconds = 1.0 if quick else 2.0
                    return measure(at, seconds, WINDOW if PACE[server] >= KEEPS_UP and not quick else seconds)

            yield ask


# The publisher is a process of its own for everybody; the relay would be ours, and has nothing to do here.
OPTIONS = {OURS: ("--no-services", "--no-relay")}


def measure(at: Running, seconds: float, window: float) -> Figures:
    with crowd(at.port, at.dialect, at.header) as receivers:
        empty = resident(at.pid)
        opened = receivers.ask("connect", count=CONNECTIONS, room=None, join=False)
        full = resident(at.pid)
        before, begun = cpu_seconds(at.pid), time.monotonic()
        if closed := receivers.ask("idle", seconds=seconds)["closed"]:
            raise Broken(f"{len(closed)} of those that idle were closed")
        busy = (cpu_seconds(at.pid) - before) / (time.monotonic() - begun)
        joined = receivers.ask("join")
        found: Figures = {
            "idle": {
                "connections": CONNECTIONS,
                "memory": full,
                "each": (full - empty) / CONNECTIONS,
                "joined each": (resident(at.pid) - empty) / CONNECTIONS,
                "busy": busy,
                "connects a second": CONNECTIONS / opened["seconds"],
                "joins a second": CONNECTIONS / joined["seconds"],
            }
        }
        count = int(RATE * window)
        before, begun = cpu_seconds(at.pid), time.monotonic()
        receivers.tell("share", until=count, seconds=window + GRACE)
        for first in range(0, count, BATCH):
            time.sleep(max(0.0, begun + first / RATE - time.monotonic()))
            at.publisher.publish(range(first + 1, first + BATCH + 1), rooms=CONNECTIONS)
        offered = count / (time.monotonic() - begun)
        answer = receivers.answer()
        spent = cpu_seconds(at.pid) - before
        found["own filter"] = {
            "changes": count,
            "offered": offered,
            "frames": answer["frames"],
            "missing": answer["behind"],
            "closed": len(answer["closed"]),
            "cpu": spent / max(answer["frames"], 1) * 1e6,
            "rate": answer["frames"] / answer["seconds"],
            "receiver": answer["receiver"],
            "p50": answer["p50"],
            "p99": answer["p99"],
        }
        return found
