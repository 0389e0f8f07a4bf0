"""The server as a process: starting, ending, beside others, and through the faults of what it stands on."""

from __future__ import annotations

import contextlib
import errno
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from websockets.exceptions import ConnectionClosed, WebSocketException

from realtime import journal
from realtime import server as module
from tests import services
from tests.library.models import Book, Membership, Shelf
from tests.realtime.serving import (
    LIMIT,
    Peer,
    Program,
    database_url,
    peer,
    person,
    processes,
    session_of,
    token_of,
    until,
)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf.objects.create(name="one")


@pytest.fixture
def staff() -> str:
    return token_of(person(is_staff=True))


def another_program(sql: str) -> None:
    """Writes as psql or sqlite3 would: no Django, no wake."""
    command = ["psql", "-q", database_url(), "-c", sql]
    if connection.vendor == "sqlite":
        command = ["sqlite3", "-cmd", ".timeout 5000", str(connection.settings_dict["NAME"]), sql]
    subprocess.run(command, check=True, timeout=LIMIT)


def title(client: Peer, wanted: str) -> None:
    while client.change()["data"].get("title") != wanted:
        pass


# -- starting and ending ---------------------------------------------------------------------------------------------


def test_whatever_writes_reaches_the_clients_of_a_server_in_its_own_process(shelf: Shelf, staff: str) -> None:
    with processes(1) as (server,), peer(server.port, token=staff) as client:
        client.subscribe("book")
        book = Book.objects.create(title="by the ORM", shelf=shelf)
        title(client, "by the ORM")
        Book.objects.update(title="by update()")
        title(client, "by update()")
        another_program("UPDATE library_book SET title = 'by SQL'")
        title(client, "by SQL")
        book.delete()
        assert client.change()["action"] == "deleted"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_a_goodbye_and_nothing_left_behind(number: signal.Signals, staff: str) -> None:
    with processes(1, REDIS_URL="") as (server,), peer(server.port, token=staff) as client:
        client.subscribe("book")
        server.process.send_signal(number)
        assert client.closed() == 1001
        assert server.process.wait(LIMIT) == 0
        assert "Traceback" not in server.log
        with Program(REDIS_URL="") as second:
            second.wait()  # the lock of the data directory is free


def test_a_verb_that_hangs_does_not_keep_the_process(staff: str, shelf: Shelf) -> None:
    book = Book.objects.create(title="a", shelf=shelf)
    with processes(1) as (server,), peer(server.port, token=staff) as client, blocked_writers():
        client.send("update", "book", id=book.pk, title="b")
        with peer(server.port, token=staff) as other:
            other.call("get_list", "book")  # behind it in the threads' queue
        assert server.signal(signal.SIGTERM) == 0
    assert Book.objects.get().title == "a"


@contextlib.contextmanager
def blocked_writers() -> Iterator[None]:
    """Whoever writes to a book waits, as long as the database lets it."""
    with connection.cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE" if connection.vendor == "sqlite" else "BEGIN")
        try:
            cursor.execute("UPDATE library_book SET pages = 2")
            yield
        finally:
            cursor.execute("ROLLBACK")


def test_a_second_one_on_the_same_data_says_why_it_does_not_start() -> None:
    with processes(1, REDIS_URL="") as (first,), Program(REDIS_URL="") as second:
        assert second.process.wait(LIMIT) == module.EXIT_SECOND_INSTANCE
        assert f"process {first.process.pid}" in second.log
        assert "Traceback" not in second.log


def test_a_taken_port_is_told_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with Program(REDIS_URL="") as server:
            server.process.kill()
            server.process.wait(LIMIT)
            server.port = taken.getsockname()[1]
            server.start()
            assert server.process.wait(LIMIT) == module.EXIT_PORT_TAKEN == errno.EADDRINUSE
            assert f"Port {server.port} of 127.0.0.1 is taken." in server.log


def test_neither_tokens_nor_cookies_stand_in_the_log_at_any_level(shelf: Shelf) -> None:
    user = person(is_staff=True)
    token, session = token_of(user), session_of(user)
    with processes(1, LOG_LEVEL="DEBUG") as (server,):
        with peer(server.port, f"/ws?token={token}", token=token) as client:
            client.call("subscribe", "book", channel="planted-name", title__contains="planted-value")
            client.call("echo", "room", text="planted-text")
        with peer(server.port, session=session) as client:
            client.call("login", "session", token=token)
        with peer(server.port) as client:
            client.call("login", "session", token=token)
        for path in (f"/admin/?token={token}", f"/data/1/2/xhr?token={token}"):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=LIMIT).close()
        server.signal(signal.SIGTERM)
        assert "DEBUG" in server.log
        for secret in (token, token.split("_", 2)[2], session, "planted-text", "planted-value"):
            assert secret not in server.log


