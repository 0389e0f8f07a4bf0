"""A client that writes the bytes itself and obeys nothing; and what a server process has in use."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from tests.promise.installation import SCALE
from tests.realtime.serving import LIMIT, Peer

# What others notice of an attack: nothing that a person would.
NOTICED_SECONDS = 0.5 * SCALE

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
FIRST, MORE, LAST = 0x01, 0x00, 0x80


def frame(
    first: int, payload: bytes = b"", *, mask: bytes | None = b"\x01\x02\x03\x04", form: int | None = None
) -> bytes:
    """A frame with this first byte; `form` is how its length is written (7, 16 or 64 bits), if not as it should be."""
    size = len(payload)
    form = form or (7 if size < 126 else 16 if size < 2**16 else 64)
    masked = 0x80 if mask is not None else 0
    head = bytes([first])
    if form == 7:
        head += bytes([masked | size])
    else:
        head += bytes([masked | (126 if form == 16 else 127)]) + size.to_bytes(form // 8, "big")
    if mask is None:
        return head + payload
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def handshake(path: str = "/ws", **headers: str) -> bytes:
    fields = {
        "Host": "127.0.0.1:8000",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in fields.items() if value]
    return (f"GET {path} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode()


class Stranger:
    """A TCP connection to the server; use it as a context."""

    def __init__(self, port: int, *, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(LIMIT)
        self.socket.connect(("127.0.0.1", port))
        self.head = b""
        self._read = b""

    @classmethod
    def inside(
        cls, port: int, token: str = "", *, path: str = "/ws", receive_buffer: int = 0, **headers: str
    ) -> Stranger:
        """One whose handshake was answered."""
        found = cls(port, receive_buffer=receive_buffer)
        found.send(handshake(path, **({"Authorization": f"Bearer {token}"} if token else {}), **headers))
        found.enter()
        return found

    def enter(self) -> None:
        """Wait for the answer to the handshake."""
        while b"\r\n\r\n" not in self._read:
            data = self._receive()
            assert data, "hung up on"
            self._read += data
        self.head, _, self._read = self._read.partition(b"\r\n\r\n")
        assert self.head.startswith(b"HTTP/1.1 101 "), self.head

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def push(self, data: bytes, seconds: float) -> int:
        """Send it again and again for so long, or until the server takes no more; how many bytes went out."""
        sent = 0
        left = memoryview(b"")
        until = time.monotonic() + seconds
        self.socket.settimeout(0.2)
        try:
            while time.monotonic() < until:
                # Whole frames one after the other: half of one would end it all.
                left = left or memoryview(data)
                with contextlib.suppress(TimeoutError):
                    count = self.socket.send(left)
                    sent, left = sent + count, left[count:]
        except OSError:
            pass  # the server is through with us
        finally:
            self.socket.settimeout(LIMIT)
        return sent

    def frames(self) -> Iterator[tuple[int, bytes]]:
        """(first byte, payload) of what the server sends, until it closes."""
        while True:
            while (taken := self._frame()) is None:
                data = self._receive()
                if not data:
                    return
                self._read += data
            yield taken

    def close_code(self) -> int:
        """What the server closes with; 1006 if it only hangs up."""
        with contextlib.suppress(ConnectionError):
            for first, payload in self.frames():
                if first == CLOSE:
                    return int.from_bytes(payload[:2], "big")
        return 1006

    def ended(self) -> bool:
        """Waits until the server has hung up."""
        with contextlib.suppress(ConnectionError):
            while self._receive():
                pass
        return True

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def _receive(self) -> bytes:
        return self.socket.recv(65536)

    def _frame(self) -> tuple[int, bytes] | None:
        data = self._read
        if len(data) < 2:
            return None
        size, start = data[1], 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(data) < start:
                return None
            size = int.from_bytes(data[2:start], "big")
        if len(data) < start + size:
            return None
        self._read = data[start + size :]
        return data[0], data[start : start + size]

    def __enter__(self) -> Stranger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()


def answered(canary: Peer) -> None:
    """Fails if an honest client notices anything."""
    begun = time.monotonic()
    assert canary.call("ping", "room")["data"] == "pong"
    took = time.monotonic() - begun
    assert took < NOTICED_SECONDS, f"{took:.2f} s"


def rss(pid: int) -> int:
    """Bytes of memory that a process really has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors(pid: int) -> int:
    """Without those of the database: each of a server's threads keeps its own connection once it was needed, and there
    are only so many threads."""
    found = 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found += ".sqlite3" not in os.readlink(descriptor)
    return found


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
