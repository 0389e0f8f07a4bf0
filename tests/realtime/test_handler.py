"""Handshakes and connections, over real sockets: who is let in, and how everybody else is told."""

from __future__ import annotations

import gc
import json
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import override_settings
from tornado.iostream import IOStream
from websockets.exceptions import InvalidStatus

from realtime import sessions, tokens
from realtime.handler import SocketHandler
from realtime.transport import KERNEL_BYTES
from tests.realtime.bus_base import wait_until
from tests.realtime.serving import LIMIT, Peer, Served, peer, person, served, session_of, token_of, until

pytestmark = pytest.mark.django_db(transaction=True)

OURS = "http://127.0.0.1:8000"


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as found:
        yield found


def refused(server: Served, **headers: str) -> int:
    with pytest.raises(InvalidStatus) as caught, peer(server.port, **headers):
        pass
    return caught.value.response.status_code


def last_of(server: Served, token: str) -> int:
    with peer(server.port, token=token) as client:
        return client.closed()


# -- who is let in ---------------------------------------------------------------------------------------------------


def test_a_browser_with_our_origin_and_its_cookie_is_who_the_session_says(server: Served) -> None:
    with peer(server.port, session=session_of(person("viewer"))) as client:
        assert client.call("whoami", "session")["data"]["user"]["username"] == "viewer"


def test_a_program_with_a_token_needs_no_origin(server: Served) -> None:
    with peer(server.port, token=token_of(person())) as client:
        data = client.call("whoami", "session")["data"]
    assert data["user"]["username"] == "operator"
    assert data["protocol"] == 1
    assert data["limits"]["message_bytes"] == 65536
    assert data["time"].endswith("+00:00")


def test_a_foreign_origin_is_refused_with_our_cookie_and_without(server: Served) -> None:
    session = session_of(person())
    for origin in (
        "http://evil.example",
        "null",
        "http://127.0.0.1:8001",
        "https://127.0.0.1:8000",
        "http://127.0.0.1.evil.example:8000",
        "http://127.0.0.1:8000@evil.example",
        "file://",
    ):
        assert refused(server, Origin=origin) == 403, origin
        assert refused(server, Origin=origin, session=session) == 403, origin


