"""A database goes back in time, in every way operators do that; every screen shows what it holds then, and goes on."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from tests import services
from tests.panel.serving import DemoServer
from tests.promise.installation import SCALE, make_database
from tests.realtime.serving import Peer, peer

pytestmark = pytest.mark.e2e

LAMP = "Ceiling light"


class Restored:
    """One server with a relay; its database is copied, written on, and put back."""

    def __init__(self, directory: Path, **environment: str) -> None:
        self.server = DemoServer(directory, "--no-services", **environment)
        self.url = environment.get("DATABASE_URL", "")
        self.file = directory / "db.sqlite3"
        self.copy = directory / "copy"
        self.token = self.server.manage("token", "create", "operator", "--name", "test").split()[-1]
        self.server.start()

    def name(self, text: str) -> None:
        """As another program writes it: nobody wakes the relay."""
        sql = f"UPDATE devices_device SET detail = '{text}' WHERE name = '{LAMP}'"
        if self.url:
            with contextlib.closing(psycopg2.connect(self.url)) as link, link, link.cursor() as cursor:
                cursor.execute(sql)
        else:
            with contextlib.closing(sqlite3.connect(self.file, timeout=20)) as file, file:
                file.execute(sql)

    @property
    def named(self) -> str:
        sql = f"SELECT detail FROM devices_device WHERE name = '{LAMP}'"
        if self.url:
            with contextlib.closing(psycopg2.connect(self.url)) as link, link.cursor() as cursor:
                cursor.execute(sql)
                found = cursor.fetchone()
        else:
            with contextlib.closing(sqlite3.connect(self.file, timeout=20)) as file:
                found = file.execute(sql).fetchone()
        return str(found[0]) if found else ""

    # -- copies ------------------------------------------------------------------------------------------------------

    def save(self) -> None:
        self.copy.unlink(missing_ok=True)
        if self.url:
            tool("pg_dump", "--format=custom", f"--file={self.copy}", self.url)
        else:
            with (
                contextlib.closing(sqlite3.connect(self.file)) as file,
                contextlib.closing(sqlite3.connect(self.copy)) as copy,
            ):
                file.backup(copy)

    def rename(self) -> None:
        """`mv copy db.sqlite3`: the server's connections hold a file that has no name any more."""
        beside = self.file.with_name("beside")
        shutil.copy(self.copy, beside)
        for end in ("-wal", "-shm"):
            Path(f"{self.file}{end}").unlink(missing_ok=True)
        os.replace(beside, self.file)

    def restore(self) -> None:
        """`sqlite3 db.sqlite3 ".restore copy"`, which other connections notice as one large commit."""
        with (
            contextlib.closing(sqlite3.connect(self.file)) as file,
            contextlib.closing(sqlite3.connect(self.copy)) as copy,
        ):
            copy.backup(file)

    def load(self) -> None:
        tool("pg_restore", "--clean", "--if-exists", f"--dbname={self.url}", str(self.copy))

    def stopped(self) -> None:
        self.server.stop()
        self.load() if self.url else self.rename()
        self.server.start()


