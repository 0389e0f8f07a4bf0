"""No writer ever waits for the bus: Redis stands still for eight seconds, then it is gone, while four kinds of writers
save on two kinds of databases. All of them share that one outage."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from devices.models import Device, Location
from tests import services
from tests.devices import base
from tests.promise.installation import ROOT, SCALE, Installation, make_database
from tests.realtime.serving import peer, session_of, token_of
from tests.recovery import scribe

pytestmark = pytest.mark.e2e

# What the product promises of every save; the scale is for a machine that is shared.
LONGEST = 1.0
PAUSED, GONE = 8.0, 3.0

KINDS = ("sqlite", "postgresql")
WRITERS = ("a program of its own", "the admin over HTTP", "the admin in a gunicorn worker", "a verb over WebSocket")


@dataclass
class Diary:
    """What one writer lived through."""

    took: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    kept: bool = False

    def write(self, save: Callable[[int], str | None], over: threading.Event) -> None:
        """`save` answers what went wrong."""
        while not over.is_set():
            began = time.monotonic()
            try:
                wrong = save(len(self.took))
            except Exception as error:
                wrong = repr(error)
            self.took.append(time.monotonic() - began)
            if wrong:
                self.errors.append(wrong)
            over.wait(scribe.PAUSE)


@pytest.fixture(scope="module")
def diaries(postgres_url: str, django_db_blocker: Any) -> Iterator[dict[tuple[str, str], Diary]]:
    """By database and writer, after the outage."""
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(services.running(services.Redis()))
        stack.enter_context(django_db_blocker.unblock())
        over = threading.Event()
        found: dict[tuple[str, str], Diary] = {}
        ends: list[Callable[[], None]] = []
        for number, kind in enumerate(KINDS):
            # One Redis for both: each database of Redis is a bus of its own.
            url = redis.url.removesuffix("/0") + f"/{number}"
            installation = stack.enter_context(installed(kind, postgres_url, url))
            with installation.orm():
                ends += begin(stack, installation, kind, found, over)
        redis.process.send_signal(signal.SIGSTOP)
        time.sleep(PAUSED)
        redis.process.send_signal(signal.SIGCONT)
        time.sleep(0.5)
        redis.process.kill()
        time.sleep(GONE)
        over.set()
        for end in ends:
            end()
        yield found


@contextlib.contextmanager
def installed(kind: str, postgres_url: str, redis_url: str) -> Iterator[Installation]:
    """One server with a relay, and a gunicorn worker beside it."""
    with tempfile.TemporaryDirectory(prefix="marshlight-writers-") as name:
        directory = Path(name)
        if kind == "postgresql":
            make_database(postgres_url, "writers")
            url = postgres_url.rpartition("/")[0] + "/writers"
        else:
            url = f"sqlite:///{directory / 'db.sqlite3'}"
        found = OnRedis(kind, url, directory, redis_url=redis_url)
        found.manage("migrate", "--verbosity", "0")
        try:
            found.start()
            yield found
        finally:
            found.stop()


@dataclass
class OnRedis(Installation):
    """One server; its Redis belongs to several installations."""

    redis_url: str = ""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "REDIS_URL": self.redis_url}


def begin(
    stack: contextlib.ExitStack,
    installation: Installation,
    kind: str,
    found: dict[tuple[str, str], Diary],
    over: threading.Event,
) -> list[Callable[[], None]]:
    """All writers of one installation are at work; what ends and judges each, to be called after the outage."""
    staff = base.person("staff", is_staff=True, is_superuser=True)
    session, token = session_of(staff), token_of(staff)
    lamp = base.dimmer("lamp")
    for name in WRITERS[:3]:
        Location.objects.create(name=name)
    gunicorn = stack.enter_context(worker(installation))
    program = stack.enter_context(scribing(installation, WRITERS[0]))
    places = {name: Location.objects.get(name=name).pk for name in WRITERS[1:3]}
    socket = stack.enter_context(peer(installation.ports[0], token=token))
    saves: dict[str, Callable[[int], str | None]] = {
        WRITERS[1]: Admin(installation.ports[0], session, places[WRITERS[1]]).save,
        WRITERS[2]: Admin(gunicorn, session, places[WRITERS[2]]).save,
        WRITERS[3]: lambda number: toggled(socket, lamp.pk, number),
    }
    threads = []
    for name, save in saves.items():
        found[kind, name] = Diary()
        threads.append(threading.Thread(target=found[kind, name].write, args=(save, over), daemon=True))
        threads[-1].start()

    def end() -> None:
        for thread in threads:
            thread.join(SCALE * 10)
        output, _ = program.communicate(timeout=SCALE * 20)
        found[kind, WRITERS[0]] = Diary(**json.loads(output.splitlines()[-1]))
        with installation.orm():
            for name, pk in places.items():
                diary = found[kind, name]
                diary.kept = Location.objects.get(pk=pk).icon == f"n{len(diary.took) - 1}"
            diary = found[kind, WRITERS[3]]
            diary.kept = Device.objects.get(pk=lamp.pk).desired["level"] == (len(diary.took) - 1) % 100

    return [end]


@contextlib.contextmanager
def scribing(installation: Installation, name: str) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "tests.recovery.scribe", name, str(PAUSED + GONE + 0.5)]
    process = subprocess.Popen(words, cwd=ROOT, env=installation.environment, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def worker(installation: Installation) -> Iterator[int]:
    port = services.free_port()
    words = [sys.executable, "-m", "gunicorn", "project.wsgi", "--bind", f"127.0.0.1:{port}", "--threads", "2"]
    with (installation.directory / "gunicorn.log").open("wb") as log:
        process = subprocess.Popen(words, cwd=ROOT, env=installation.environment, stdout=log, stderr=log)
    try:
        services.wait_for_port(port, process, installation.directory / "gunicorn.log")
        yield port
    finally:
        process.terminate()
        process.wait(15)


class Form(HTMLParser):
    """The fields of the admin's form as they stand."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        found = dict(attrs)
        if tag == "input" and found.get("name") and found.get("type") not in ("submit", "checkbox"):
            self.fields[found["name"]] = found.get("value") or ""