# -- several processes -----------------------------------------------------------------------------------------------


@pytest.fixture
def two(redis_url: str) -> Iterator[list[Program]]:
    with processes(2, REDIS_URL=redis_url) as found:
        yield found


def test_clients_of_both_processes_hear_of_everything(two: list[Program], shelf: Shelf, staff: str) -> None:
    with peer(two[0].port, token=staff) as first, peer(two[1].port, token=staff) as second:
        for client in (first, second):
            client.subscribe("book")
        first.call("create", "book", title="made through one", shelf={"name": "new"})
        another_program("UPDATE library_book SET pages = 5")
        for client in (first, second):
            title(client, "made through one")
            while client.change()["data"]["pages"] != 5:
                pass


def test_a_kick_reaches_every_process(two: list[Program]) -> None:
    user = person()
    session = session_of(user)
    with peer(two[0].port, session=session) as first, peer(two[1].port, session=session) as second:
        another_program("DELETE FROM django_session")
        assert (first.closed(), second.closed()) == (4001, 4001)


def test_rights_end_on_every_process(two: list[Program], shelf: Shelf) -> None:
    user = person()
    Membership.objects.create(user=user, shelf=shelf)
    token = token_of(user)
    with peer(two[0].port, token=token) as first, peer(two[1].port, token=token) as second:
        for client in (first, second):
            client.subscribe("book")
        another_program("DELETE FROM library_membership")
        for client in (first, second):
            assert client.change()["type"] == "resync"
            assert client.subscribe("book")["channel_data"]["remote_channels"] == ["book|none"]


def test_who_loses_one_process_continues_at_the_other(two: list[Program], shelf: Shelf, staff: str) -> None:
    book = Book.objects.create(title="a", shelf=shelf)
    until(lambda: journal.pending()[0] == 0, "publishing")
    with peer(two[0].port, token=staff) as client:
        where = client.subscribe("book")["context"]["position"]
        two[0].signal(signal.SIGKILL)
        assert client.closed() == 1006
    Book.objects.update(pages=7)
    with peer(two[1].port, token=staff) as client:
        reply = client.call("subscribe", "book", channel="mine", _snapshot=True, _since=where)
        assert reply["context"]["recovered"] is True
        assert (client.change()["data"]["pages"], book.pk) == (7, book.pk)


# -- faults ----------------------------------------------------------------------------------------------------------


class Screen(threading.Thread):
    """A client as a page is one: it comes back by itself, continues where it was, and shows what it was told."""

    def __init__(self, port: int, token: str) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.token = token
        self.books: dict[int, dict[str, Any]] = {}
        self.where: dict[str, Any] = {}
        self.ending = threading.Event()
        self.start()

    def run(self) -> None:
        while not self.ending.is_set():
            with contextlib.suppress(OSError, WebSocketException, TimeoutError):
                self.visit()
            self.ending.wait(0.05)

    def visit(self) -> None:
        with peer(self.port, token=self.token) as client:
            self.subscribe(client)
            while not self.ending.is_set():
                try:
                    message = client.waiting.pop(0) if client.waiting else client.receive(0.2)
                except TimeoutError:
                    continue
                if message["type"] == "resync":
                    self.where = {}
                    self.subscribe(client)
                elif message["type"] == "heartbeat":
                    self.where.update(message.get("position", {}))
                elif message["type"] == "change":
                    self.apply(message)

    def subscribe(self, client: Peer) -> None:
        reply = client.call("subscribe", "book", channel="mine", _snapshot=True, _since=self.where or None)
        if reply["context"]["state"] != "success":
            raise ConnectionError(reply["context"]["error"]["code"])
        if not reply["context"].get("recovered"):
            self.books = {book["id"]: book for book in reply["data"]}
            self.where = reply["context"].get("position", {})

    def apply(self, message: dict[str, Any]) -> None:
        if message["action"] == "deleted":
            self.books.pop(message["data"]["id"], None)
        else:
            self.books[message["data"]["id"]] = message["data"]
        if message["channel"] in self.where:
            self.where[message["channel"]] = [self.where[message["channel"]][0], message["offset"]]

    def shown(self) -> dict[int, int]:
        return {pk: book["pages"] for pk, book in list(self.books.items())}

    def end(self) -> None:
        self.ending.set()
        self.join(LIMIT)