def tool(name: str, *words: str) -> None:
    program = services.postgres_programs() / name
    done = subprocess.run([str(program), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


WAYS: dict[str, tuple[str, Callable[[Restored], None]]] = {
    "SQLite, file renamed while the server runs": ("sqlite", Restored.rename),
    "SQLite, .restore while the server runs": ("sqlite", Restored.restore),
    "SQLite, file replaced while stopped": ("sqlite", Restored.stopped),
    "PostgreSQL, dump loaded while the server runs": ("postgresql", Restored.load),
    "PostgreSQL, dump loaded while stopped": ("postgresql", Restored.stopped),
}


@pytest.fixture(scope="module")
def sites(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest, redis_url: str
) -> Iterator[dict[str, Restored]]:
    """With Redis, which remembers what was published from the future that did not happen."""
    postgres_url = request.getfixturevalue("postgres_url")
    make_database(postgres_url, "restores")
    url = postgres_url.rpartition("/")[0] + "/restores"
    bus = redis_url.removesuffix("/0")
    found = {
        "sqlite": Restored(tmp_path_factory.mktemp("restores"), REDIS_URL=f"{bus}/8"),
        "postgresql": Restored(tmp_path_factory.mktemp("restores"), REDIS_URL=f"{bus}/9", DATABASE_URL=url),
    }
    yield found
    for site in found.values():
        site.server.stop()


class Screen:
    """What one page shows of the lamp; it takes a snapshot when it is told to, and continues after a cut."""

    def __init__(self, site: Restored) -> None:
        self.site = site
        self.position: dict[str, Any] = {}
        self.shown = ""
        self.snapshots = 0
        self.lost = contextlib.ExitStack()
        self.link: Peer | None = None

    def open(self) -> None:
        self.link = self.lost.enter_context(peer(self.site.server.port, token=self.site.token))
        since = {"_since": self.position} if self.position else {}
        self.link.send("subscribe", "device", channel="mine", _snapshot=True, **since)

    def shows(self, text: str) -> None:
        deadline = time.monotonic() + SCALE * 4
        while self.shown != text:
            assert time.monotonic() < deadline, f"{self.shown!r} is shown, not {text!r}"
            assert self.link is not None
            self._take(self.link.receive(SCALE * 4))

    def takes_another_than(self, snapshots: int) -> None:
        deadline = time.monotonic() + SCALE * 4
        while self.snapshots == snapshots:
            assert time.monotonic() < deadline, "no snapshot of the restored database was taken"
            assert self.link is not None
            self._take(self.link.receive(SCALE * 4))

    def _take(self, message: dict[str, Any]) -> None:
        context = message.get("context", {})
        if message["type"] == "resync":
            assert self.link is not None
            self.link.send("subscribe", "device", channel="mine", _snapshot=True)
        elif message["type"] == "reply" and context.get("verb") == "subscribe":
            assert context["state"] == "success", context
            self.position = context.get("position") or self.position
            self.snapshots += context.get("recovered") is not True and context.get("part", 1) == 1
            self._show(message["data"])
        elif message["type"] == "change" and message["action"] != "deleted":
            self._show([message["data"]])

    def _show(self, objects: list[dict[str, Any]]) -> None:
        for found in objects:
            if found["name"] == LAMP:
                self.shown = found["detail"]

    def close(self) -> None:
        self.lost.close()


@pytest.mark.parametrize("way", WAYS)
def test_every_screen_shows_the_restored_database_and_what_comes_after_it(
    sites: dict[str, Restored], way: str, expect_log: Any
) -> None:
    kind, put_back = WAYS[way]
    site, screen = sites[kind], Screen(sites[kind])
    try:
        site.name("kept")
        screen.open()
        screen.shows("kept")
        site.save()
        for text in ("one future", "another future"):
            site.name(text)
            screen.shows(text)
        snapshots = screen.snapshots
        put_back(site)
        if put_back is Restored.stopped:
            expect_log("websockets", "", required=False)
            screen.close()
            screen.open()
        screen.shows("kept")
        # A row that was due when the copy was made may be told first, as a change.
        screen.takes_another_than(snapshots)
        # From here on both ways work: what other programs write is seen, and what the server writes is kept.
        site.name("after")
        screen.shows("after")
        with peer(site.server.port, token=site.token) as client:
            found = next(one for one in client.call("get_list", "device")["data"] if one["name"] == LAMP)
            wish = client.call("update", "device", id=found["id"], desired={"on": not found["reported"]["on"]})
            assert wish["context"]["state"] == "success"
        assert site.named == "after"
        assert desired(site) is (not found["reported"]["on"])
    finally:
        screen.close()


def desired(site: Restored) -> bool:
    if site.url:
        with contextlib.closing(psycopg2.connect(site.url)) as link, link.cursor() as cursor:
            cursor.execute("SELECT desired->'on' FROM devices_device WHERE name = %s", [LAMP])
            found = cursor.fetchone()
    else:
        with contextlib.closing(sqlite3.connect(site.file)) as file:
            sql = "SELECT json_extract(desired, '$.on') FROM devices_device WHERE name = ?"
            found = file.execute(sql, [LAMP]).fetchone()
    assert found is not None
    return bool(found[0])
