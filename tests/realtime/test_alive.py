"""Database connections between two pieces of a thread's work: asked seldom, and never used when they are gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection, connections, transaction

from realtime import alive
from realtime.threads import Threads

pytestmark = pytest.mark.django_db(transaction=True)
on_postgresql = pytest.mark.skipif("connection.vendor != 'postgresql'", reason="only PostgreSQL has backends")


@pytest.fixture
def thread() -> Iterator[Callable[..., Any]]:
    """Runs pieces of work in one thread that has a connection of its own, with health checks."""
    threads = Threads(1, "test")

    def check() -> None:
        own = connections["default"]
        own.settings_dict = {**own.settings_dict, "CONN_HEALTH_CHECKS": True, "CONN_MAX_AGE": 60}
        own.close()

    threads.submit(check).result(10)
    yield lambda work: threads.submit(work).result(10)
    threads.stop()


def backend() -> int:
    """The process of the database that serves this thread."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        found: int = cursor.fetchone()[0]
    return found


def end(pid: int) -> None:
    """Returns when the backend is gone."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [pid])
        until = time.monotonic() + 10
        while time.monotonic() < until:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid])
            if cursor.fetchone()[0] == 0:
                return
            time.sleep(0.01)
    raise AssertionError("it does not end")


def counted(thread: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gets an entry whenever the thread's connection is asked."""
    asked: list[int] = []

    def install() -> None:
        own = connections["default"]
        usable = own.is_usable
        monkeypatch.setattr(own, "is_usable", lambda: (asked.append(1), usable())[1])

    thread(install)
    return asked


@on_postgresql
def test_a_connection_that_answered_a_moment_ago_is_not_asked(
    thread: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = counted(thread, monkeypatch)
    assert len({thread(backend) for _ in range(10)}) == 1
    assert not asked


@on_postgresql
def test_a_connection_is_asked_after_a_while(thread: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = counted(thread, monkeypatch)
    thread(backend)
    monkeypatch.setattr(alive, "TRUST_SECONDS", 0.0)
    thread(backend)
    assert len(asked) == 1


@on_postgresql
def test_trust_does_not_prolong_itself(thread: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = counted(thread, monkeypatch)
    monkeypatch.setattr(alive, "TRUST_SECONDS", 0.3)
    thread(backend)
    until = time.monotonic() + 0.35
    while time.monotonic() < until:
        thread(lambda: None)
    thread(backend)
    assert len(asked) == 1


@on_postgresql
def test_a_backend_that_was_killed_between_two_calls_is_noticed(thread: Callable[..., Any]) -> None:
    killed = thread(backend)
    end(killed)
    assert thread(backend) != killed


@on_postgresql
def test_a_read_on_a_connection_that_ended_unheard_is_run_again(
    thread: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alive, "_quiet", lambda raw: True)
    killed = thread(backend)
    end(killed)
    assert thread(lambda: alive.again(backend)) != killed


@on_postgresql
def test_nothing_is_run_again_inside_a_transaction(thread: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alive, "_quiet", lambda raw: True)
    end(thread(backend))

    def read() -> int:
        with transaction.atomic():
            return alive.again(backend)

    with pytest.raises(OperationalError):
        thread(read)
    assert thread(backend)


def test_an_error_of_a_connection_that_is_there_is_not_tried_again(thread: Callable[..., Any]) -> None:
    tries: list[int] = []

    def fail() -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        tries.append(1)
        raise OperationalError("locked")

    with pytest.raises(OperationalError):
        thread(lambda: alive.again(fail))
    assert len(tries) == 1
