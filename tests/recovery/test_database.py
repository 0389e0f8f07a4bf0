"""PostgreSQL's connections break in every way while a server serves; nobody restarts anything."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
import pytest

from project import environment
from tests import services
from tests.panel.serving import DemoServer
from tests.promise.installation import SCALE, make_database, until
from tests.realtime.serving import Peer, peer
from tests.recovery.commits import CommitProxy

pytestmark = pytest.mark.e2e

LAMP, OTHER = "Exhaust fan", "Ceiling light"
# Beyond the threads that run verbs, so that each of them has had its broken connection.
MANY = 12


class Site:
    """A server with everything it runs, on a database of its own that the test reaches past the server."""

    def __init__(self, directory: Any, url: str, redis_url: str, *words: str, through: str = "") -> None:
        self.url = url
        self.server = DemoServer(directory, *words, DATABASE_URL=through or url, REDIS_URL=redis_url)
        self.ids = {name: self.ask("SELECT id FROM devices_device WHERE name = %s", name) for name in (LAMP, OTHER)}

    def ask(self, sql: str, *values: Any) -> Any:
        with contextlib.closing(psycopg2.connect(self.url)) as link, link, link.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchone()[0] if cursor.description else None

    def token(self, who: str = "operator") -> str:
        return self.server.manage("token", "create", who, "--name", "test").split()[-1]

    def red(self) -> list[str]:
        """The parts that are not well."""
        try:
            with urllib.request.urlopen(f"{self.server.url}healthz", timeout=5) as answer:
                told = json.load(answer)
        except urllib.error.HTTPError as error:
            told = json.load(error)
        return [name for name, part in told["parts"].items() if not part.get("ok", True)]

    def cut_all(self) -> int:
        """Every connection of everybody else to this database, as an administrator or a failover does."""
        cut: int = self.ask(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        return cut

    def wish(self, client: Peer, on: bool, name: str = LAMP) -> dict[str, Any]:
        context: dict[str, Any] = client.call("update", "device", id=self.ids[name], desired={"on": on})["context"]
        return context

    def wished(self, name: str = LAMP) -> Any:
        return self.ask("SELECT desired->'on' FROM devices_device WHERE name = %s", name)


@pytest.fixture(scope="module")
def database(postgres_url: str) -> str:
    make_database(postgres_url, "recovery")
    return postgres_url.rpartition("/")[0] + "/recovery"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, database: str, redis_url: str) -> Iterator[Site]:
    found = Site(tmp_path_factory.mktemp("recovery"), database, redis_url)
    found.server.start()
    yield found
    found.server.stop()


def test_connections_that_are_terminated_are_made_anew_by_everybody(site: Site) -> None:
    token = site.token()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(peer(site.server.port, token=token)) for _ in range(MANY)]
        assert clients[0].subscribe("device")["context"]["state"] == "success"
        for _ in range(3):
            assert site.cut_all() > 3
            with ThreadPoolExecutor(MANY) as pool:
                answers = list(pool.map(lambda client: client.call("get_list", "location")["context"], clients))
            # Each thread looks at its connection before it uses it, so nobody hears of it.
            assert {answer["state"] for answer in answers} == {"success"}, answers
        # The relay, and what was written while it had no connection.
        site.ask("UPDATE devices_device SET detail = 'written by another program' WHERE name = %s", OTHER)
        began = time.monotonic()
        while clients[0].change(limit=SCALE * 4).get("data", {}).get("detail") != "written by another program":
            assert time.monotonic() - began < SCALE * 4
        assert clients[1].subscribe("device")["context"]["state"] == "success"
        # Relay, sweeper, simulator, identities: all that looks at the database by itself.
        until(lambda: site.red() == [], f"a green server, not {site.red()}", SCALE * 8)
        site.cut_all()
        site.ask("UPDATE realtime_token SET revoked_at = now()")
        assert {client.closed() for client in clients} == {4001}


@pytest.fixture(scope="module")
def proxy(postgres: services.Postgres) -> Iterator[CommitProxy]:
    found = CommitProxy(postgres.port)
    yield found
    found.close()


@pytest.fixture(scope="module")
def doubtful(
    tmp_path_factory: pytest.TempPathFactory, postgres_url: str, redis_url: str, proxy: CommitProxy
) -> Iterator[Site]:
    """Only verbs commit through the proxy: relay and services are elsewhere. Its writers wait a second for a row."""
    make_database(postgres_url, "doubtful")
    url = postgres_url.rpartition("/")[0] + "/doubtful"
    through = f"postgresql://marshlight@127.0.0.1:{proxy.port}/doubtful?sslmode=disable&options=-c%20lock_timeout%3D1s"
    words = ("--no-relay", "--no-services")
    # Another database of the shared Redis is another bus.
    bus = redis_url.removesuffix("/0") + "/7"
    found = Site(tmp_path_factory.mktemp("doubtful"), url, bus, *words, through=through)
    found.server.start()
    log = (found.server.directory / "relay.log").open("wb")
    relay = subprocess.Popen(
        [sys.executable, "manage.py", "relay"],
        env={**found.server.environment, "DATABASE_URL": url}, stdout=log, stderr=log,
    )  # fmt: skip
    try:
        yield found
    finally:
        relay.kill()
        relay.wait()
        log.close()
        found.server.stop()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_connection_cut_at_commit_is_never_an_acknowledgement_without_a_row(
    doubtful: Site, proxy: CommitProxy, moment: str
) -> None:
    with peer(doubtful.server.port, token=doubtful.token()) as client:
        assert client.subscribe("device")["context"]["state"] == "success"
        before = doubtful.wished()
        cuts = proxy.cuts
        proxy.armed = moment
        answer = doubtful.wish(client, not before)
        assert proxy.cuts == cuts + 1
        assert (answer["state"], answer["error"]["code"]) == ("error", "unavailable")
        assert answer["error"]["temporary"] is True
        if moment == "before":
            assert doubtful.wished() is before
        else:
            # It was done all the same, and every screen says so.
            assert doubtful.wished() is (not before)
            while (told := client.change(limit=SCALE * 4))["type"] != "change":
                pass  # what the server makes of the fault
            assert told["data"]["desired"]["on"] is (not before)
        # The same client, the same server.
        assert doubtful.wish(client, bool(before))["state"] == "success"
        assert doubtful.wished() is bool(before)


HOLDER = """
import os, signal, sys, psycopg2
link = psycopg2.connect(sys.argv[1], options="-c idle_in_transaction_session_timeout=" + sys.argv[2])
link.cursor().execute("UPDATE devices_device SET detail = 'held' WHERE name = %s", [sys.argv[3]])
print("held", flush=True)
os.kill(os.getpid(), signal.SIGSTOP)
"""


@contextlib.contextmanager
def frozen_writer(site: Site, patience: str) -> Iterator[None]:
    """A process that was stopped, with a row written and nothing committed."""
    words = [sys.executable, "-c", HOLDER, site.url, patience, LAMP]
    holder = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        yield
    finally:
        os.kill(holder.pid, signal.SIGCONT)
        holder.kill()
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()


def test_a_frozen_writer_costs_others_its_row_for_a_while_and_no_threads(doubtful: Site) -> None:
    token = doubtful.token()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(peer(doubtful.server.port, token=token)) for _ in range(MANY)]
        with frozen_writer(doubtful, "4s"):
            waiting = [
                client.send("update", "device", id=doubtful.ids[LAMP], desired={"on": True}) for client in clients
            ]
            answers = [client.reply(name)["context"] for client, name in zip(clients, waiting, strict=True)]
            assert {answer["state"] for answer in answers} == {"error"}
            assert {answer["error"]["code"] for answer in answers} == {"unavailable"}
            # More waited than there are threads; every thread is free again, and other rows can be written.
            assert doubtful.wish(clients[0], True, OTHER)["state"] == "success"
            # PostgreSQL ends the frozen one's transaction, though the process never stirs.
            until(lambda: doubtful.wish(clients[0], True)["state"] == "success", "the row", SCALE * 10)
        assert doubtful.ask("SELECT detail FROM devices_device WHERE name = %s", LAMP) != "held"


def test_a_connection_of_the_project_waits_for_nothing_for_ever(database: str, tmp_path: Any) -> None:
    chosen = environment.database(database, tmp_path)
    with contextlib.closing(psycopg2.connect(database, **chosen["OPTIONS"])) as link, link.cursor() as cursor:
        for name, value in (("idle_in_transaction_session_timeout", "1min"), ("lock_timeout", "8s")):
            cursor.execute(f"SHOW {name}")
            assert cursor.fetchone() == (value,)


def test_a_standby_that_only_reads_refuses_and_is_told(doubtful: Site) -> None:
    """A failover, or an administrator who stops writers for a while."""
    with peer(doubtful.server.port, token=doubtful.token()) as client:
        before = doubtful.wished()
        doubtful.ask("ALTER DATABASE doubtful SET default_transaction_read_only = on")
        doubtful.cut_all()
        try:
            answer = doubtful.wish(client, not before)
            assert answer["error"]["code"] == "unavailable"
            assert answer["error"]["message"] == "Nothing can be saved at the moment."
            assert doubtful.wished() is before
            told = client.change(limit=SCALE * 4)
            assert (told["type"], told["saving"]) == ("health", False)
        finally:
            with contextlib.closing(psycopg2.connect(doubtful.url)) as link:
                link.autocommit = True
                link.set_session(readonly=False, autocommit=True)
                link.cursor().execute("ALTER DATABASE doubtful RESET default_transaction_read_only")
        doubtful.cut_all()
        while told["type"] != "health" or not told["saving"]:
            told = client.change(limit=SCALE * 5)
        assert doubtful.wish(client, not before)["state"] == "success"