def equal(screens: list[Screen]) -> None:
    def same() -> bool:
        rows = dict(Book.objects.values_list("pk", "pages"))
        return all(screen.shown() == rows for screen in screens)

    until(same, "every screen equal to the database")


@pytest.fixture
def screens(two_on_own_redis: tuple[list[Program], services.Redis], staff: str) -> Iterator[list[Screen]]:
    found = [Screen(program.port, staff) for program in two_on_own_redis[0]]
    yield found
    for screen in found:
        screen.end()


@pytest.fixture
def two_on_own_redis() -> Iterator[tuple[list[Program], services.Redis]]:
    with services.running(services.Redis()) as redis, processes(2, REDIS_URL=redis.url) as found:
        yield found, redis


def test_every_screen_is_equal_again_after_each_outage_of_the_bus(
    two_on_own_redis: tuple[list[Program], services.Redis], screens: list[Screen], shelf: Shelf
) -> None:
    programs, redis = two_on_own_redis
    books = [Book.objects.create(title=f"book {number}", shelf=shelf) for number in range(3)]
    equal(screens)

    def write(number: int) -> None:
        Book.objects.filter(pk=books[0].pk).update(pages=number)
        Book.objects.filter(title=f"only {number - 1}").delete()
        Book.objects.create(title=f"only {number}", shelf=shelf)

    redis.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    write(10)
    assert time.monotonic() - began < 2, "a writer waited for the bus"
    time.sleep(1.5)  # longer than the links' own deadline
    redis.process.send_signal(signal.SIGCONT)
    equal(screens)

    redis.stop(signal.SIGKILL)
    write(20)
    redis.start()
    equal(screens)

    with socket.create_connection(("127.0.0.1", redis.port), timeout=LIMIT) as raw:
        raw.sendall(b"CLIENT KILL TYPE pubsub\r\n")
        raw.recv(100)
    write(30)
    equal(screens)

    for program in programs:
        assert "Traceback" not in program.log, program.log


def test_every_screen_is_equal_again_after_a_server_stood_still_or_was_killed(
    two_on_own_redis: tuple[list[Program], services.Redis], screens: list[Screen], shelf: Shelf
) -> None:
    programs, _ = two_on_own_redis
    book = Book.objects.create(title="a", shelf=shelf)
    equal(screens)
    programs[0].process.send_signal(signal.SIGSTOP)
    for number in range(5):
        Book.objects.filter(pk=book.pk).update(pages=number)
    time.sleep(1.5)
    programs[0].process.send_signal(signal.SIGCONT)
    equal(screens)

    programs[1].signal(signal.SIGKILL)
    Book.objects.filter(pk=book.pk).update(pages=77)
    programs[1].start()
    programs[1].wait()
    equal(screens)


def test_connections_of_the_database_that_are_cut_heal(
    two_on_own_redis: tuple[list[Program], services.Redis], screens: list[Screen], shelf: Shelf, staff: str
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no connections to cut")
    programs, _ = two_on_own_redis
    book = Book.objects.create(title="a", shelf=shelf)
    equal(screens)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    Book.objects.filter(pk=book.pk).update(pages=5)
    equal(screens)
    with peer(programs[0].port, token=staff) as client:
        until(lambda: client.call("get_list", "book")["context"]["state"] == "success")


def test_a_closed_socket_says_so_to_whoever_waits(two: list[Program], staff: str) -> None:
    with peer(two[0].port, token=staff) as client:
        client.call("ping", "room")
        two[0].signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            client.call("ping", "room")


# -- services --------------------------------------------------------------------------------------------------------


class Recorder:
    def __init__(self, name: str, order: list[str], fails: bool = False) -> None:
        self.name, self.order, self.fails = name, order, fails

    def start(self) -> None:
        self.order.append(f"start {self.name}")

    def stop(self) -> None:
        self.order.append(f"stop {self.name}")
        if self.fails:
            raise RuntimeError("as asked")


def test_services_are_stopped_in_reverse_order_even_if_one_fails(expect_log: Any) -> None:
    expect_log("realtime.server", "second could not be stopped")
    order: list[str] = []
    with module.running({"first": Recorder("first", order), "second": Recorder("second", order, fails=True)}):
        order.append("serve")
    assert order == ["start first", "start second", "serve", "stop second", "stop first"]


def test_the_relay_and_the_services_of_apps_are_found() -> None:
    assert "relay" in module.find_services(relay=True)
    assert "relay" not in module.find_services(relay=False)
