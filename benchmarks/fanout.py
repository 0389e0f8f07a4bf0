"""Fan-out to 1,000 subscribers beside plain Tornado in the same run: server CPU seconds per million delivered frames.

Both servers read the same Redis and send the same object to the same subscribers; they take turns, so a machine that
slows down slows both. Frames are counted at the receiver; a run in which one is missing is an error.

    python -m benchmarks.fanout [--quick]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import redis

from benchmarks import bench
from tests import services

SUBSCRIBE = json.dumps(
    {
        "verb": "subscribe",
        "route": "session",
        "args": {"subscriptions": [{"route": "device", "channel": "bench"}]},
        "callbackname": "c1",
    }
)
PEER = "plain Tornado write_message"
OURS = "Marshlight"

# How many publications stand in Redis before the reader gets the next turn: what "together" means here.
TOGETHER = 50


def marshlight_publisher(env: dict[str, str]) -> Callable[[int], None]:
    """Publishes changes of the model `device` on the real bus, as the relay does; each of an object of its own."""
    os.environ.update(env)
    import django

    django.setup()
    from devices.models import Device
    from realtime import journal
    from realtime.bus import Publication, get_bus
    from realtime.change import Change, encode
    from realtime.models import published
    from realtime.values import wire_values

    device = Device.objects.all()[0]
    state = wire_values(device, published()[Device].columns)
    bus = get_bus()
    bus.identity = journal.identity()
    counter = itertools.count(1)

    def publish(count: int) -> None:
        batch = []
        for number in itertools.islice(counter, count):
            data = {"id": number, "_type": "device", "name": "lamp", "is_on": True, "sent": f"{time.time():.6f}"}
            item = Change("device", str(number), number, "updated", data, state, (state,), number, "device")
            batch.append(Publication("device", str(number), number, encode(item)))
        bus.publish(batch)

    return publish


def peer_publisher(url: str) -> Callable[[int], None]:
    connection = redis.Redis.from_url(url)
    counter = itertools.count(1)

    def publish(count: int) -> None:
        pipe = connection.pipeline(transaction=False)
        for number in itertools.islice(counter, count):
            data = {"id": number, "_type": "device", "name": "lamp", "is_on": True, "sent": f"{time.time():.6f}"}
            message = {"type": "change", "action": "updated", "channel": "device|", "data": data, "offset": number}
            pipe.publish("peer", json.dumps(message, separators=(",", ":")))
        pipe.execute()

    return publish


def measure(
    pid: int, port: int, header: str, publish: Callable[[int], None], *, subscribers: int, changes: int, scenario: str
) -> dict[str, Any]:
    """One run of one server: its CPU seconds between the first publication and the last frame received."""
    command = ["-m", "benchmarks.subscribers", "--port", str(port), "--header", header, "--call", SUBSCRIBE]
    command += ["--count", str(subscribers), "--frames", str(changes), "--timeout", "240"]
    load = subprocess.Popen([sys.executable, *command], cwd=bench.ROOT, stdout=subprocess.PIPE, text=True)
    assert load.stdout is not None
    if "ready" not in (line := load.stdout.readline()):
        raise RuntimeError(f"the subscribers said {line!r}")
    before = bench.cpu_seconds(pid)
    if scenario == "together":
        for _ in range(changes // TOGETHER):
            publish(TOGETHER)
    else:
        pause = 0.05 if scenario == "paced 20/s" else 0.004
        for _ in range(changes):
            publish(1)
            time.sleep(pause)
    result: dict[str, Any] = json.loads(load.stdout.readline())
    spent = bench.cpu_seconds(pid) - before
    load.wait()
    if result["frames"] != result["expected"] or result["closed"]:
        raise RuntimeError(f"frames were lost: {result}")
    return {**result, "cpu": spent / result["frames"] * 1e6, "rate": result["frames"] / max(result["seconds"], 1e-9)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one alternation of each scenario")
    parser.add_argument("--rounds", type=int, default=5, help="alternations of each scenario")
    parser.add_argument("--subscribers", type=int, default=1000)
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    scenarios = {"together": 500, "one by one": 300, "paced 20/s": 100}
    rows = []
    with services.running(services.Redis()) as bus, bench.place(REDIS_URL=bus.url) as env:
        key = bench.token(env)
        port = services.free_port()
        ours, peers = marshlight_publisher(env), peer_publisher(bus.url)
        with (
            bench.marshlight(env, "--no-relay", "--no-services") as (server, our_port),
            bench.process(env, "-m", "benchmarks.peers.plain_tornado", str(port), bus.url, ready="ready") as peer,
        ):
            for scenario, changes in scenarios.items():
                figures: dict[str, list[dict[str, Any]]] = {OURS: [], PEER: []}
                for turn in range(rounds):
                    for name, pid, at, header, publish in (
                        (OURS, server.pid, our_port, f"Authorization: Bearer {key}", ours),
                        (PEER, peer.pid, port, "", peers),
                    ):
                        print(f"{scenario}: {turn + 1} of {rounds}: {name}", file=sys.stderr, flush=True)
                        figures[name].append(
                            measure(
                                pid,
                                at,
                                header,
                                publish,
                                subscribers=options.subscribers,
                                changes=changes,
                                scenario=scenario,
                            )
                        )
                for name, runs in figures.items():
                    cpu = bench.spread([run["cpu"] for run in runs])
                    rate = bench.spread([run["rate"] for run in runs])
                    rows.append(
                        {
                            "scenario": scenario,
                            "server": name,
                            "CPU s / M frames": f"{cpu['median']:.2f} ({cpu['min']:.2f}-{cpu['max']:.2f})",
                            "frames/s": f"{rate['median']:,.0f}",
                            "p50 ms": f"{bench.spread([run['p50_ms'] for run in runs])['median']:.1f}",
                            "p99 ms": f"{bench.spread([run['p99_ms'] for run in runs])['median']:.1f}",
                        }
                    )
                ratio = [b["cpu"] / a["cpu"] for a, b in zip(figures[OURS], figures[PEER], strict=True)]
                print(f"{scenario}: plain Tornado spends {bench.spread(ratio)['median']:.1f} times our CPU", flush=True)
    print(f"\n{bench.conditions()}, {rounds} alternations, medians (min-max)\n\n{bench.table(rows)}")


if __name__ == "__main__":
    main()
