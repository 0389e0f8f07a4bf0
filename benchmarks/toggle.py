"""One of a hundred says something; how long until all hundred have it, one at a time.

Everybody goes through Redis, as an installation of several processes must. Marshlight is measured twice: with the real
verb (a row changes in the database, the journal tells the relay, the relay publishes), and with a verb on the loop that
tells everybody at once and keeps nothing, which is what the peers do.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from benchmarks import place
from benchmarks.machine import SERVER_CORES, cpu_seconds
from benchmarks.receivers import crowd
from benchmarks.scenario import Figures, Measure, Scenario, all_started, surroundings
from benchmarks.servers import OURS, PACE

RECEIVERS = 100
LIMIT = 60.0
KEPT = "marshlight-kept"
# How many toggles, from the fastest to the slowest.
COUNTS = (300, 60)


class Toggle(Scenario):
    key = "toggle"
    title = "one of a hundred says something, all hundred get it"
    records = ("toggle",)

    def servers(self) -> Sequence[str]:
        return [KEPT, *(server for server in PACE if server != "limit")]

    def seconds(self, server: str) -> float:
        return 2.5

    @contextlib.contextmanager
    def open(self, servers: Sequence[str], quick: bool) -> Iterator[Measure]:
        others = [server for server in servers if server != KEPT]
        with ExitStack() as stack:
            running = stack.enter_context(all_started(others, "--no-services"))
            at = {server: (one.pid, one.port, one.dialect, one.header) for server, one in running.items()}
            if OURS in at:
                pid, port, _, header = at[OURS]
                at[OURS] = pid, port, "said", header
            if KEPT in servers:
                env, key = stack.enter_context(surroundings())
                process, port = stack.enter_context(place.marshlight(env, "--no-services", cores=SERVER_CORES))
                find = "from devices.models import Device; print(Device.objects.get(name='Exhaust fan').pk)"
                device = place.manage(env, "shell", "-v0", "-c", find).strip()
                at[KEPT] = (process.pid, port, f"switch:{device}", f"Authorization: Bearer {key}")

            def measure(server: str) -> Figures:
                fast = server == OURS or PACE.get(server, 0) >= 20
                return {"toggle": toggle(*at[server], (COUNTS[0] if fast else COUNTS[1]) // (3 if quick else 1))}

            yield measure


def toggle(pid: int, port: int, dialect: str, header: str, count: int) -> dict[str, Any]:
    with crowd(port, dialect, header) as receivers:
        receivers.ask("connect", count=RECEIVERS)
        before = cpu_seconds(pid)
        answer = receivers.ask("toggle", count=count, seconds=LIMIT)
        spent = cpu_seconds(pid) - before
    return {
        "changes": count,
        "frames": answer["frames"],
        "cpu": spent / answer["frames"] * 1e6,
        "p50": answer["p50"],
        "p99": answer["p99"],
    }
