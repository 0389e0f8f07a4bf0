"""One WebSocket after its handshake, on its own socket: frames straight to the kernel, pings, goodbye.

Nothing of Tornado is left of it. `write_message` starts a task for every frame (28.6 CPU seconds per million frames,
straight to the socket 3.4), and a stream with the request it came from is two thirds of what an idle connection takes.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tornado.iostream import IOStream, SSLIOStream, StreamClosedError

from realtime.errors import CloseCode
from realtime.framing import Closing, Fault, Opcode, Ping, Reader, Text, close_frame, frame, text_frame
from realtime.limits import Limits
from realtime.rate import Bucket

logger = logging.getLogger("realtime.transport")

# Read at a time, and in one turn of the loop: what arrives while a client is told to wait is at most this.
CHUNK = 16 * 1024
# More than a stream reads ahead of a request.
EARLY = 128 * 1024
# What the kernel keeps for a peer that does not read; left alone it takes up to 4 MiB each, and nobody is told. Linux
# doubles it, which is 5 MB a second to a peer 100 ms away.
KERNEL_BYTES = 256 * 1024
# A peer that was told goodbye has so long to answer before the socket is closed without it.
GOODBYE_SECONDS = 2.0
# The longest rest at a stretch from a peer's small frames: meanwhile nobody notices that it is gone.
REST_SECONDS = 5.0


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


def taken_over(stream: IOStream) -> tuple[socket.socket, bytes]:
    """The connection without its stream, which is closed, and what the peer sent behind its request. OSError if it is
    gone, or sends so fast that reading all that is there would never end."""
    if isinstance(stream, SSLIOStream):
        # OpenSSL must see every byte.
        raise OSError("TLS is a proxy's work")
    received = b""
    try:
        while (read := asyncio.ensure_future(stream.read_bytes(EARLY, partial=True))).done():
            received += read.result()
            if len(read.result()) < EARLY:
                break  # The stream itself has no more; what the kernel has is ours to read.
            if len(received) > 4 * EARLY:
                raise OSError("it sends too fast")
        own = stream.socket.dup()
    except StreamClosedError as error:
        raise OSError("gone") from error
    finally:
        stream.close()
    return own, received


class Socket:
    """Set `events`, then call `serve` once; `send` whole frames only."""

    __slots__ = ("_clock", "_code", "_dead", "_deaf", "_early", "_held", "_kept", "_limits", "_loop", "_pace",
                 "_plain", "_pong", "_pong_waits", "_raw", "_reader", "_reading", "_rest", "_sock", "_timer", "events",
                 "heard", "pinged", "spoke")  # fmt: skip

    events: Events

    def __init__(self, sock: socket.socket, limits: Limits, clock: Callable[[], float]) -> None:
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
        self._sock = sock
        self._raw = sock.send
        self._loop = asyncio.get_running_loop()
        self._reader = Reader(limits.message_bytes)
        self._limits = limits
        self._clock = clock
        # Calls are counted by who understands them; this is for frames that never become one. Most peers send none.
        self._pace: Bucket | None = None
        self._rest: asyncio.TimerHandle | None = None
        # Somebody wants nothing read.
        self._held = False
        self._early = b""
        # What the kernel has refused so far: the rest of each write, and what to tell when it is out.
        self._kept: deque[tuple[memoryview, int]] | None = None
        # Whether bytes may go to the kernel at once: nothing is kept, no goodbye was said, nobody hung up.
        self._plain = True
        self._code: int | None = None
        # The peer broke the protocol: what it still sends is read and dropped, for with unread bytes a close is a
        # reset, and our last frames are lost.
        self._deaf = False
        self._dead = False
        self._reading = False
        self._timer: asyncio.TimerHandle | None = None
        self._pong: bytes | None = None
        self._pong_waits = False
        self.heard = self.pinged = clock()
        # Something was sent since whoever asks took this back.
        self.spoke = False

    def serve(self, received: bytes = b"") -> None:
        """Read until the connection is over, beginning with what was received already. Returns at once."""
        self._early = received
        self._listen(True)

    # Reading

    def _listen(self, listening: bool) -> None:
        if listening is not self._reading and not self._dead:
            self._reading = listening
            if self._early:
                self._loop.call_soon(self._take_early)
            elif listening:
                self._loop.add_reader(self._sock, self._readable)
            else:
                self._loop.remove_reader(self._sock)

    def _take_early(self) -> None:
        """In turns, as if it were read now, and before anything is."""
        if not self._early or not self._reading:
            return
        data, self._early = self._early[:CHUNK], self._early[CHUNK:]
        self._take(data)
        if self._reading and self._early:
            self._loop.call_soon(self._take_early)
        elif self._reading:
            self._loop.add_reader(self._sock, self._readable)

    def _readable(self) -> None:
        try:
            data = self._sock.recv(CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if data:
            self._take(data)
        else:
            self._end(1006)

    def _take(self, data: bytes) -> None:
        if self._dead or self._deaf:
            return
        self.heard = self._clock()
        ping: bytes | None = None
        try:
            for received in self._reader.receive(data):
                match received:
                    case Text(text) if self._code is None:
                        self.events.text(text)
                    case Ping(payload):
                        ping = payload
                    case Closing(code, _):
                        self._say_goodbye(1000 if code == 1005 else code, "")
                        self._end(code)
                        return
            if ping is not None:
                # One answer for all that came together: RFC 6455, 5.5.3, asks for the latest only.
                self._answer(ping)
            self._slow_down()
        except Fault as fault:
            self._deaf = True
            self._say_goodbye(fault.code, fault.reason)
            self._end_soon()
        except Exception:
            # Told here, because the loop would only say so and read on.
            logger.exception("a connection failed")
            self._end(1011)

    def _slow_down(self) -> None:
        """Rest after too many small frames; who sends them all the same does not listen."""
        small, self._reader.small = self._reader.small, 0
        if not small:
            return
        limits = self._limits
        if self._pace is None:
            self._pace = Bucket(limits.frames_per_second, limits.frames_burst, limits.flood_seconds, self._clock)
        seconds = self._pace.take(small)
        if self._pace.flooding or (seconds > 0 and self._code is not None):
            raise Fault(CloseCode.TOO_FAST, CloseCode.TOO_FAST.reason)
        if seconds > 0 and not self._dead:
            self._listen(False)
            # Not quite all of it: who has more ready then shall not look as if it had come in time.
            self._rest = self._loop.call_later(min(0.9 * seconds, REST_SECONDS), self._rested)

    def _rested(self) -> None:
        self._rest = None
        if not self._held:
            self.resume()

    # Writing

    def send(self, data: bytes) -> int:
        """Hand over frames; returns how many bytes the kernel has not taken yet, `drained` is called when it has.

        While there are such bytes, do not call it again: what waits outside can still be replaced by newer.
        """
        if self._plain:
            # Everybody in a channel comes by here for every frame.
            self.spoke = True
            try:
                sent = self._raw(data)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                return self._lose()
            left = len(data) - sent
            return self._keep(data, sent, left) if left else 0
        return 0 if self._code is not None or self._dead else self._write(data, told=True)

    def write_last(self, data: bytes) -> None:
        """A frame before `close`, behind whatever waits."""
        if self._code is None:
            self._write(data)

    def _write(self, data: bytes, *, told: bool = False) -> int:
        """Whole frames behind what is kept; how many bytes are left for later."""
        sent = 0
        if self._dead:
            return 0
        if not self._kept:
            try:
                sent = self._raw(data)
            except (BlockingIOError, InterruptedError):
                pass
            except OSError:
                return self._lose()
        left = len(data) - sent
        return self._keep(data, sent, left if told else 0) if left else 0

    def _keep(self, data: bytes, sent: int, told: int) -> int:
        if not self._kept:
            self._kept = deque()
            self._loop.add_writer(self._sock, self._writable)
        self._plain = False
        self._kept.append((memoryview(data)[sent:], told))
        return len(data) - sent

    def _writable(self) -> None:
        kept, drained = self._kept, 0
        try:
            while kept:
                data, told = kept[0]
                sent = self._raw(data)
                if sent < len(data):
                    kept[0] = data[sent:], told
                    break
                kept.popleft()
                drained += told
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._lose()
            return
        if not kept:
            self._kept = None
            self._plain = self._code is None
            self._loop.remove_writer(self._sock)
            self._pong_out()
        if drained:
            self.events.drained(drained)

    def _lose(self) -> int:
        """The peer is gone. Told in a turn of its own: whoever sends is in the middle of something."""
        self._plain = False
        if not self._dead:
            self._loop.call_soon(self._end, 1006)
        return 0

    def _answer(self, payload: bytes) -> None:
        """At most one pong waits, for the latest ping: a peer that only pings must not grow our memory."""
        if self._pong_waits:
            self._pong = payload
        else:
            self._pong_waits = self._write(frame(Opcode.PONG, payload)) > 0

    def _pong_out(self) -> None:
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
        return not self._reading

    def pause(self) -> None:
        """Read no more; what the kernel holds makes the peer wait."""
        self._held = True
        self._listen(False)

    def resume(self) -> None:
        self._held = False
        self.heard = self._clock()
        if self._rest is None:
            self._listen(True)

    # Goodbye

    @property
    def closing(self) -> bool:
        return self._code is not None or self._dead

    def close(self, code: CloseCode) -> None:
        """Say why; the socket is closed when the peer has answered, or a little later without it."""
        self._say_goodbye(code, code.reason)
        # Its goodbye, or its end, is all that is waited for now.
        self._wake()
        self.resume()
        self._end_soon()

    def _wake(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def abort(self) -> None:
        """Close it now; whoever is there sees a connection that breaks."""
        self._end(1006)

    def _say_goodbye(self, code: int, reason: str) -> None:
        if self._code is None:
            self._code = code
            self._plain = False
            self._write(close_frame(code, reason))

    def _end_soon(self) -> None:
        if self._timer is None and not self._dead:
            self._timer = self._loop.call_later(GOODBYE_SECONDS, self._end, 1006)

    def _end(self, code: int) -> None:
        if self._dead:
            return
        self._listen(False)
        self._wake()
        self._dead, self._plain = True, False
        if self._kept:
            self._loop.remove_writer(self._sock)
            self._kept = None
        if self._timer is not None:
            self._timer.cancel()
        self._sock.close()
        events, self.events = self.events, _NOBODY
        events.closed(self._code or code)


def _nothing(what: object) -> None:
    pass


# Told of what comes too late; it also leaves an ended connection to be freed at once.
_NOBODY = Events(_nothing, _nothing, _nothing)
