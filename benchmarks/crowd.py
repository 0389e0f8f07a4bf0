"""Thousands of receivers in one process: raw sockets on epoll, every frame checked against the ledger.

A process of its own, so that the server's CPU seconds are the server's alone. It obeys lines of JSON on its standard
input and answers each with one line; `Crowd` in `benchmarks.receivers` is the other end.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.dialects import ALL
from benchmarks.dialects import dialect as spoken
from benchmarks.framing import TEXT, handshake, masked, split
from benchmarks.ledger import Ledger, Member, Shares, note

# Sockets that are shaking hands at once: enough to keep a server busy, few enough for its accept queue.
WAVE = 64
CHUNK = 1 << 16
PATIENCE = 60.0
# How long who does not measure latency sleeps before it looks again: see `receive`.
NAP = 0.003


class Place:
    """One socket: `enter` takes what comes until it has joined, then the ledger does."""

    __slots__ = ("buffer", "enter", "member", "recv", "room", "sock", "stage")

    def __init__(self, sock: socket.socket, number: int, room: str) -> None:
        self.sock = sock
        self.recv = sock.recv
        self.member = Member(number, self.write)
        self.room = room
        self.stage = "connecting"
        self.buffer = b""

    def write(self, data: bytes) -> None:
        self.sock.setblocking(True)
        self.sock.sendall(data)
        self.sock.setblocking(False)


class Crowd:
    def __init__(self, port: int, dialect: str, header: str) -> None:
        self.port = port
        self.dialect = spoken(dialect)
        self.header = header + "\r\n" if header else ""
        self.poll = select.epoll()
        self.places: dict[int, Place] = {}
        self.entering = 0
        self.closed: list[tuple[int, int | None]] = []
        self.ledger: Ledger | Shares = Ledger(self.dialect)
        self.quiet: set[int] = set()

    # -- coming ------------------------------------------------------------------------------------------------------

    def connect(self, count: int, room: str | None = ALL, join: bool = True, quiet: int = 0) -> dict[str, Any]:
        """`room` None: each joins the room of its number. Without `join` the sockets are open and nothing was said.
        The first `quiet` have small buffers, because they are to stop reading."""
        begun = time.monotonic()
        self.ledger = Shares(self.dialect, count) if room is None else Ledger(self.dialect, room)
        made, finish = 0, "open" if not join else "in"
        while made < count or self.entering:
            while made < count and self.entering < WAVE:
                self._open(made, str(made) if room is None else room, join, made < quiet)
                made += 1
            if not self.turn(1.0) and time.monotonic() - begun > PATIENCE + count / 100:
                raise TimeoutError(f"{self.entering} of {count} were not {finish} in time")
        return {"seconds": time.monotonic() - begun}

    def _open(self, number: int, room: str, join: bool, small: bool) -> None:
        sock = socket.socket()
        if small:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        sock.connect_ex(("127.0.0.1", self.port))
        place = Place(sock, number, room)
        place.enter = self._enter if join else self._opened
        self.places[sock.fileno()] = place
        self.entering += 1
        self.poll.register(sock.fileno(), select.EPOLLOUT)

    def join(self) -> dict[str, Any]:
        """Those who connected without joining do so now."""
        begun = time.monotonic()
        waiting = list(self.places.values())
        while waiting or self.entering:
            while waiting and self.entering < WAVE:
                place = waiting.pop()
                place.stage, place.enter = "joining", self._enter
                self.entering += 1
                # An Engine.IO server spoke first; its words wait in the buffer.
                if greeting := self.dialect.greeting(place.room):
                    place.write(masked(greeting))
                self._enter(place, b"")
            self.turn(1.0)
            if time.monotonic() - begun > PATIENCE + len(self.places) / 100:
                raise TimeoutError(f"{self.entering} did not join in time")
        return {"seconds": time.monotonic() - begun}

    def _opened(self, place: Place, chunk: bytes) -> None:
        place.buffer += chunk
        if place.stage == "handshake" and self._upgraded(place):
            place.stage = "open"
            self.entering -= 1
        # Words wait until it joins, pings do not.
        words, rest = b"", 0
        for opcode, first, payload, end in split(place.buffer) if place.stage == "open" else ():
            rest = end
            if opcode == TEXT:
                words += place.buffer[first:end]
            else:
                note(place.member, opcode, place.buffer[payload:end])
        place.buffer = words + place.buffer[rest:]

    def _enter(self, place: Place, chunk: bytes) -> None:
        place.buffer += chunk
        if place.stage == "handshake" and self._upgraded(place):
            place.stage = "joining"
            if greeting := self.dialect.greeting(place.room):
                place.write(masked(greeting))
        rest = 0
        for opcode, _, payload, end in split(place.buffer) if place.stage == "joining" else ():
            rest = end
            if opcode != TEXT:
                note(place.member, opcode, place.buffer[payload:end])
            else:
                joined, answer = self.dialect.joining(place.buffer[payload:end], place.room)
                if answer:
                    place.write(masked(answer))
                if joined:
                    place.stage = "in"
                    self.entering -= 1
                    break
        place.buffer = place.buffer[rest:]
        if place.stage == "in" and place.buffer:
            self.ledger.take(place.member, place.buffer, time.monotonic())

    def _upgraded(self, place: Place) -> bool:
        head, found, place.buffer = place.buffer.partition(b"\r\n\r\n")
        if not found:
            place.buffer = head
            return False
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise ConnectionError(f"refused: {head[:200]!r}")
        return True

    # -- receiving ---------------------------------------------------------------------------------------------------

    def turn(self, timeout: float) -> int:
        """Take what is there; how many sockets had something."""
        places, take, clock = self.places, self.ledger.take, time.monotonic
        events = self.poll.poll(timeout)
        for fd, _ in events:
            place = places.get(fd)
            if place is None:
                continue
            if place.stage == "connecting":
                self._connected(fd, place)
                continue
            try:
                chunk = place.recv(CHUNK)
            except BlockingIOError:
                continue
            except ConnectionError:
                chunk = b""
            if not chunk:
                self._gone(fd, place)
            elif place.stage == "in":
                take(place.member, chunk, clock())
            else:
                place.enter(place, chunk)
        return len(events)

    def _connected(self, fd: int, place: Place) -> None:
        error = place.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise ConnectionError(os.strerror(error))
        place.stage = "handshake"
        place.write(handshake(self.port, self.dialect.path, self.header))
        self.poll.modify(fd, select.EPOLLIN)

    def _gone(self, fd: int, place: Place) -> None:
        if place.stage != "in":
            raise ConnectionError(
                f"receiver {place.member.number} was closed while {place.stage}: {place.buffer[:200]!r}"
            )
        self.poll.unregister(fd)
        self.closed.append((place.member.number, place.member.shut))
        place.sock.close()
        del self.places[fd]

    # -- what is asked -----------------------------------------------------------------------------------------------

    def receive(self, until: int, seconds: float, each: bool = False, lazy: bool = False) -> dict[str, Any]:
        """Receive until every one (but those that do not read) has `until` frames. `each`: say so after each.

        `lazy` receivers look every few ms. Who waits is woken by each send, at the sender's cost, which on a virtual
        machine is as much again as the send; receivers on other machines cost a server nothing like it.
        """
        assert isinstance(self.ledger, Ledger)
        readers = [p.member for fd, p in self.places.items() if fd not in self.quiet]
        started, cpu = time.monotonic(), time.process_time()
        mark, told = len(self.ledger.log), min((m.done for m in readers), default=0)
        behind = [m for m in readers if m.done < until]
        deadline = started + seconds
        while behind and not self.ledger.faults and not self._short() and time.monotonic() < deadline:
            if lazy:
                time.sleep(NAP)
                self.turn(0)
            else:
                self.turn(0.2)
            if each:
                while told < until and len(self.ledger.ends) > told and all(m.done > told for m in readers):
                    told += 1
                    print(told, flush=True)
                behind = behind if told < until else []
            elif behind[-1].done >= until:
                behind = [m for m in behind if m.done < until]
        spent = time.process_time() - cpu
        log = self.ledger.log[mark:]
        delays = sorted(self.ledger.delays(log))
        first = self.ledger.sent[log[0][1]] if log else started
        last = log[-1][0] if log else started
        return {
            "frames": len(delays),
            "behind": sum(until - m.done for m in readers if m.done < until),
            "faults": self.ledger.faults,
            "closed": self.closed,
            "seconds": last - first,
            "receiver": spent / max(time.monotonic() - started, 1e-9),
            **quantiles(delays),
        }

    def share(self, until: int, seconds: float) -> dict[str, Any]:
        """Own rooms: receive until `until` frames came to all of them together."""
        assert isinstance(self.ledger, Shares)
        started, cpu = time.monotonic(), time.process_time()
        deadline = started + seconds
        received = self.ledger.received
        while len(received) < until and not self.ledger.faults and time.monotonic() < deadline:
            self.turn(0.2)
        wall = time.monotonic() - started
        return {
            "frames": len(received),
            "behind": until - len(received),
            "faults": self.ledger.faults[:20],
            "closed": self.closed,
            "seconds": wall,
            "receiver": (time.process_time() - cpu) / wall,
            **quantiles(sorted(received)),
        }

    def idle(self, seconds: float) -> dict[str, Any]:
        """Answer pings, nothing else."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.turn(left)
        return {"closed": self.closed, "open": len(self.places)}

    def toggle(self, count: int, seconds: float) -> dict[str, Any]:
        """One after the other says something; how long until all have it."""
        assert isinstance(self.ledger, Ledger)
        places = list(self.places.values())
        members = [place.member for place in places]
        waits: list[float] = []
        deadline = time.monotonic() + seconds
        for number in range(1, count + 1):
            begun = time.monotonic()
            places[number % len(places)].write(masked(self.dialect.say(number, begun)))
            while any(m.done < number for m in members):
                self.turn(1.0)
                if self.ledger.faults or self._short() or time.monotonic() > deadline:
                    return {"faults": self.ledger.faults or ["not all in time"], "closed": self.closed}
            waits.append(self.ledger.log[-1][0] - begun)
        return {"faults": [], "closed": self.closed, "frames": count * len(places), **quantiles(sorted(waits))}

    def stop_reading(self, count: int) -> dict[str, Any]:
        """The first `count` read nothing from now on."""
        for fd in list(self.places)[:count]:
            self.quiet.add(fd)
            self.poll.unregister(fd)
        return {}

    def look(self, seconds: float) -> dict[str, Any]:
        """Whether the server has let go of those that do not read: read the rest of what it sent them."""
        found = []
        for fd in self.quiet:
            place = self.places[fd]
            try:
                while True:
                    place.sock.settimeout(seconds)
                    if not (chunk := place.recv(CHUNK)):
                        break
                    self.ledger.take(place.member, chunk, time.monotonic())
                found.append(place.member.shut or 1006)
            except TimeoutError:
                found.append(0)
            except ConnectionError:
                found.append(place.member.shut or 1006)
        return {"codes": found, "faults": self.ledger.faults}

    def _short(self) -> bool:
        return bool(self.closed)


def quantiles(values: list[float]) -> dict[str, Any]:
    """Milliseconds; of sorted seconds."""
    if not values:
        return {"p50": None, "p99": None}
    return {"p50": 1000 * values[len(values) // 2], "p99": 1000 * values[int(len(values) * 0.99)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--dialect", required=True)
    parser.add_argument("--header", default="")
    options = parser.parse_args()
    crowd = Crowd(options.port, options.dialect, options.header)
    gc.disable()
    for line in sys.stdin:
        words = json.loads(line)
        ask: Callable[..., dict[str, Any]] = getattr(crowd, words.pop("do"))
        try:
            answer = ask(**words)
        except (OSError, ValueError) as error:
            answer = {"failed": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
