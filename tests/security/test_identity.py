"""Who somebody is: what no honest browser sends, how sessions are made, and places taken by who left without a word.
docs/security.md, 1 to 11."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect as open_socket

from tests.promise.proxy import Proxy
from tests.realtime.serving import LIMIT, Served, peer, person, served, session_of, token_of, until
from tests.security.web import Visitor

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "correct horse battery"
OURS = "http://127.0.0.1:8000"


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as found:
        yield found


# -- 1 and 5 ---------------------------------------------------------------------------------------------------------

FOREIGN = [
    "https://evil.example", "null", "", "file://", "http://127.0.0.1:8000.evil.example", "http://evil127.0.0.1:8000",
    "http://127.0.0.1:8000@evil.example", "http://evil.example#http://127.0.0.1:8000", "http://127.0.0.1:80000",
    "http://127.0.0.1", "https://127.0.0.1:8000", "chrome-extension://abcdefghijklmnop", "http://127.0.0.1:8000/",
    "http://127.0.0.1:8000\\.evil.example", "ws://127.0.0.1:8000", "HTTP://127.0.0.1:8001",
]  # fmt: skip


@pytest.mark.parametrize("path", ["/ws", "/data/websocket"])
def test_a_page_of_any_other_origin_gets_no_connection(server: Served, path: str) -> None:
    session = session_of(person())
    for origin in FOREIGN:
        with pytest.raises(InvalidStatus) as caught:
            open_socket(
                f"ws://127.0.0.1:{server.port}{path}",
                additional_headers={"Origin": origin, "Cookie": f"sessionid={session}"},
                proxy=None,
                open_timeout=LIMIT,
            )
        assert caught.value.response.status_code == 403, origin


def ended(user: User) -> str:
    key = session_of(user)
    Session.objects.filter(pk=key).update(expire_date=timezone.now() - timedelta(seconds=1))
    return key


def tampered(user: User) -> str:
    key = session_of(user)
    row = Session.objects.get(pk=key)
    Session.objects.filter(pk=key).update(session_data=row.session_data[:-3] + "abc")
    return key


def test_cookies_that_are_nobodys_are_answered_alike(server: Served, expect_log: Any) -> None:
    """Whether a key was ever one is not told: invented, odd, over, forged, or made for nobody."""
    expect_log("django.security.SuspiciousSession", required=False)
    user = person()
    nobodys = SessionStore()
    nobodys["cart"] = 3
    nobodys.save()
    assert nobodys.session_key
    cookies = {
        "invented": "a" * 32,
        "short": "x",
        "long": "z" * 4000,
        "odd": "%00%ff'\";--",
        "with a NUL": '"abcdefgh\\000ijk"',
        "with a lone byte": '"abcdefgh\\377ijk"',
        "over": ended(user),
        "forged": tampered(user),
        "of nobody": nobodys.session_key,
    }
    told = {}
    for what, cookie in cookies.items():
        with open_socket(
            f"ws://127.0.0.1:{server.port}/ws",
            additional_headers={"Origin": OURS, "Cookie": f"sessionid={cookie}"},
            proxy=None,
        ) as socket:
            first = json.loads(socket.recv(timeout=LIMIT))
            with pytest.raises(Exception, match="4001"):
                socket.recv(timeout=LIMIT)
        told[what] = json.dumps(first)
    assert len(set(told.values())) == 1, told
    assert "login_required" in told["invented"]


def test_a_page_asked_with_such_a_cookie_is_asked_by_nobody(server: Served) -> None:
    for cookie in ('"abcdefgh\\000ijk"', "%00", "a" * 4000, '"abcdefgh\\377ijk"'):
        answer = Visitor(server.port).get("/", Cookie=f"sessionid={cookie}")
        assert (answer.status, answer.headers["Location"]) == (302, "/signin/?next=/"), cookie


# -- 10 --------------------------------------------------------------------------------------------------------------


def test_signing_in_changes_the_key_and_no_script_reads_it(server: Served) -> None:
    User.objects.create_user("operator", password=PASSWORD)
    fixed = SessionStore()
    fixed["planted"] = 1
    fixed.save()
    assert fixed.session_key
    visitor = Visitor(server.port, {"sessionid": fixed.session_key})
    answer = visitor.post("/signin/", {"username": "operator", "password": PASSWORD})
    assert answer.status == 302
    assert visitor.cookies["sessionid"] != fixed.session_key
    assert not Session.objects.filter(pk=fixed.session_key).exists()
    (line,) = [line for line in answer.headers.get_all("Set-Cookie") or () if line.startswith("sessionid=")]
    assert "HttpOnly" in line and "SameSite=Lax" in line


def test_over_https_cookies_are_sent_over_https_only() -> None:
    show = "from django.conf import settings as s; print(s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE)"
    program = f"import os; os.environ['MARSHLIGHT_URL'] = 'https://panel.example.org'; import django; {show}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


# -- 34 and 35: places -----------------------------------------------------------------------------------------------


def test_places_of_those_who_left_without_a_word_are_free_again(settings: Any) -> None:
    """Boards behind a router that restarts: they come back before anybody could tell that they had left."""
    settings.REALTIME_CONNECTIONS_PER_USER = 4
    settings.REALTIME_PONG_GRACE_SECONDS = 0.3
    token = token_of(person())
    with served() as server, Proxy(server.port) as line, contextlib.ExitStack() as stack:
        gone = []
        for _ in range(4):
            gone.append(open_socket(f"ws://127.0.0.1:{line.port}/ws", proxy=None, ping_interval=None,
                                    additional_headers={"Authorization": f"Bearer {token}"}))  # fmt: skip
        until(lambda: len(server.process.clients) == 4)
        line.vanish()
        codes = []

        def back() -> bool:
            client = stack.enter_context(peer(server.port, token=token))
            with contextlib.suppress(ConnectionClosed):
                client.send("ping", "room")
                if client.receive().get("data") == "pong":
                    return True
            codes.append(client.closed())
            return False

        for _ in range(4):
            until(back, "a place")
        assert set(codes) <= {1001}, "told to come back, never that this is one too many"
        for socket in gone:
            socket.socket.close()


def test_who_answers_keeps_the_place(settings: Any) -> None:
    settings.REALTIME_CONNECTIONS_PER_USER = 2
    settings.REALTIME_PONG_GRACE_SECONDS = 0.3
    token = token_of(person())
    with served() as server, peer(server.port, token=token) as one, peer(server.port, token=token) as two:
        codes: list[int] = []

        def final() -> bool:
            # Whoever is there answers pings, which needs somebody who reads.
            for client in (one, two):
                client.call("ping", "room")
            with peer(server.port, token=token) as third:
                codes.append(third.closed())
            return codes[-1] == 4009

        until(final, "the answer that it is one too many")
        assert set(codes) <= {1001, 4009}
        for client in (one, two):
            assert client.call("ping", "room")["data"] == "pong"
