"""Thousands of clients that come back by themselves, as client.js does: full jitter, then everything subscribed at once
from the positions that were known. A process of its own that obeys lines of JSON, like `benchmarks.crowd`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.framing import CLOSE, PING, PONG, TEXT, control, handshake, masked, split

# The figures of frontend/backoff.js.
FIRST, LONGEST = 0.5, 15.0
# How many connect at once at the very beginning, which is not measured.
WAVE = 50
WHOAMI = masked(json.dumps({"verb": "whoami", "route": "session", "args": {}, "callbackname": "w"}))


class Returner(asyncio.Protocol):
    def __init__(self, fleet: Fleet, token: str) -> None:
        self.fleet = fleet
        self.token = token
        self.attempts = 0
        self.positions: dict[str, Any] = {}
        self.channels: dict[str, str] = {}
        self.seen: dict[str, dict[str, str]] = {}
        self.answered: set[str] = set()
        self.transport: asyncio.Transport | None = None
        self.buffer = b""
        self.open = False

    # -- the connection ----------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self.fleet.port)
        except OSError:
            self.again()

    def again(self) -> None:
        ceiling = min(LONGEST, FIRST * 2**self.attempts)
        self.attempts += 1
        loop = asyncio.get_running_loop()
        loop.call_later(random.random() * ceiling, lambda: self.fleet.keep(self.connect()))

    def connection_made(self, transport: Any) -> None:
        self.transport, self.buffer, self.open = transport, b"", False
        self.answered.clear()
        transport.write(handshake(self.fleet.port, "/ws", f"Authorization: Bearer {self.token}\r\n"))

    def connection_lost(self, error: Exception | None) -> None:
        if not self.open and not self.fleet.ending:
            self.fleet.refused.append(self.buffer[:80].decode(errors="replace") or f"cut {error!r}")
        self.again()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.open:
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found or b" 101 " not in head.split(b"\r\n", 1)[0]:
                return
            self.open, self.buffer = True, rest
            self.write(WHOAMI)
        end = 0
        for opcode, _, payload, end in split(self.buffer):
            body = self.buffer[payload:end]
            if opcode == TEXT:
                self.text(json.loads(body))
            elif opcode == PING:
                self.write(control(PONG, body))
            elif opcode == CLOSE:
                self.fleet.closed(int.from_bytes(body[:2], "big"))
                self.write(control(CLOSE, body[:2]))
        self.buffer = self.buffer[end:]

    def write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    # -- what is said ------------------------------------------------------------------------------------------------

    def subscribe(self) -> None:
        entries = []
        for number, wish in enumerate(self.fleet.wishes):
            local = f"s{number}"
            entry = {"route": "device", "channel": local, "_snapshot": True, **wish}
            channel = self.channels.get(local)
            if channel in self.positions:
                entry["_since"] = {channel: self.positions[channel]}
            entries.append(entry)
        args = {"subscriptions": entries}
        self.write(masked(json.dumps({"verb": "subscribe", "route": "session", "args": args, "callbackname": "c"})))

    def text(self, said: dict[str, Any]) -> None:
        kind = said.get("type")
        if kind == "change":
            channel = said["channel"]
            if channel in self.positions:
                self.positions[channel] = [self.positions[channel][0], said["offset"]]
            self.note(channel, said["data"])
        elif kind == "resync":
            self.positions.pop(said["channel"], None)
            self.fleet.resyncs += 1
            self.subscribe()
        elif kind == "reply":
            self.reply(said)
        elif kind == "heartbeat":
            self.positions |= said.get("position", {})

    def reply(self, said: dict[str, Any]) -> None:
        context = said["context"]
        if context.get("state") != "success":
            self.fleet.refused.append(json.dumps(context)[:200])
        elif context.get("verb") == "whoami":
            self.subscribe()
        elif "channel_data" in said:
            local = said["channel_data"]["local_channel"]
            channel = self.channels[local] = said["channel_data"]["remote_channels"][0]
            for found in said["data"]:
                self.note(channel, found)
            self.positions |= context.get("position", {})
            if not context.get("more"):
                self.answered.add(local)
                self.fleet.recovered += bool(context.get("recovered"))
                self.fleet.judge(self)

    def note(self, channel: str, found: dict[str, Any]) -> None:
        if "detail" in found:
            self.seen.setdefault(channel, {})[str(found["id"])] = found["detail"]
            if len(self.answered) == len(self.fleet.wishes):
                self.fleet.judge(self)

    def equal(self) -> bool:
        """In again, and each subscription shows what the database has."""
        wanted = self.fleet.wanted
        return len(self.answered) == len(self.fleet.wishes) and all(
            wanted[place].items() <= self.seen.get(self.channels[f"s{place}"], {}).items()
            for place in range(len(wanted))
        )


class Fleet:
    def __init__(self, port: int, wishes: list[dict[str, Any]]) -> None:
        self.port = port
        self.wishes = wishes
        self.wanted: list[dict[str, str]] = []
        self.refused: list[str] = []
        self.codes: dict[int, int] = {}
        self.recovered = self.resyncs = 0
        self.ending = False
        self.when: dict[Returner, float] = {}
        self.members: list[Returner] = []
        self.complete = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    def keep(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def closed(self, code: int) -> None:
        self.codes[code] = self.codes.get(code, 0) + 1

    def judge(self, one: Returner) -> None:
        if one not in self.when and one.equal():
            self.when[one] = time.monotonic()
            if len(self.when) == len(self.members):
                self.complete.set()

    async def come(self, tokens: str, seconds: float) -> dict[str, Any]:
        self.members = [Returner(self, line) for line in (await asyncio.to_thread(Path(tokens).read_text)).split()]
        for first in range(0, len(self.members), WAVE):
            wave = self.members[first : first + WAVE]
            await asyncio.gather(*(one.connect() for one in wave))
            while not all(one in self.when for one in wave):
                if self.refused:
                    return {"failed": self.refused[0]}
                await asyncio.sleep(0.01)
        return {}

    async def expect(self, wanted: list[dict[str, str]]) -> dict[str, Any]:
        """The server is about to end; from then on they are equal when they show this."""
        self.wanted = wanted
        self.when.clear()
        self.complete.clear()
        self.refused.clear()
        self.recovered = self.resyncs = 0
        return {}

    async def back(self, seconds: float) -> dict[str, Any]:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.complete.wait(), seconds)
        times = sorted(self.when.values())
        return {
            "equal": len(times),
            "last": times[-1] if times else 0.0,
            "half": times[len(times) // 2] if times else 0.0,
            "refused": len(self.refused),
            "why": sorted(set(self.refused))[:3],
            "recovered": self.recovered,
            "resyncs": self.resyncs,
            "codes": self.codes,
            # What the longest waiting of them may have drawn.
            "window": min(LONGEST, FIRST * 2 ** max((one.attempts - 1 for one in self.members), default=0)),
        }


async def obey(fleet: Fleet) -> None:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        words = json.loads(line)
        print(json.dumps(await getattr(fleet, words.pop("do"))(**words)), flush=True)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--wishes", required=True)
    options = parser.parse_args()
    await obey(Fleet(options.port, json.loads(options.wishes)))


if __name__ == "__main__":
    asyncio.run(main())
