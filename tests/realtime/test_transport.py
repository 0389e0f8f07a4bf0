"""One socket under hard conditions: full kernels, pings beside frames, peers that read slowly or never say goodbye."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable

import pytest
from websockets.frames import Frame, Opcode

from realtime import transport
from realtime.errors import CloseCode
from realtime.framing import text_frame
from realtime.limits import Limits
from realtime.transport import Events, Socket

LIMIT = 10.0
SMALL = Limits(message_bytes=1000)


class Owner:
    def __init__(self) -> None:
        self.texts: list[str] = []
        self.taken = 0
        self.drained = asyncio.Event()
        self.code: int | None = None
        self.closed = asyncio.Event()
        self.said = asyncio.Event()

    def events(self) -> Events:
        return Events(self._say, self._drain, self._close)

    def _say(self, text: str) -> None:
        self.texts.append(text)
        self.said.set()

    async def heard(self, count: int) -> None:
        while len(self.texts) < count:
            self.said.clear()
            await self.said.wait()

    def _drain(self, count: int) -> None:
        self.taken += count
        self.drained.set()

    def _close(self, code: int) -> None:
        assert self.code is None, "told twice"
        self.code = code
        self.closed.set()


Story = Callable[[Socket, socket.socket, Owner], Awaitable[None]]


def play(story: Story, *, buffer: int | None = None, limits: Limits = SMALL) -> Owner:
    """A served socket, its peer's end, and who is told."""

    async def main() -> Owner:
        here, there = socket.socketpair()
        if buffer:
            here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
        there.settimeout(LIMIT)
        owner = Owner()
        loop = asyncio.get_running_loop()
        served = Socket(here, limits, loop.time)
        served.events = owner.events()
        served.serve()
        try:
            async with asyncio.timeout(LIMIT):
                await story(served, there, owner)
        finally:
            there.close()
            async with asyncio.timeout(LIMIT):
                await owner.closed.wait()
        return owner

    return asyncio.run(main())


async def read(there: socket.socket, count: int) -> bytes:
    def receive() -> bytes:
        data = b""
        while len(data) < count and (chunk := there.recv(min(65536, count - len(data)))):
            data += chunk
        return data

    return await asyncio.to_thread(receive)


def masked(opcode: Opcode, data: bytes) -> bytes:
    return Frame(opcode, data).serialize(mask=True)


def test_a_frame_is_written_at_once_in_the_same_turn() -> None:
    async def story(served: Socket, there: socket.socket, owner: Owner) -> None:
        frame = text_frame(b"hello")
        assert served.send(frame) == 0
        assert there.recv(100) == frame  # without giving the loop a turn

    play(story)


def test_what_the_kernel_refuses_follows_in_order_and_is_told() -> None:
    sent = [text_frame(os.urandom(50_000).hex().encode()) for _ in range(6)]

    async def story(served: Socket, there: socket.socket, owner: Owner) -> None:
        reading = asyncio.create_task(read(there, sum(map(len, sent))))
        for frame in sent:
            owner.drained.clear()
            left = served.send(frame)
            if left:
                before = owner.taken
                await owner.drained.wait()
                assert owner.taken - before == left
        assert await reading == b"".join(sent)
        assert owner.taken > 0

    play(story, buffer=4096)


def test_pings_and_pongs_never_fall_into_a_frame() -> None:
    frame = text_frame(b"x" * 300_000)

    async def story(served: Socket, there: socket.socket, owner: Owner) -> None:
        assert served.send(frame) > 0
        served.ping()
        there.sendall(masked(Opcode.PING, b"one"))
        await asyncio.sleep(0.05)
        assert await read(there, len(frame)) == frame
        await owner.drained.wait()
        assert await read(there, 2 + 5) == b"\x89\x00" + b"\x8a\x03one"

    play(story, buffer=4096)


def test_of_a_flood_of_pings_only_the_last_waits() -> None:
    async def story(served: Socket, there: socket.socket, owner: Owner) -> None:
        blocked = text_frame(b"x" * 300_000)
        served.send(blocked)
        pings = b"".join(masked(Opcode.PING, b"%04d" % number) for number in range(2000))
        await asyncio.to_thread(there.sendall, pings)
        await asyncio.sleep(0.05)
        await read(there, len(blocked))
        answers = await read(there, 12)
        assert answers[:2] == b"\x8a\x04"
        assert answers.endswith(b"1999")

    play(story, buffer=4096, limits=Limits(frames_per_second=1e9, frames_burst=1e9))


def test_pings_that_come_together_get_one_answer() -> None:
    async def story(served: Socket, there: socket.socket, owner: Owner) -> None:
        there.sendall(masked(Opcode.PING, b"1") + masked(Opcode.PING, b"2") + masked(Opcode.TEXT, b"after"))
        await owner.heard(1)
        there.sendall(masked(Opcode.CLOSE, (1000).to_bytes(2, "big")))
        assert await read(there, 100) == b"\x8a\x012" + b"\x88\x02\x03\xe8"

    play(story)


