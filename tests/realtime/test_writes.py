"""A database that refuses to write is recognised by what it says, and tried until it writes again."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from typing import Any

import psycopg2.errors
import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, connection

from realtime.models import Journal
from realtime.writes import Writes, refused


def caused(error: Exception, cause: Exception) -> Exception:
    try:
        raise error from cause
    except type(error) as raised:
        return raised


def sqlite(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("as the driver raises it")
    error.sqlite_errorcode = code
    return error


class Full(psycopg2.errors.DiskFull):
    pgcode = "53100"  # type: ignore[assignment]  read-only without a connection


@pytest.mark.parametrize("code", [13, 8, 10, 778, 14])
def test_sqlite_says_with_its_code_that_nothing_can_be_written(code: int) -> None:
    assert refused(caused(OperationalError("x"), sqlite(code)))


def test_postgresql_says_so_with_its_sqlstate() -> None:
    assert refused(caused(OperationalError("x"), Full()))


@pytest.mark.parametrize(
    "error",
    [
        None,
        ValueError("disk full"),
        OperationalError("database or disk is full, says a text"),
        caused(OperationalError("locked"), sqlite(5)),
        caused(IntegrityError("unique"), sqlite(2067)),
    ],
    ids=str,
)
def test_other_errors_say_nothing_of_the_kind(error: BaseException | None) -> None:
    assert not refused(error)


@contextlib.contextmanager
def full() -> Iterator[None]:
    """The database may not grow any more: SQLite's own limit, or PostgreSQL's transactions read-only."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA page_count")
            pages = cursor.fetchone()[0]
            cursor.execute(f"PRAGMA max_page_count = {pages}")
        else:
            cursor.execute("SET default_transaction_read_only = on")
        yield
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA max_page_count = 1073741823")
        else:
            cursor.execute("SET default_transaction_read_only = off")


@pytest.mark.django_db(transaction=True)
def test_refused_writes_are_tried_until_one_goes_through_and_leave_nothing_behind() -> None:
    writes = Writes()
    before = Journal.objects.count()
    with full():
        with pytest.raises(DatabaseError) as caught:
            for number in range(100):  # the room that deleted rows left is used up first
                Journal.objects.create(**ROW, key=str(number))
        with pytest.raises(DatabaseError):
            for number in range(100, 200):  # and what was too little for one of these
                Journal.objects.create(**ROW | {"payload": "x" * 2_000}, key=str(number))
        assert writes.note(caught.value)
        assert writes.look()
        assert writes.look()
    assert not writes.look()
    assert not writes.refused
    Journal.objects.filter(label="!fill").delete()
    assert Journal.objects.count() == before


ROW: dict[str, Any] = {
    "kind": 2, "label": "!fill", "revision": 0, "dirty": False, "before": "{}", "payload": "x" * 60_000,
    "failed": False, "at": "2026-11-21T06:00:00Z",
}  # fmt: skip


@pytest.mark.django_db
def test_while_nothing_was_refused_nothing_is_written(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert not Writes().look()


@pytest.mark.django_db(transaction=True)
def test_a_suspicion_without_reason_ends_with_the_first_trial() -> None:
    writes = Writes()
    writes.suspect()
    assert writes.refused
    assert not writes.look()
    assert not writes.refused
