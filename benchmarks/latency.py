"""From `save()` in one process to the change in a native client of another, beside the time of the same commit alone.

    python -m benchmarks.latency [--quick]

Once on the embedded default (SQLite and the memory bus) and once on PostgreSQL and Redis. A fresh process each, because
Django's database is chosen at its start.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from typing import Any

from benchmarks import bench
from benchmarks.fanout import SUBSCRIBE
from benchmarks.subscribers import connect, frames, masked
from tests import services

PAUSE = 0.02  # seconds between two writes; each is then alone on its way


def receive(sock: socket.socket, buffer: bytearray, wanted: bytes) -> float:
    """Wait for the frame that contains `wanted`; the time at which it was here."""
    while True:
        for payload in frames(buffer, sock):
            if wanted in payload:
                return time.perf_counter()
        chunk = sock.recv(1 << 16)
        if not chunk:
            raise ConnectionError("The server closed the connection.")
        buffer += chunk


def measure(port: int, key: str, count: int) -> dict[str, Any]:
    """In a process of its own: `count` saves, each watched by a client of the server at `port`."""
    import django

    django.setup()
    from devices.models import Device

    sock = connect("127.0.0.1", port, "/ws", f"Authorization: Bearer {key}\r\n")
    sock.sendall(masked(SUBSCRIBE))
    buffer = bytearray()
    receive(sock, buffer, b'"context"')
    device = Device.objects.all()[0]
    commits, totals = [], []
    for number in range(count):
        device.detail = f"measured {number}"
        begun = time.perf_counter()
        device.save(update_fields=["detail"])
        committed = time.perf_counter()
        arrived = receive(sock, buffer, f'"measured {number}"'.encode())
        commits.append(1000 * (committed - begun))
        totals.append(1000 * (arrived - begun))
        time.sleep(PAUSE)
    return {"commit": quantiles(commits), "total": quantiles(totals)}


def quantiles(values: list[float]) -> tuple[float, float]:
    values = sorted(values)
    return round(values[len(values) // 2], 2), round(values[int(len(values) * 0.99)], 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--measure", nargs=2, metavar=("PORT", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        port, count = map(int, options.measure)
        print(json.dumps(measure(port, os.environ["BENCH_TOKEN"], count)))
        return
    rows = []
    with services.running(services.Postgres()) as postgres, services.running(services.Redis()) as redis:
        for name, environment in (
            ("SQLite, memory", {}),
            ("PostgreSQL, Redis", {"DATABASE_URL": postgres.url, "REDIS_URL": redis.url}),
        ):
            with bench.place(**environment) as env:
                key = bench.token(env)
                with bench.marshlight(env, "--no-services") as (_, port):
                    command = [sys.executable, "-m", "benchmarks.latency", "--measure", str(port)]
                    done = subprocess.run(
                        [*command, "200" if options.quick else "1000"],
                        cwd=bench.ROOT,
                        env={**env, "BENCH_TOKEN": key},
                        stdout=subprocess.PIPE,
                        check=True,
                    )
            figures = json.loads(done.stdout)
            rows.append(
                {
                    "database, bus": name,
                    "commit p50 / p99 ms": "{} / {}".format(*figures["commit"]),
                    "save() to client p50 / p99 ms": "{} / {}".format(*figures["total"]),
                    "difference p50 ms": f"{figures['total'][0] - figures['commit'][0]:.2f}",
                }
            )
    print(f"{bench.conditions()}\n\n{bench.table(rows)}")


if __name__ == "__main__":
    main()
