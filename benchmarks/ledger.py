"""What every receiver must get, and whether it did: each frame once, in order, with the content that was published.

A thousand receivers of one stream get the same bytes, so the first one's frames are read as JSON and checked, and those
of the others compared with them byte by byte. Whoever's bytes differ (a ping or a heartbeat came between) is read
frame by frame. That keeps the receiver fast enough to measure servers with.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Any

from benchmarks.dialects import ALL, Dialect, thing
from benchmarks.framing import CLOSE, PING, PONG, TEXT, control, masked, split


class Member:
    """One receiver: `done` frames are checked; it stands at byte `at` of what all get, or part of a frame is kept."""

    __slots__ = ("at", "done", "kept", "number", "shut", "write")

    def __init__(self, number: int, write: Callable[[bytes], Any]) -> None:
        self.number = number
        self.write = write
        self.done = 0
        self.at = 0
        self.kept = b""
        self.shut: int | None = None


class Ledger:
    """Of changes 1, 2, 3… to everybody in one room. `log` gets (when, frames before, frames after) for each read."""

    def __init__(self, dialect: Dialect, room: str = ALL) -> None:
        self.dialect = dialect
        self.room = room
        self.bytes = bytearray()
        self.ends: list[int] = []
        self.sent: list[float] = []
        self.faults: list[str] = []
        self.log: list[tuple[float, int, int]] = []

    def take(self, member: Member, chunk: bytes, now: float) -> None:
        """Read what came."""
        before = member.done
        if not member.kept and self.bytes.startswith(chunk, member.at):
            member.at += len(chunk)
            ends, done, count = self.ends, before, len(self.ends)
            while done < count and ends[done] <= member.at:
                done += 1
                if done - before > 8:
                    done = bisect_right(ends, member.at, done)
                    break
            member.done = done
        else:
            self._read(member, chunk)
        if member.done != before:
            self.log.append((now, before, member.done))

    def _read(self, member: Member, chunk: bytes) -> None:
        if not member.kept:
            known = len(self.bytes) - member.at
            if 0 < known <= len(chunk) and self.bytes.endswith(chunk[:known]):
                # Ahead of all others; what they had before it is the same.
                member.at, member.done = len(self.bytes), len(self.ends)
                chunk = chunk[known:]
        begin = self.ends[member.done - 1] if member.done else 0
        data = member.kept or bytes(self.bytes[begin : member.at])
        data += chunk
        rest = 0
        for opcode, first, payload, end in split(data):
            rest = end
            if opcode == TEXT:
                self._text(member, data[first:end], data[payload:end])
            else:
                note(member, opcode, data[payload:end])
        member.at = self.ends[member.done - 1] if member.done else 0
        member.kept = data[rest:]
        if self.bytes.startswith(member.kept, member.at):
            member.at += len(member.kept)
            member.kept = b""

    def _text(self, member: Member, raw: bytes, payload: bytes) -> None:
        begin = self.ends[member.done - 1] if member.done else 0
        if self.bytes.startswith(raw, begin) and member.done < len(self.ends):
            member.done += 1
            return
        try:
            data = self.dialect.change(payload)
        except (ValueError, KeyError, TypeError):
            self.fault(member, f"garbled: {payload[:120]!r}")
            return
        if data is None:
            if answer := self.dialect.answer(payload):
                member.write(masked(answer))
            return
        if (wrong := unlike(data, member.done + 1, self.room)) is not None:
            self.fault(member, wrong)
        elif member.done < len(self.ends):
            self.fault(member, f"another frame than others got: {payload[:120]!r}")
        else:
            self.bytes += raw
            self.ends.append(len(self.bytes))
            self.sent.append(float(data["sent"]))
            member.done += 1

    def fault(self, member: Member, what: str) -> None:
        if len(self.faults) < 20:
            self.faults.append(f"receiver {member.number}, after {member.done} frames: {what}")

    def delays(self, log: list[tuple[float, int, int]]) -> list[float]:
        """Seconds from publication to receipt, of each frame in a part of the log."""
        sent = self.sent
        return [now - sent[place] for now, before, after in log for place in range(before, after)]


class Shares:
    """The same for a crowd in which everybody has a room of its own: number n goes to room n modulo `rooms`."""

    def __init__(self, dialect: Dialect, rooms: int) -> None:
        self.dialect = dialect
        self.rooms = rooms
        self.faults: list[str] = []
        self.received: list[float] = []

    def take(self, member: Member, chunk: bytes, now: float) -> None:
        data = member.kept + chunk
        rest = 0
        for opcode, _, payload, end in split(data):
            rest = end
            if opcode != TEXT:
                note(member, opcode, data[payload:end])
            elif (answer := self.dialect.answer(data[payload:end])) is not None:
                member.write(masked(answer))
            else:
                self._text(member, data[payload:end], now)
        member.kept = data[rest:]

    def _text(self, member: Member, payload: bytes, now: float) -> None:
        try:
            data = self.dialect.change(payload)
        except (ValueError, KeyError, TypeError):
            self.faults.append(f"receiver {member.number}: garbled: {payload[:120]!r}")
            return
        if data is None:
            return
        due = member.number + member.done * self.rooms if member.number else (member.done + 1) * self.rooms
        if (wrong := unlike(data, due, str(member.number))) is not None:
            self.faults.append(f"receiver {member.number}: {wrong}")
        else:
            member.done += 1
            self.received.append(now - float(data["sent"]))


def unlike(data: dict[str, Any], due: int, room: str = ALL) -> str | None:
    """What is wrong with an object that should be that of change `due`."""
    number = data.get("id")
    if number != due:
        kind = "lost" if isinstance(number, int) and number > due else "twice, or backwards"
        return f"{kind}: change {number} came where {due} was due"
    if data != thing(due, 0, room) | {"sent": data.get("sent")}:
        return f"garbled: {data!r}"
    return None


def note(member: Member, opcode: int, payload: bytes) -> None:
    """Control frames: pings are answered, the reason of a close is kept."""
    if opcode == PING:
        member.write(control(PONG, payload))
    elif opcode == CLOSE:
        member.shut = int.from_bytes(payload[:2], "big") or 1005
