"""The backend's turn: taken by whoever will write, given back however it ends, and never by readers."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.db.utils import OperationalError

from realtime.sqlite.base import DatabaseWrapper
from realtime.sqlite.turn import turn_of

LIMIT = 20.0


@pytest.fixture(autouse=True)
def allowed(django_db_blocker: Any) -> Iterator[None]:
    """These databases are files of their own; the tests' database is not needed."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def path(tmp_path: Path) -> str:
    found = str(tmp_path / "db.sqlite3")
    with sqlite3.connect(found) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n INTEGER)")
    database.close()
    return found


def connect(path: str, timeout: float = LIMIT, mode: str | None = "IMMEDIATE") -> Any:
    settings = connections.settings["default"] | {
        "ENGINE": "realtime.sqlite",
        "NAME": path,
        "OPTIONS": {"timeout": timeout, "transaction_mode": mode},
        "TIME_ZONE": None,
        "AUTOCOMMIT": True,
        "CONN_HEALTH_CHECKS": False,
        "CONN_MAX_AGE": 0,
    }
    return DatabaseWrapper(settings, alias="other")


@pytest.fixture
def one(path: str) -> Iterator[Any]:
    wrapper = connect(path)
    yield wrapper
    wrapper.close()


def execute(wrapper: Any, sql: str) -> list[Any]:
    with wrapper.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def free(path: str) -> bool:
    turn = turn_of(path)
    if not turn.take(0):
        return False
    turn.give()
    return True


def begin(wrapper: Any) -> None:
    wrapper.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)


def test_taken_by_a_transaction_and_given_back_by_commit_and_rollback(one: Any, path: str) -> None:
    for end in (one.commit, one.rollback):
        begin(one)
        assert not free(path)
        execute(one, "INSERT INTO t (n) VALUES (1)")
        end()
        one.set_autocommit(True)
        assert free(path)
    assert execute(one, "SELECT count(*) FROM t") == [(1,)]


def test_given_back_by_closing(path: str) -> None:
    wrapper = connect(path)
    begin(wrapper)
    wrapper.close()
    assert free(path)


def test_given_back_when_begin_fails(path: str) -> None:
    # The write lock is held by another program, which knows nothing of turns.
    stranger = sqlite3.connect(path, isolation_level=None)
    stranger.execute("BEGIN IMMEDIATE")
    wrapper = connect(path, timeout=0.05)
    with pytest.raises(OperationalError):
        begin(wrapper)
    assert free(path)
    stranger.execute("ROLLBACK")
    stranger.close()
    wrapper.close()


def test_a_failed_commit_keeps_it_until_the_rollback(one: Any, path: str) -> None:
    execute(one, "CREATE TABLE child (t INTEGER REFERENCES t (id) DEFERRABLE INITIALLY DEFERRED)")
    begin(one)
    execute(one, "INSERT INTO child VALUES (99)")
    with pytest.raises(Exception, match="FOREIGN KEY"):
        one.commit()
    assert not free(path)
    one.rollback()
    one.set_autocommit(True)
    assert free(path)


def test_single_writes_take_it_and_reads_do_not(one: Any, path: str) -> None:
    writer = connect(path)
    begin(writer)
    assert execute(one, "SELECT count(*) FROM t") == [(0,)]
    assert execute(one, "WITH x AS (SELECT 1) SELECT * FROM x") == [(1,)]
    impatient = connect(path, timeout=0.05)
    with pytest.raises(OperationalError, match="locked"):
        execute(impatient, "INSERT INTO t (n) VALUES (1)")
    with pytest.raises(OperationalError, match="locked"), impatient.cursor() as cursor:
        cursor.executemany("INSERT INTO t (n) VALUES (%s)", [(1,), (2,)])
    writer.rollback()
    for wrapper in (writer, impatient):
        wrapper.close()
    execute(one, "INSERT INTO t (n) VALUES (1) RETURNING id")
    assert free(path)


def test_deferred_transactions_do_not_take_it(path: str) -> None:
    wrapper = connect(path, mode=None)
    begin(wrapper)
    assert free(path)
    wrapper.rollback()
    wrapper.close()


def test_in_memory_databases_have_none() -> None:
    wrapper = connect(":memory:")
    begin(wrapper)
    wrapper.rollback()
    assert wrapper._turn() is None
    wrapper.connection.close()


def test_replaced_rows_fire_delete_triggers(one: Any) -> None:
    execute(one, "CREATE TABLE gone (id INTEGER)")
    execute(one, "CREATE TRIGGER note AFTER DELETE ON t BEGIN INSERT INTO gone VALUES (OLD.id); END")
    execute(one, "INSERT INTO t VALUES (1, 1)")
    execute(one, "INSERT OR REPLACE INTO t VALUES (1, 2)")
    assert execute(one, "SELECT * FROM gone") == [(1,)]


def test_twelve_writers_all_come_to_their_turn(path: str) -> None:
    """Transactions and single statements mixed, as in a busy server; every one of them is served in time."""
    failures: list[Exception] = []

    def write(number: int) -> None:
        wrapper = connect(path)
        try:
            for _ in range(20):
                if number % 2:
                    execute(wrapper, "INSERT INTO t (n) VALUES (1)")
                    continue
                begin(wrapper)
                execute(wrapper, "INSERT INTO t (n) VALUES (1)")
                time.sleep(0.001)  # what a transaction does beside writing
                wrapper.commit()
                wrapper.set_autocommit(True)
        except Exception as error:
            failures.append(error)
        finally:
            wrapper.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert failures == []
    check = connect(path)
    assert execute(check, "SELECT count(*) FROM t") == [(240,)]
    check.close()
