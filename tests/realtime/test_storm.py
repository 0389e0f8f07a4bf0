"""A server that comes back: hundreds of clients connect in the same moment, and continue."""

from __future__ import annotations

import json
import socket
import threading
from collections import Counter
from typing import Any

import pytest
from django.db.backends.utils import CursorWrapper

from realtime import journal
from realtime.framing import Opcode
from tests.library.models import Book, Shelf
from tests.realtime.serving import LIMIT, peer, person, served, token_of, until

pytestmark = pytest.mark.django_db(transaction=True)

CLIENTS = 300


def masked(text: str) -> bytes:
    """A mask of zeros leaves the bytes as they are."""
    payload = text.encode()
    size = bytes([0x80 | len(payload)]) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
    return bytes([0x80 | Opcode.TEXT]) + size + b"\0\0\0\0" + payload


def call(verb: str, **args: Any) -> bytes:
    return masked(json.dumps({"verb": verb, "route": "session", "args": args, "callbackname": verb}))


def test_hundreds_come_back_at_once_none_is_refused_and_none_asks_more_than_three_things(
    settings: Any, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REDIS_URL = redis_url
    settings.REALTIME_BUS_PREFIX = "storm"
    settings.REALTIME_CONNECTIONS_PER_USER = 2 * CLIENTS
    token = token_of(person(is_staff=True))
    book = Book.objects.create(title="before", shelf=Shelf.objects.create(name="one"))
    wanted = [
        {"route": "book", "channel": f"b{pages}", "pages__gt": pages, "_snapshot": True} for pages in (-3, -2, -1)
    ]
    with served() as server, peer(server.port, token=token) as client:
        # Until the book is published, what a snapshot shows of it has no position.
        until(lambda: journal.pending()[0] == 0, "publishing the book")
        name = client.send("subscribe", "session", subscriptions=wanted)
        positions = [client.reply(name)["context"]["position"] for _ in wanted]
    Book.objects.filter(pk=book.pk).update(title="meanwhile")
    again = [{**entry, "_since": position} for entry, position in zip(wanted, positions, strict=True)]

    asked: Counter[str] = Counter()
    execute = CursorWrapper.execute

    def counted(self: Any, sql: Any, params: Any = None) -> Any:
        if not str(sql).startswith("PRAGMA"):
            asked[threading.current_thread().name.rpartition("_")[0]] += 1
        return execute(self, sql, params)

    with served() as server:
        monkeypatch.setattr(CursorWrapper, "execute", counted)
        hello = (
            f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
            f"Authorization: Bearer {token}\r\n\r\n"
        )
        storm = hello.encode() + call("whoami") + call("subscribe", subscriptions=again)
        clients = [socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT) for _ in range(CLIENTS)]
        try:
            for one in clients:
                one.sendall(storm)
            for one in clients:
                heard = b""
                while heard.count(b'"recovered":true') < 3 or heard.count(b'"meanwhile"') < 3:
                    chunk = one.recv(65536)
                    assert chunk, heard
                    heard += chunk
                assert heard.startswith(b"HTTP/1.1 101"), heard[:200]
                assert b'"error"' not in heard
        finally:
            for one in clients:
                one.close()
    # Beside those of each connection, all identities are looked at together now and then.
    assert 0 < asked["realtime-verb"] + asked["realtime-judge"] <= 3 * CLIENTS + 10, asked
