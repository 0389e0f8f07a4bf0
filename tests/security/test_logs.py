"""50: what the log says, at its most talkative: nothing secret, nothing of what people send, and each event once."""

from __future__ import annotations

import contextlib
import http.cookiejar
import json
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from realtime import publish_data
from tests import services
from tests.library.models import Book, Shelf
from tests.realtime.serving import (
    LIMIT,
    ROOT,
    Program,
    database_url,
    peer,
    person,
    processes,
    session_of,
    token_of,
    until,
)
from tests.security.stranger import PING, TEXT, Stranger, frame, handshake

pytestmark = pytest.mark.django_db(transaction=True)

PASSWORD = "planted-password-Qx7"
REDIS_PASSWORD = "planted-redis-Qx7"
DATABASE_PASSWORD = "planted-database-Qx7"
SETTINGS = {"DJANGO_SETTINGS_MODULE": "tests.security.settings_hostile", "LOG_LEVEL": "DEBUG"}


@pytest.fixture
def guarded() -> Iterator[services.Redis]:
    """A Redis whose user has a password, which stands in the address of it."""
    options = ("--user", "planted", "on", f">{REDIS_PASSWORD}", "~*", "&*", "+@all")
    with services.running(services.Redis(*options)) as server:
        yield server


def secret_urls(server: services.Redis) -> dict[str, str]:
    found = {"REDIS_URL": f"redis://planted:{REDIS_PASSWORD}@127.0.0.1:{server.port}/0"}
    if connection.vendor == "postgresql":
        found["DATABASE_URL"] = database_url().replace("@", f":{DATABASE_PASSWORD}@", 1)
    return found


def visit(port: int, path: str, browser: urllib.request.OpenerDirector, **form: str) -> str:
    """The page, or what is said instead of it."""
    data = urllib.parse.urlencode(form).encode() if form else None
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, {"Origin": f"http://127.0.0.1:{port}"})
    try:
        with browser.open(request, timeout=LIMIT) as answer:
            return str(answer.read())
    except urllib.error.HTTPError as error:
        return str(error.read())


def sign_in(port: int, password: str) -> list[str]:
    """The cookies that a browser has afterwards."""
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    page = visit(port, "/admin/login/", browser)
    found = re.search(r'csrfmiddlewaretoken" value="(\w+)"', page)
    visit(
        port, "/admin/login/?next=/admin/", browser,
        username="planted", password=password, csrfmiddlewaretoken=found[1] if found else "",
    )  # fmt: skip
    visit(port, "/admin/library/", browser)
    return [str(cookie.value) for cookie in jar]


def test_50_no_secret_and_nothing_that_people_say_stands_in_any_log(guarded: services.Redis, settings: Any) -> None:
    # The server knows no cheap one.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    user = person("planted", password=PASSWORD, is_staff=True, is_superuser=True)
    token, other = token_of(user), token_of(person("viewer"))
    session = session_of(user)
    shelf = Shelf.objects.create(name="one")
    said = {name: f"planted-{name}-Qx7" for name in ("title", "filter", "channel", "echo", "event", "nonsense", "room")}
    urls = secret_urls(guarded)
    with (
        Program("--no-relay", **SETTINGS, **urls) as server,
        Program("--no-relay", **SETTINGS, **urls) as second,
        relay(urls) as lone,
    ):
        server.wait()
        second.wait()
        cookies = sign_in(server.port, PASSWORD) + sign_in(server.port, PASSWORD + "-wrong")
        with peer(server.port, f"/ws?token={token}&session={session}", token=token) as client:
            client.subscribe("book", said["channel"], title__contains=said["filter"])
            client.call("create", "book", title=said["title"], shelf=shelf.pk)
            client.call("create", "book", title=said["title"], shelf=shelf.pk)  # once is enough for the database
            client.call("create", "book", title=said["title"], shelf=said["filter"], secret=said["title"])
            client.call("echo", "room", text=said["echo"])
            client.call("crash", "room", text=said["echo"])
            client.call("crash", "room")
            client.call("subscribe", "room", channel=said["channel"], room=said["room"])
            publish_data(f"room-{said['room']}", said["event"])
            client.change()
            client.socket.send(said["nonsense"])
            client.socket.send(json.dumps({"verb": said["nonsense"], "route": said["nonsense"], "args": {}}))
            client.call("login", "session", token=other)
            guarded.stop(signal.SIGKILL)
            Book.objects.filter(title=said["title"]).update(pages=6)
            until(lambda: "link to Redis was lost" in server.log and "waits for the bus" in lone.log, "an outage")
            guarded.start()
            until(lambda: server.log.count("the link to the bus is up") == 2, "the link")
            Book.objects.filter(title=said["title"]).update(pages=7)
            while client.change()["type"] != "resync":
                pass
        with peer(second.port, session=session) as browser_client:
            browser_client.subscribe("book")
        for path in (f"/admin/?token={token}", f"/data/1/2/xhr?token={token}", f"/nothing/?t={token}",
                     f"/settings.js?{token}", f"/hello/?next={token}"):  # fmt: skip
            visit(server.port, path, urllib.request.build_opener())
        for raw in (handshake(Host=said["nonsense"]), handshake(Cookie=f"sessionid={session}"),
                    handshake(Origin=f"http://{said['nonsense']}"), handshake(Authorization=f"Bearer {token}x"),
                    handshake()[:40] + token.encode() + b"\r\n\r\n",
                    b"GET " + token.encode() + b"\r\n\r\n"):  # fmt: skip
            with Stranger(server.port) as stranger:
                stranger.send(raw)
                stranger._receive()
        with Stranger.inside(server.port, token) as stranger:
            stranger.send(frame(TEXT, said["nonsense"].encode() + b"\xff"))
            stranger.close_code()
        logs = {"server": server, "second": second, "relay": lone}
        for program in logs.values():
            program.process.send_signal(signal.SIGTERM)
            assert program.process.wait(LIMIT) == 0
        planted = {
            PASSWORD,
            REDIS_PASSWORD,
            DATABASE_PASSWORD,
            token,
            token.split("_", 2)[2],
            other,
            session,
            *cookies,
        }
        planted |= {*said.values(), connection.settings_dict.get("PASSWORD") or PASSWORD}
        assert len(cookies) >= 3, cookies
        for name, program in logs.items():
            # A relay has nothing to say that is less than a warning.
            assert "DEBUG" in program.log or name == "relay", name
            for secret in planted:
                assert secret not in program.log, (name, secret, _around(program.log, secret))


