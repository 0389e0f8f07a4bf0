"""What a change costs the hub when it concerns one client, beside ever more clients whose filters it does not pass.

The real hub with its index and real connections, in one process, without sockets: the kernel's part would hide it.
"""

from __future__ import annotations

import contextlib
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from benchmarks import machine, place
from benchmarks.scenario import Figures, Measure, Scenario

COUNTS = (1, 100, 1_000, 10_000)
# Those that are tried one by one are not asked so often.
CHANGES = {1: 400, 100: 400, 1_000: 200, 10_000: 100}
LIMIT = 120.0
# What a change has; every filter below is passed by none of its kind but is not trivially empty.
STATE = {"location": 5, "value": 50.0, "name": "lamp", "seen": 3}
FILTERS: dict[str, Callable[[int], dict[str, Any]]] = {
    "exact": lambda n: {"location": 1000 + n},
    "in": lambda n: {"location__in": [1000 + n, 900_000 + n, 800_000 + n]},
    "one-sided range": lambda n: {"value__gt": 100 + n},
    "two-sided range": lambda n: {"value__gt": 100 + n, "value__lt": 110 + n},
    "exact and range": lambda n: {"location": 5, "value__gt": 100 + n},
    "contains": lambda n: {"name__contains": f"pump {n}"},
    "isnull": lambda n: {"seen__isnull": True, "name__contains": f"pump {n}"},
    "not null, contains": lambda n: {"seen__isnull": False, "name__contains": f"pump {n}"},
}


class Filters(Scenario):
    key = "filters"
    title = "filters that do not match"
    records = ("filters",)

    def servers(self) -> Sequence[str]:
        return list(FILTERS)

    def seconds(self, server: str) -> float:
        return 2.5

    @contextlib.contextmanager
    def open(self, servers: Sequence[str], quick: bool) -> Iterator[Measure]:
        def ask(server: str) -> Figures:
            command = [sys.executable, "-m", "benchmarks.filters", server]
            with machine.on(machine.SERVER_CORES):
                done = subprocess.run(command, cwd=place.ROOT, stdout=subprocess.PIPE, check=True, timeout=LIMIT)
            return {"filters": json.loads(done.stdout)}

        yield ask


class Wire:
    """A transport that frames nothing."""

    name = "ws"
    legacy = False

    def encode(self, text: str) -> bytes:
        return text.encode()


def cost(kind: str, count: int) -> float:
    """Microseconds of one change: looked up, framed once, written to the one it concerns."""
    from realtime.change import Change
    from realtime.connection import Connection
    from realtime.filters import Filter, parse_conditions, typed
    from realtime.hub import Hub, Subscription
    from realtime.kinds import Kind
    from realtime.limits import DEFAULT_LIMITS
    from realtime.protocol import Call

    kinds = {"location": Kind("integer"), "value": Kind("float"), "name": Kind("text"), "seen": Kind("integer")}
    allowed = {name: kind.lookups for name, kind in kinds.items()}
    hub = Hub(lambda: None)
    written = 0

    def send(data: bytes) -> None:
        nonlocal written
        written += 1

    def follow(number: int, wish: dict[str, Any]) -> None:
        connection = Connection(f"c{number}", Wire(), send, lambda code: None, time.monotonic, DEFAULT_LIMITS)
        connection.identity = "bench"
        filter = Filter.everything().narrowed(parse_conditions(wish, allowed, kinds))
        call = Call("subscribe", "bench", {}, "c")
        one = Subscription(connection, "bench", (filter.name("bench"),), "local", call, filter=filter)
        hub.join(one)
        connection.subscribe("local", one, lambda: hub.leave(one))
        hub.snapshot(one, [], {}, ("epoch", 0))

    follow(0, {"location": 5, "seen": 3})
    for number in range(count):
        follow(1 + number, FILTERS[kind](number))
    hub.flush()
    gc.collect()
    changes = [
        typed(Change("bench", str(n), n, "updated", {"id": n, "name": "lamp"}, STATE, (STATE,), n, "bench"), kinds)
        for n in range(1, CHANGES[count] + 1)
    ]
    before = written
    begun = time.perf_counter()
    for offset, change in enumerate(changes, 1):
        hub.publish(change, offset)
        hub.flush()
    spent = time.perf_counter() - begun
    if written - before != len(changes):
        raise RuntimeError(f"{written - before} frames were written for {len(changes)} changes")
    return 1e6 * spent / len(changes)


def main() -> None:
    kind = sys.argv[1]
    # The best of three: whatever else ran on the core only adds.
    print(json.dumps({str(count): min(cost(kind, count) for _ in range(3)) for count in COUNTS}))


if __name__ == "__main__":
    main()