def test_a_paused_socket_reads_nothing_until_it_resumes() -> None:
    async def story(served: Socket, there: socket.socket, owner: Owner) -> None:
        there.sendall(masked(Opcode.TEXT, b"first"))
        await owner.heard(1)
        served.pause()
        for number in range(10):
            there.sendall(masked(Opcode.TEXT, b"%d" % number))
        await asyncio.sleep(0.05)
        # One read may have been under way.
        assert len(owner.texts) <= 11
        served.resume()
        await owner.heard(11)
        assert owner.texts[-1] == "9"

    play(story)


def test_our_goodbye_waits_for_the_peers() -> None:
    async def story(served: Socket, there: socket.socket, owner: Owner) -> None:
        served.close(CloseCode.IDENTITY)
        assert (await read(there, 4))[2:] == (4001).to_bytes(2, "big")
        assert served.send(text_frame(b"late")) == 0
        there.sendall(masked(Opcode.TEXT, b"not heard"))
        there.sendall(masked(Opcode.CLOSE, (4001).to_bytes(2, "big")))
        await owner.closed.wait()
        assert owner.texts == []

    assert play(story).code == 4001


def test_a_peer_that_never_says_goodbye_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "GOODBYE_SECONDS", 0.05)

    async def story(served: Socket, there: socket.socket, owner: Owner) -> None:
        served.close(CloseCode.TOO_SLOW)
        await owner.closed.wait()

    assert play(story).code == 4008


def test_the_peers_goodbye_is_answered_with_its_code() -> None:
    async def story(served: Socket, there: socket.socket, owner: Owner) -> None:
        there.sendall(masked(Opcode.CLOSE, (1000).to_bytes(2, "big") + b"bye"))
        assert await read(there, 4) == b"\x88\x02\x03\xe8"

    assert play(story).code == 1000


def test_a_peer_that_is_gone_is_told_as_1006() -> None:
    async def story(served: Socket, there: socket.socket, owner: Owner) -> None:
        there.close()
        await owner.closed.wait()
        assert served.send(text_frame(b"to nobody")) == 0

    assert play(story).code == 1006


def test_a_broken_frame_is_answered_with_its_code() -> None:
    async def story(served: Socket, there: socket.socket, owner: Owner) -> None:
        there.sendall(b"\x81\x01a")
        assert (await read(there, 4))[2:] == (1002).to_bytes(2, "big")

    assert play(story).code == 1002


def test_a_peer_that_sends_without_a_pause_leaves_the_loop_to_others_too() -> None:
    text = masked(Opcode.TEXT, b"x" * 900)

    async def story(served: Socket, there: socket.socket, owner: Owner) -> None:
        there.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while there.send(text) == len(text):
                sent += 1
        assert sent * len(text) > 3 * transport.CHUNK
        most = 0
        while len(owner.texts) < sent:
            before = len(owner.texts)
            await asyncio.sleep(0)
            most = max(most, len(owner.texts) - before)
        assert most * len(text) <= 2 * transport.CHUNK

    play(story)


def test_a_peer_of_nothing_but_small_frames_is_read_later_and_then_cut() -> None:
    limits = Limits(frames_per_second=1000, frames_burst=10, flood_seconds=0.3)

    async def story(served: Socket, there: socket.socket, owner: Owner) -> None:
        there.sendall(masked(Opcode.PING, b"") * 200 + masked(Opcode.TEXT, b"x"))
        await owner.heard(1)
        assert served.paused
        # What somebody else asks for meanwhile does not end the rest.
        served.resume()
        assert served.paused
        there.setblocking(False)
        while owner.code is None:
            with contextlib.suppress(OSError):
                there.send(masked(Opcode.PONG, b"") * 100)
            await asyncio.sleep(0.01)

    assert play(story, limits=limits).code == 4029


def test_a_peer_that_rests_and_is_held_reads_on_when_both_are_over() -> None:
    limits = Limits(frames_per_second=1000, frames_burst=10)

    async def story(served: Socket, there: socket.socket, owner: Owner) -> None:
        there.sendall(masked(Opcode.PING, b"") * 60 + masked(Opcode.TEXT, b"x"))
        await owner.heard(1)
        served.pause()
        there.sendall(masked(Opcode.TEXT, b"y"))
        await asyncio.sleep(0.2)
        assert owner.texts == ["x"]
        served.resume()
        await owner.heard(2)

    play(story, limits=limits)


def test_a_goodbye_does_not_wait_for_a_rest() -> None:
    limits = Limits(frames_per_second=1, frames_burst=10)

    async def story(served: Socket, there: socket.socket, owner: Owner) -> None:
        there.sendall(masked(Opcode.PING, b"") * 20 + masked(Opcode.TEXT, b"x"))
        await owner.heard(1)
        served.close(CloseCode.TOO_SLOW)
        there.sendall(masked(Opcode.CLOSE, (4008).to_bytes(2, "big")))
        await owner.closed.wait()

    assert play(story, limits=limits).code == 4008