def _around(log: str, secret: str) -> str:
    place = log.index(secret)
    return log[max(0, place - 300) : place + 100]


@contextlib.contextmanager
def relay(urls: dict[str, str]) -> Iterator[Program]:
    """`manage.py relay` beside the servers."""
    program = Program(**SETTINGS, **urls)
    with (program.directory / "log").open("ab") as log:
        program.process = subprocess.Popen(
            [sys.executable, "manage.py", "relay"], cwd=ROOT, env=program.environment, stdout=log, stderr=log
        )
    with contextlib.ExitStack() as stack:
        stack.push(lambda *error: program.__exit__(*error))
        until(lambda: "DEBUG" in program.log or "relay" in program.log, "the relay's start")
        yield program


def test_50_every_end_of_a_connection_is_one_line(guarded: services.Redis) -> None:
    user = person("planted", is_staff=True)
    token = token_of(user)
    limits = {"REALTIME_FLOOD_SECONDS": "0.5", "REALTIME_CALLS_PER_SECOND": "100.0", "REALTIME_PONG_SECONDS": "2.0",
              "REALTIME_FRAMES_PER_SECOND": "1000.0"}  # fmt: skip
    ends: dict[int, list[bytes]] = {
        1000: [frame(0x88, b"\x03\xe8")],
        1002: [frame(TEXT, b"{}", mask=None), frame(0x83, b"")],
        1003: [frame(0x82, b"x")],
        1007: [frame(TEXT, b"\xff")],
        1009: [frame(TEXT, b" " * 70_000)],
    }
    with processes(1, **SETTINGS, **limits) as (server,):
        for code, ways in ends.items():
            for data in ways:
                with Stranger.inside(server.port, token) as stranger:
                    stranger.send(data)
                    assert stranger.close_code() == code
        with Stranger.inside(server.port, token) as stranger:
            stranger.send(frame(PING))
            next(stranger.frames())
            stranger.reset()
        with Stranger.inside(server.port, "mlt_00000000_invented") as stranger:
            assert stranger.close_code() == 4001
        with Stranger.inside(server.port, token) as silent, Stranger.inside(server.port, token) as flooder:
            flood = threading.Thread(target=flooder.push, args=(frame(PING) * 1000, 5.0))
            flood.start()
            assert silent.close_code() == 4010
            flood.join()
        counted = {1000: 1, 1002: 2, 1003: 1, 1007: 1, 1009: 1, 1006: 1, 4010: 1, 4029: 1}
        with contextlib.suppress(AssertionError):
            until(lambda: len(re.findall(r"closed: \d+", server.log)) == sum(counted.values()), "every line")
        time.sleep(0.2)
        log = server.log
        assert {code: len(re.findall(rf"closed: {code}$", log, re.MULTILINE)) for code in counted} == counted
        assert log.count("refused: its identity does not hold") == 1
        opened = re.findall(r"(c\d+) opened", log)
        assert len(opened) == len(set(opened)) == sum(counted.values())
        # And nothing beside: of each connection two lines, of the refused one its own.
        about = [line for line in log.splitlines() if re.search(r"\bc\d+\b", line)]
        assert len(about) == 2 * len(opened) + 1, "\n".join(about)
