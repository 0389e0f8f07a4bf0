"""A writer that is a client too: saves, and waits until a socket of its own tells the change. Prints one line of JSON.

Run as a program by the scenario `save`, on the load's cores; BENCHMARK_TOKEN is who it is.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from typing import Any

import django

from benchmarks.crowd import quantiles
from benchmarks.dialects import subscribe
from benchmarks.framing import PING, PONG, TEXT, control, handshake, masked, split

# Between two saves; each is alone on its way.
PAUSE = 0.02


class Client:
    def __init__(self, port: int) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.sendall(handshake(port, "/ws", f"Authorization: Bearer {os.environ['BENCHMARK_TOKEN']}\r\n"))
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.sock.recv(1 << 16)
        self.buffer = self.buffer.partition(b"\r\n\r\n")[2]
        self.sock.sendall(masked(subscribe({})))
        self.receive(b'"context"', 1)

    def receive(self, wanted: bytes, count: int) -> float:
        """Wait for so many frames that contain `wanted`; when the last one was here."""
        while True:
            end = 0
            for opcode, _, payload, end in split(self.buffer):
                if opcode == PING:
                    self.sock.sendall(control(PONG, self.buffer[payload:end]))
                elif opcode == TEXT and wanted in self.buffer[payload:end]:
                    count -= 1
            self.buffer = self.buffer[end:]
            if count <= 0:
                return time.perf_counter()
            if not (chunk := self.sock.recv(1 << 20)):
                raise ConnectionError("the server closed the connection")
            self.buffer += chunk


def one_by_one(client: Client, count: int) -> dict[str, Any]:
    from devices.models import Device

    device = Device.objects.all()[0]
    commits, totals, rest = [], [], []
    for _ in range(count):
        device.detail = f"measured {time.monotonic_ns()}"
        begun = time.perf_counter()
        device.save(update_fields=["detail"])
        committed = time.perf_counter()
        arrived = client.receive(f'"{device.detail}"'.encode(), 1)
        commits.append(committed - begun)
        totals.append(arrived - begun)
        rest.append(arrived - committed)
        time.sleep(PAUSE)
    found = {"changes": count}
    for name, values in (("commit", commits), ("client", totals), ("difference", rest)):
        found |= {f"{name} {which}": value for which, value in quantiles(sorted(values)).items()}
    return found


def all_at_once(client: Client, rounds: int) -> dict[str, Any]:
    """One statement over all devices: how many of its changes a second the relay and the server bring to a client."""
    from devices.models import Device

    rates = []
    for _ in range(rounds):
        detail = f"together {time.monotonic_ns()}"
        count = Device.objects.update(detail=detail)
        begun = time.perf_counter()
        rates.append(count / (client.receive(f'"{detail}"'.encode(), count) - begun))
        time.sleep(10 * PAUSE)
    return {"changes": count, "rate": sorted(rates)[len(rates) // 2]}


def settle() -> None:
    """What autovacuum does within a minute after the many rows of the demo were published."""
    from django.db import connection

    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE realtime_journal")


def main() -> None:
    port, count, rounds = map(int, sys.argv[1:])
    django.setup()
    client = Client(port)
    # The relay may still be busy with what came before, and a server that has just begun is not at its speed.
    all_at_once(client, 1)
    one_by_one(client, 25)
    settle()
    print(json.dumps({"save": one_by_one(client, count), "relay": all_at_once(client, rounds)}))


if __name__ == "__main__":
    main()
