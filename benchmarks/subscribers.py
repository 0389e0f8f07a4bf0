"""A thousand subscribers in one process: raw sockets on epoll, every frame counted and its length checked.

Run as a program it connects, subscribes, prints `ready`, counts until it has what it waits for, and prints one JSON
line. It is a process of its own so that the server's CPU seconds are the server's alone.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import select
import socket
import struct
import sys
import time
from dataclasses import dataclass, field


@dataclass
class Subscriber:
    """One connection: `buffer` holds what came and is not yet a whole frame."""

    sock: socket.socket
    buffer: bytearray = field(default_factory=bytearray)
    frames: int = 0


TEXT, PING, PONG = 0x1, 0x9, 0xA


def masked(text: str) -> bytes:
    """A client's text frame."""
    return _masked(TEXT, text.encode())


def _masked(opcode: int, payload: bytes) -> bytes:
    """RFC 6455 5.2: clients mask; a mask of zeros is legal and leaves the bytes as they are."""
    size, first = len(payload), 0x80 | opcode
    head = bytes([first, 0x80 | size]) if size < 126 else bytes([first, 0x80 | 126]) + struct.pack(">H", size)
    return head + b"\0\0\0\0" + payload


def connect(host: str, port: int, path: str, headers: str) -> socket.socket:
    """A socket behind its WebSocket handshake. Raises ConnectionError with the server's answer when that is not 101."""
    sock = socket.create_connection((host, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    key = base64.b64encode(os.urandom(16)).decode()
    sock.sendall(
        f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n{headers}\r\n".encode()
    )
    answer = b""
    while b"\r\n\r\n" not in answer:
        chunk = sock.recv(1)
        if not chunk:
            raise ConnectionError(answer.decode(errors="replace"))
        answer += chunk
    if b" 101 " not in answer.split(b"\r\n", 1)[0]:
        raise ConnectionError(answer.decode(errors="replace"))
    return sock


def frames(buffer: bytearray, sock: socket.socket) -> list[bytes]:
    """The payloads of the whole text frames in `buffer`, which are taken from it; pings are answered on `sock`."""
    found: list[bytes] = []
    at, end = 0, len(buffer)
    while end - at >= 2:
        size, head = buffer[at + 1] & 0x7F, 2
        if size == 126:
            if end - at < 4:
                break
            size, head = int.from_bytes(buffer[at + 2 : at + 4], "big"), 4
        elif size == 127:
            if end - at < 10:
                break
            size, head = int.from_bytes(buffer[at + 2 : at + 10], "big"), 10
        if end - at < head + size:
            break
        opcode = buffer[at] & 0x0F
        if opcode == TEXT:
            found.append(bytes(buffer[at + head : at + head + size]))
        elif opcode == PING:
            sock.sendall(_masked(PONG, bytes(buffer[at + head : at + head + size])))
        at += head + size
    del buffer[:at]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/ws")
    parser.add_argument("--header", default="")
    parser.add_argument("--call", default="", help="sent once on each connection; its reply frames are not counted")
    parser.add_argument("--marker", default='"offset":', help="a frame that contains this text is counted")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--frames", type=int, required=True, help="frames each subscriber waits for")
    parser.add_argument("--timeout", type=float, default=60)
    options = parser.parse_args()
    header = options.header + "\r\n" if options.header else ""
    marker = options.marker.encode()
    poll = select.epoll()
    subscribers: dict[int, Subscriber] = {}
    waiting: set[int] = set()
    for _ in range(options.count):
        sock = connect("127.0.0.1", options.port, options.path, header)
        if options.call:
            sock.sendall(masked(options.call))
            waiting.add(sock.fileno())
        sock.setblocking(False)
        subscribers[sock.fileno()] = Subscriber(sock)
        poll.register(sock.fileno(), select.EPOLLIN)
    latencies: list[float] = []
    done = 0
    announced = False
    first: float | None = None
    deadline = time.monotonic() + options.timeout
    closed = 0
    while done < options.count and time.monotonic() < deadline:
        if not announced and not waiting:
            print("ready", flush=True)
            announced = True
        for fd, _event in poll.poll(1.0):
            one = subscribers[fd]
            try:
                chunk = one.sock.recv(1 << 18)
            except BlockingIOError:
                continue
            if not chunk:
                poll.unregister(fd)
                closed += 1
                done += 1
                continue
            one.buffer += chunk
            now = time.time()
            for payload in frames(one.buffer, one.sock):
                if fd in waiting and b'"context"' in payload:
                    waiting.discard(fd)
                elif marker in payload:
                    first = first or now
                    one.frames += 1
                    if (place := payload.find(b'"sent":"')) >= 0:
                        latencies.append(now - float(payload[place + 8 : payload.index(b'"', place + 8)]))
                    if one.frames == options.frames:
                        done += 1
    latencies.sort()
    json.dump(
        {
            "frames": sum(one.frames for one in subscribers.values()),
            "expected": options.count * options.frames,
            "seconds": time.time() - (first or time.time()),
            "closed": closed,
            "p50_ms": round(1000 * latencies[len(latencies) // 2], 2) if latencies else None,
            "p99_ms": round(1000 * latencies[int(len(latencies) * 0.99)], 2) if latencies else None,
        },
        sys.stdout,
    )
    print(flush=True)


if __name__ == "__main__":
    main()
