"""One change, a thousand receivers: many at once, one by one, in lockstep, and twenty a second."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.machine import cpu_seconds, resident
from benchmarks.receivers import Broken, Receivers, crowd
from benchmarks.scenario import Figures, Measure, Scenario, all_started
from benchmarks.servers import PACE, Running

RECEIVERS = 1000
# How many publications stand in Redis before the next: what "together" means here.
TOGETHER = 25
RATE = 20
LIMIT = 60.0


class FanOut(Scenario):
    key = "fanout"
    title = "one change, a thousand receivers"
    records = ("together", "one by one", "in lockstep", "paced")

    def seconds(self, server: str) -> float:
        return 12 if PACE[server] < RATE else 8

    @contextlib.contextmanager
    def open(self, servers: Sequence[str], quick: bool) -> Iterator[Measure]:
        with all_started(servers, "--no-services") as running:
            yield lambda server: measure(server, running[server], 1.0 if quick else 2.0)


def measure(server: str, at: Running, seconds: float) -> Figures:
    """Each of the four lasts about so long on this server."""
    found: Figures = {}
    with (
        crowd(at.port, at.dialect, at.header) as receivers,
        crowd(at.port, at.dialect, at.header) as last,
    ):
        receivers.ask("connect", count=RECEIVERS - 1)
        last.ask("connect", count=1)
        at.publisher.publish([1])
        for everyone in (receivers, last):
            everyone.ask("receive", until=1, seconds=LIMIT)
        number = 1
        for scenario in FanOut.records:
            if scenario == "together":
                count = max(TOGETHER, int(PACE[server] * seconds) // TOGETHER * TOGETHER)
            elif scenario in ("one by one", "in lockstep"):
                count = min(max(8, int(PACE[server] * seconds)), int(150 * seconds))
            else:
                # Who cannot keep up gets no more than it can work off in a while.
                count = int(RATE * seconds) if PACE[server] >= RATE else int(RATE * seconds / 2)
            found[scenario] = run(scenario, at, receivers, last, number, count)
            number += count
    return found


def run(scenario: str, at: Running, most: Receivers, last: Receivers, done: int, count: int) -> dict[str, Any]:
    """Publish the next `count` changes in the scenario's way. Raises Broken unless every receiver got each of them.

    `last` is the receiver that joined last. A server that sends in the order of joining has sent a change to all when
    this one has it: then it gets the next, and has nothing to join and nothing to wait for. Who sends in another order
    or a little at a time gets the next a little earlier, and does not join anything either.
    """
    numbers = range(done + 1, done + count + 1)
    until, flood = numbers[-1], scenario in ("together", "one by one")
    before, begun = cpu_seconds(at.pid), time.monotonic()
    most.tell("receive", until=until, seconds=LIMIT, each=scenario == "in lockstep", lazy=flood)
    last.tell("receive", until=until, seconds=LIMIT, each=scenario in ("in lockstep", "one by one"))
    if scenario == "together":
        for first in range(0, count, TOGETHER):
            at.publisher.publish(numbers[first : first + TOGETHER])
    elif scenario == "paced":
        for place, number in enumerate(numbers):
            time.sleep(max(0.0, begun + place / RATE - time.monotonic()))
            at.publisher.publish([number])
    else:
        for number in numbers:
            at.publisher.publish([number])
            for everyone in (last,) if flood else (last, most):
                if (told := everyone.line()) != number:
                    raise Broken(f"change {number} did not reach all: {told}")
    answer, other = most.answer(), last.answer()
    spent = cpu_seconds(at.pid) - before
    frames = answer["frames"] + other["frames"]
    if frames != count * RECEIVERS or answer["closed"] or other["closed"]:
        raise Broken(f"{answer['behind'] + other['behind']} frames are missing, closed: {answer['closed'][:5]}")
    return {
        "changes": count,
        "frames": frames,
        "cpu": spent / frames * 1e6,
        "rate": frames / max(answer["seconds"], 1e-9),
        "busy": spent / (time.monotonic() - begun),
        "receiver": answer["receiver"],
        "p50": answer["p50"],
        "p99": answer["p99"],
        "memory": resident(at.pid),
    }