def test_a_foreign_host_is_refused_although_origin_equals_it(server: Served) -> None:
    """What a page whose name was pointed at our address sends."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT) as raw:
        raw.sendall(handshake(Host="evil.example:8000", Origin="http://evil.example:8000"))
        assert raw.recv(4096).startswith(b"HTTP/1.1 403 ")


def test_an_origin_that_equals_the_host_but_is_none_of_ours_is_refused(server: Served) -> None:
    assert refused(server, Origin=f"http://127.0.0.1:{server.port}") == 403


def test_a_cookie_without_origin_is_refused(server: Served) -> None:
    assert refused(server, Cookie=f"sessionid={session_of(person())}") == 403


def test_a_token_in_the_address_is_nobodys(server: Served) -> None:
    with peer(server.port, f"/ws?token={token_of(person())}") as client:
        assert client.call("whoami", "session")["data"]["user"] is None


def test_an_identity_that_does_not_hold_is_told_so_and_closed(server: Served) -> None:
    ended = session_of(person())
    Session.objects.all().delete()
    for session in ("invented", "x" * 32, ended):
        with peer(server.port, session=session) as client:
            assert client.closed() == 4001
        assert client.waiting[0]["context"]["error"]["code"] == "login_required"


def test_revoked_and_invented_tokens_get_the_same_answer(server: Served) -> None:
    row, text = tokens.create(person(), "old")
    tokens.revoke(row.key_id)
    answers = []
    for token in (text, "mlt_00000000_invented", "no-token-of-ours"):
        with peer(server.port, token=token) as client:
            answers.append((client.closed(), client.waiting))
    assert answers[0][0] == 4001
    assert answers[0] == answers[1] == answers[2]


def test_a_program_may_sign_in_with_its_first_call(server: Served) -> None:
    with peer(server.port) as client:
        reply = client.call("login", "session", token=token_of(person()))
        assert reply["data"]["user"]["username"] == "operator"
        assert client.subscribe("book")["context"]["state"] == "success"


def test_a_wrong_token_in_a_login_call_closes(server: Served) -> None:
    with peer(server.port) as client:
        client.send("login", "session", token="mlt_00000000_invented")
        assert client.closed() == 4001


def test_nobody_changes_the_identity_of_a_connection(server: Served) -> None:
    with peer(server.port, token=token_of(person())) as client:
        reply = client.call("login", "session", token=token_of(person("viewer")))
        assert reply["context"]["error"]["code"] == "bad_args"
        assert client.call("whoami", "session")["data"]["user"]["username"] == "operator"


def test_the_anonymous_are_told_to_sign_in_by_protected_routes_only(server: Served) -> None:
    with peer(server.port) as client:
        assert client.subscribe("book")["context"]["state"] == "login_required"
        assert client.call("ping", "room")["data"] == "pong"


def test_the_anonymous_who_use_nothing_are_closed_and_those_on_public_routes_stay(settings: Any) -> None:
    settings.REALTIME_LOGIN_SECONDS = 0.5
    with served() as server, peer(server.port) as guest, peer(server.port) as idle:
        assert guest.subscribe("room", room="open")["context"]["state"] == "success"
        assert idle.closed() == 4001
        assert guest.call("ping", "room")["data"] == "pong"


def test_one_connection_too_many_of_a_user_is_told_not_to_come_back(settings: Any) -> None:
    settings.REALTIME_CONNECTIONS_PER_USER = 2
    user, other = person(), person("viewer")
    with served() as server:
        with peer(server.port, token=token_of(user)), peer(server.port, session=session_of(user)):
            with peer(server.port, token=token_of(user)) as third:
                assert third.closed() == 1001, "as long as nobody knows whether the others are still there"
            until(lambda: last_of(server, token_of(user)) == 4009, "the final answer")
            with peer(server.port, token=token_of(other)) as someone:
                assert someone.call("whoami", "session")["data"]["user"]["username"] == "viewer"
        with peer(server.port, token=token_of(user)) as later:
            assert later.call("whoami", "session")["data"]["user"]["username"] == "operator"


# -- what is no handshake --------------------------------------------------------------------------------------------


def handshake(**headers: str) -> bytes:
    fields = {
        "Host": "127.0.0.1:8000",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in fields.items() if value]
    return ("GET /ws HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n").encode()


def test_what_is_no_handshake_is_answered_in_http_with_security_headers(server: Served) -> None:
    cases: list[tuple[dict[str, str], int]] = [
        ({"Upgrade": ""}, 426),
        ({"Connection": "keep-alive"}, 400),
        ({"Sec_WebSocket_Version": "8"}, 426),
        ({"Sec_WebSocket_Key": "short"}, 400),
        ({"Sec_WebSocket_Key": ""}, 400),
    ]
    for headers, status in cases:
        with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT) as raw:
            raw.sendall(handshake(**headers))
            answer = raw.recv(4096).decode()
        assert answer.startswith(f"HTTP/1.1 {status} "), headers
        assert "X-Content-Type-Options: nosniff" in answer
        assert "Content-Security-Policy: default-src 'none'" in answer
        assert "Server:" not in answer


def test_the_handshake_of_the_rfc_is_answered_as_the_rfc_says(server: Served) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT) as raw:
        raw.sendall(handshake())
        answer = raw.recv(4096).decode()
    assert answer.startswith("HTTP/1.1 101 ")
    assert "Sec-Websocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in answer


def test_a_half_finished_handshake_is_closed(settings: Any) -> None:
    settings.REALTIME_HANDSHAKE_SECONDS = 0.3
    with served() as server, socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT) as raw:
        raw.sendall(handshake()[:60])
        assert raw.recv(4096) == b""


def test_a_client_that_leaves_before_its_handshake_is_answered_is_no_fault(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, answered = threading.Event(), threading.Event()

    def slow(shown: list[str]) -> dict[str, None]:
        asked.set()
        answered.wait(LIMIT)
        return dict.fromkeys(shown)

    monkeypatch.setattr(sessions, "from_tokens", slow)
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT) as raw:
        raw.sendall(handshake(Authorization="Bearer x"))
        assert asked.wait(LIMIT)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    answered.set()
    # Its errors are logged before others are served; whatever is logged fails this test.
    with peer(server.port) as client:
        assert client.call("whoami", "session")["data"]["user"] is None


# -- frames ----------------------------------------------------------------------------------------------------------


def opened(server: Served) -> socket.socket:
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT)
    raw.sendall(handshake(Authorization=f"Bearer {token_of(person())}"))
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += raw.recv(4096)
    return raw


def close_code(raw: socket.socket) -> int:
    data = b""
    while chunk := raw.recv(4096):
        data += chunk
    place = data.index(b"\x88")
    return int.from_bytes(data[place + 2 : place + 4], "big")


def test_an_unmasked_frame_is_a_protocol_error(server: Served) -> None:
    with opened(server) as raw:
        raw.sendall(bytes.fromhex("810548656c6c6f"))
        assert close_code(raw) == 1002


def test_an_announced_terabyte_is_refused_at_once(server: Served) -> None:
    with opened(server) as raw:
        raw.sendall(bytes((0x81, 0xFF)) + (1 << 40).to_bytes(8, "big"))
        assert close_code(raw) == 1009


def test_a_message_above_the_limit_closes_with_1009(server: Served) -> None:
    with peer(server.port, token=token_of(person())) as client:
        client.socket.send("x" * 70_000)
        assert client.closed() == 1009


def test_nonsense_is_answered_and_the_connection_stays(server: Served) -> None:
    with peer(server.port, token=token_of(person())) as client:
        for text in ("", "[]", "null", "{", '{"verb": 1}', '{"verb":"a","route":"b","args":[]}', "[" * 5000):
            client.socket.send(text)
            assert client.receive()["context"]["error"]["code"] == "bad_call", text
        assert client.call("ping", "room")["data"] == "pong"


def test_a_client_heartbeat_gets_one_back(server: Served) -> None:
    with peer(server.port, token=token_of(person())) as client:
        client.socket.send(json.dumps({"heartbeat": "1"}))
        assert client.receive() == {"type": "heartbeat", "heartbeat": "1"}


def test_a_ping_is_answered(server: Served) -> None:
    with peer(server.port, token=token_of(person())) as client:
        assert client.socket.ping().wait(LIMIT)


def test_a_peer_that_answers_no_ping_is_closed_with_4010(settings: Any) -> None:
    settings.REALTIME_PONG_SECONDS = 1.0
    with served() as server, opened(server) as raw:
        assert close_code(raw) == 4010


def test_too_many_calls_are_answered_late_and_all_of_them(server: Served) -> None:
    with peer(server.port, token=token_of(person())) as client:
        names = [client.send("ping", "room") for _ in range(50)]
        assert [client.reply(name)["data"] for name in names] == ["pong"] * 50


def test_one_that_keeps_flooding_is_closed_with_4029(settings: Any) -> None:
    settings.REALTIME_FLOOD_SECONDS = 0.5
    settings.REALTIME_CALLS_BURST = 2.0
    with served() as server, peer(server.port, token=token_of(person())) as client:
        code = flood(client)
    assert code == 4029


def flood(client: Peer) -> int:
    try:
        for _ in range(2000):
            client.send("ping", "room")
    except Exception:
        pass  # the server has stopped reading for good
    return client.closed()


def test_heartbeats_come_while_visible(settings: Any) -> None:
    settings.REALTIME_HEARTBEAT_SECONDS = 1.0
    with served() as server, peer(server.port, token=token_of(person())) as client:
        assert client.receive() == {"type": "heartbeat", "heartbeat": "1"}
        assert client.call("visible", "session", visible=False)["context"]["state"] == "success"
        assert server.on_loop(lambda: [c.shell.visible for c in server.process.clients]) == [False]


def test_a_connection_keeps_nothing_of_its_handshake(server: Served) -> None:
    def handshakes() -> int:
        gc.collect()
        return sum(isinstance(found, SocketHandler | IOStream) for found in gc.get_objects())

    with peer(server.port, token=token_of(person())) as client:
        client.call("whoami", "session")
        wait_until(lambda: handshakes() == 0)
        # And it goes on without it.
        assert client.call("whoami", "session")["data"]["user"]["username"] == "operator"


def test_the_kernel_keeps_no_megabytes_for_who_does_not_read(server: Served) -> None:
    with peer(server.port, token=token_of(person())) as client:
        client.call("whoami", "session")
        (one,) = server.process.sockets
        assert one._sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * KERNEL_BYTES


def test_what_a_client_sends_in_one_piece_with_its_request_is_heard(server: Served) -> None:
    call = json.dumps({"verb": "whoami", "route": "session", "args": {}, "callbackname": "early"}).encode()
    frame = bytes([0x81, 0x80 | len(call), 0, 0, 0, 0]) + call
    request = (
        f"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n"
        f"Authorization: Bearer {token_of(person())}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT) as raw:
        raw.sendall(request.encode() + frame)
        answer = b""
        while b'"early"' not in answer:
            chunk = raw.recv(65536)
            assert chunk, answer
            answer += chunk
    assert b" 101 " in answer


def test_with_other_settings_another_origin_is_ours() -> None:
    with override_settings(MARSHLIGHT_ORIGINS=["https://panel.example"]), served() as server:
        with peer(server.port, Origin="https://panel.example") as client:
            assert client.call("ping", "room")["data"] == "pong"
        assert refused(server, Origin=OURS) == 403
