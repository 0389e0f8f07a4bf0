"""A process that stands still in the middle of the relay's marking keeps no writer waiting."""

from __future__ import annotations

import time

import pytest
from django.db import DatabaseError, connection, transaction

from realtime.brief import brief
from tests.app.models import Named
from tests.realtime.journal_base import POSTGRESQL

from .relay_base import Worker

pytestmark = pytest.mark.django_db(transaction=True)


def held(named: Named) -> bool:
    with transaction.atomic():
        return not list(Named.objects.filter(pk=named.pk).select_for_update(skip_locked=True))


def test_what_is_written_inside_is_one_transaction() -> None:
    with pytest.raises(ZeroDivisionError), brief():
        Named.objects.create(code="a")
        raise ZeroDivisionError
    with brief():
        Named.objects.create(code="b")
    assert [named.code for named in Named.objects.all()] == ["b"]


@pytest.mark.skipif(not POSTGRESQL, reason="SQLite cannot end a transaction of a process that stands still")
def test_a_writer_waits_less_than_a_second_for_a_process_that_stands_still() -> None:
    named = Named.objects.create(code="a", size=1)
    worker = Worker()

    def stand_still() -> None:
        with brief():
            Named.objects.select_for_update().get(pk=named.pk)
            time.sleep(3)  # no statement is sent: to the database this is a process that was paused
            Named.objects.filter(pk=named.pk).update(size=2)

    standing = worker.begin(stand_still)
    deadline = time.monotonic() + 5
    while not held(named):
        assert time.monotonic() < deadline
    begun = time.monotonic()
    Named.objects.filter(pk=named.pk).update(size=3)
    assert time.monotonic() - begun < 2
    with pytest.raises(DatabaseError):
        standing.result(10)
    worker.close()
    named.refresh_from_db()
    assert named.size == 3


@pytest.mark.skipif(not POSTGRESQL, reason="a setting of PostgreSQL")
def test_a_transaction_around_it_is_not_bounded() -> None:
    def bound() -> str:
        with connection.cursor() as cursor:
            cursor.execute("SHOW idle_in_transaction_session_timeout")
            return str(cursor.fetchone()[0])

    with transaction.atomic():
        outside = bound()
        with brief():
            assert bound() == outside
        assert bound() == outside
    with brief():
        assert bound() != outside
