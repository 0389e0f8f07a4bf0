"""One WebSocket after its handshake: frames straight to the socket, pings, goodbye.

Tornado's stream reads and does the rest of a write that the kernel refused; nothing of `tornado.websocket` is used,
which starts a task for every message it sends (28.6 CPU seconds per million frames instead of 3.4).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

from realtime.errors import CloseCode
from realtime.framing import Closing, Fault, Opcode, Ping, Reader, Text, close_frame, frame, text_frame

# Read at a time: what arrives while a client is told to wait is at most this.
CHUNK = 16 * 1024
# A peer that was told goodbye has so long to answer before the socket is closed without it.
GOODBYE_SECONDS = 2.0


class Plain:
    """How texts become frames on `/ws`; see `frames.Transport`."""

    name = "websocket"
    legacy = False

    def encode(self, text: str) -> bytes:
        return text_frame(text.encode())


@dataclass(frozen=True, slots=True)
class Events:
    """What the owner of a socket is told, always on the loop."""

    text: Callable[[str], None]
    # So many bytes that the kernel had refused are out now: `send` may be called again.
    drained: Callable[[int], None]
    # Exactly once, whoever closed; the code is the peer's, ours, or 1006 for none.
    closed: Callable[[int], None]


class Socket:
    """Set `events`, then `send` whole frames only; call `serve` once, it returns when the connection is over."""

    events: Events

    def __init__(self, stream: IOStream, message_limit: int, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._reader = Reader(message_limit)
        self._clock = clock
        # OpenSSL must see every byte, so only a plain socket may be written to beside its stream.
        self._direct = not isinstance(stream, SSLIOStream)
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._code: int | None = None
        self._pong: bytes | None = None
        self._pong_waits = False
        self.heard = clock()
        self.pinged = clock()
        stream.set_nodelay(True)

    async def serve(self) -> None:
        """Read until the connection is over; after our own goodbye, only for the peer's."""
        code = 1006
        try:
            while True:
                await self._may_read.wait()
                data = await self._read()
                self.heard = self._clock()
                ping: bytes | None = None
                for received in self._reader.receive(data):
                    match received:
                        case Text(text) if self._code is None:
                            self.events.text(text)
                        case Ping(payload):
                            ping = payload
                        case Closing(code, _):
                            self._say_goodbye(1000 if code == 1005 else code, "")
                            return
                if ping is not None:
                    # One answer for all that came together: RFC 6455, 5.5.3, asks for the latest only.
                    self._answer(ping)
        except Fault as fault:
            code = fault.code
            self._say_goodbye(fault.code, fault.reason)
            await self._drain()
        except StreamClosedError:
            pass
        finally:
            self._stream.close()
            self.events.closed(self._code or code)

    async def _read(self) -> bytes:
        read = asyncio.ensure_future(self._stream.read_bytes(CHUNK, partial=True))
        if read.done():
            # Awaiting what is there already gives nobody a turn, and a peer that sends fast enough always is.
            await asyncio.sleep(0)
        return await read

    # Writing

    def send(self, data: bytes) -> int:
        """Hand over frames; returns how many bytes the kernel has not taken yet, `drained` is called when it has.

        While there are such bytes, do not call it again: what waits outside can still be replaced by newer.
        """
        return self._write(data, self.events.drained) if self._code is None else 0

    def write_last(self, data: bytes) -> None:
        """A frame before `close`, behind whatever waits."""
        if self._code is None:
            self._write(data)

    def _write(self, data: bytes, done: Callable[[int], None] | None = None) -> int:
        stream = self._stream
        if stream.closed():
            return 0
        sent = 0
        if self._direct and not stream.writing():
            try:
                sent = stream.socket.send(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                stream.close()
                return 0
            if sent == len(data):
                return 0
        try:
            future = stream.write(memoryview(data)[sent:])
        except StreamClosedError:
            return 0
        if future.done():
            return 0
        left = len(data) - sent
        if done is not None:
            future.add_done_callback(lambda written: done(left) if written.exception() is None else None)
        return left

    def _answer(self, payload: bytes) -> None:
        """At most one pong waits, for the latest ping: a peer that only pings must not grow our memory."""
        if self._pong_waits:
            self._pong = payload
            return
        self._pong_waits = self._write(frame(Opcode.PONG, payload), self._pong_out) > 0

    def _pong_out(self, _left: int) -> None:
        self._pong_waits = False
        if self._pong is not None:
            payload, self._pong = self._pong, None
            self._answer(payload)

    # Alive

    def ping(self) -> None:
        """Nothing is remembered of it: whatever the peer sends counts as an answer."""
        self.pinged = self._clock()
        self._write(frame(Opcode.PING, b""))

    @property
    def paused(self) -> bool:
        return not self._may_read.is_set()

    def pause(self) -> None:
        """Read no more; what the kernel holds makes the peer wait."""
        self._may_read.clear()

    def resume(self) -> None:
        self.heard = self._clock()
        self._may_read.set()

    # Goodbye

    @property
    def closing(self) -> bool:
        return self._code is not None or self._stream.closed()

    def close(self, code: CloseCode) -> None:
        """Say why; the socket is closed when the peer has answered, or a little later without it."""
        self._say_goodbye(code, code.reason)
        asyncio.get_running_loop().call_later(GOODBYE_SECONDS, self._stream.close)
        self.resume()

    def _say_goodbye(self, code: int, reason: str) -> None:
        if self._code is None:
            self._code = code
            self._write(close_frame(code, reason))

    async def _drain(self) -> None:
        """Read on for a while: with unread bytes a close is a reset, and our last frames are lost."""
        asyncio.get_running_loop().call_later(GOODBYE_SECONDS, self._stream.close)
        with contextlib.suppress(StreamClosedError):
            while True:
                await self._read()