class Admin:
    """One browser with the admin's form for one location."""

    def __init__(self, port: int, session: str, pk: int) -> None:
        self.port = port
        self.path = f"/admin/devices/location/{pk}/change/"
        self.cookies = {"sessionid": session}
        self.fields = Form(self._ask("GET")[1]).fields

    def save(self, number: int) -> str | None:
        status, text = self._ask("POST", {**self.fields, "icon": f"n{number}", "_continue": "1"})
        return None if status == 302 else f"{status}: {text[:200]}"

    def _ask(self, method: str, fields: dict[str, str] | None = None) -> tuple[int, str]:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SCALE * 15)
        headers = {
            "Host": "127.0.0.1:8000",
            "Origin": "http://127.0.0.1:8000",
            "Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items()),
            "Content-Type": "application/x-www-form-urlencoded",
        }
        with contextlib.closing(link):
            link.request(method, self.path, urlencode(fields) if fields else None, headers)
            answer = link.getresponse()
            for cookie in answer.headers.get_all("Set-Cookie") or ():
                name, _, value = cookie.partition(";")[0].partition("=")
                self.cookies[name] = value
            return answer.status, answer.read().decode()


def toggled(socket: Any, pk: int, number: int) -> str | None:
    context = socket.call("update", "device", id=pk, desired={"level": number % 100})["context"]
    return None if context["state"] == "success" else json.dumps(context["error"])


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_save_waits_for_redis(diaries: dict[tuple[str, str], Diary], kind: str, writer: str) -> None:
    diary = diaries[kind, writer]
    longest = max(diary.took)
    print(f"{kind}, {writer}: {len(diary.took)} saves, the longest took {longest * 1000:.0f} ms")
    assert diary.errors == []
    # All through the outage, or a writer that was stuck for half of it would go unseen.
    assert len(diary.took) > (PAUSED + GONE) / SCALE
    assert longest < SCALE * LONGEST
    assert diary.kept
