"""RFC 6455 as a receiver of benchmarks needs it: split what came into frames, write a client's frames."""

from __future__ import annotations

import base64
import os
import struct
from collections.abc import Iterator

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


def masked(text: str) -> bytes:
    """A client's text frame."""
    return control(TEXT, text.encode())


def control(opcode: int, payload: bytes) -> bytes:
    """A client's frame of any kind; a mask of zeros is legal (5.3) and leaves the bytes as they are."""
    size, first = len(payload), 0x80 | opcode
    if size < 126:
        head = bytes([first, 0x80 | size])
    elif size < 1 << 16:
        head = bytes([first, 0x80 | 126]) + struct.pack(">H", size)
    else:
        head = bytes([first, 0x80 | 127]) + struct.pack(">Q", size)
    return head + b"\0\0\0\0" + payload


def split(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """(opcode, where the frame begins, where its payload begins, where it ends) of each whole frame in `data`."""
    at, end = 0, len(data)
    while end - at >= 2:
        size, head = data[at + 1] & 0x7F, 2
        if size == 126:
            if end - at < 4:
                return
            size, head = int.from_bytes(data[at + 2 : at + 4], "big"), 4
        elif size == 127:
            if end - at < 10:
                return
            size, head = int.from_bytes(data[at + 2 : at + 10], "big"), 10
        if end - at < head + size:
            return
        yield data[at] & 0x0F, at, at + head, at + head + size
        at += head + size


def handshake(port: int, path: str, header: str = "") -> bytes:
    """The request that opens a WebSocket; offers no extension, so nobody compresses."""
    key = base64.b64encode(os.urandom(16)).decode()
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{header}\r\n"
    ).encode()
