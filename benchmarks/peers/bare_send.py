"""No server, but the limit: `send` of prepared bytes to each socket and nothing else. What it spends is the kernel's.

It shows which part of everybody's cost per frame is this machine's price of one `send`.
"""

import base64
import hashlib
import json
import re
import socket
import sys
import threading

import redis

rooms: dict[str, list[socket.socket]] = {}
bus = redis.Redis.from_url(sys.argv[2])


def frame(text: bytes) -> bytes:
    head = bytes([0x81, len(text)]) if len(text) < 126 else b"\x81\x7e" + len(text).to_bytes(2, "big")
    return head + text


def read(sock: socket.socket) -> None:
    request = sock.recv(4096).decode()
    key = re.search("Sec-WebSocket-Key: (.*)\r", request)[1] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # type: ignore[index]
    accept = base64.b64encode(hashlib.sha1(key.encode()).digest()).decode()
    head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    sock.sendall(f"{head}Sec-WebSocket-Accept: {accept}\r\n\r\n".encode())
    words = json.loads(sock.recv(4096).partition(b"\0\0\0\0")[2])
    rooms.setdefault(words["join"], []).append(sock)
    sock.sendall(frame(b"joined"))


def accept(server: socket.socket) -> None:
    while True:
        sock, _ = server.accept()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        read(sock)


if __name__ == "__main__":
    server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=1024)
    threading.Thread(target=accept, args=[server], daemon=True).start()
    reader = bus.pubsub()
    reader.psubscribe("room:*")
    print("ready", flush=True)
    for message in reader.listen():
        if message["type"] == "pmessage":
            data = frame(message["data"])
            room = rooms.get(message["channel"].decode()[5:], [])
            for sock in tuple(room):
                try:
                    sock.send(data)
                except OSError:  # those of the measurement before this one
                    room.remove(sock)
