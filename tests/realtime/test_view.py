"""One consistent view of the database, that keeps no writer waiting and cannot write."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, connections, transaction
from django.db.utils import DatabaseError

from realtime import view
from tests.app.models import Named

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = 10.0


def elsewhere(code: str) -> None:
    """Write with another connection; it must not wait for us."""

    def write() -> None:
        Named.objects.create(code=code)
        connections["default"].close()

    thread = threading.Thread(target=write)
    thread.start()
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_what_others_commit_meanwhile_is_not_seen() -> None:
    with view.consistent():
        assert Named.objects.count() == 0
        elsewhere("a")
        assert Named.objects.count() == 0
    assert Named.objects.count() == 1


def test_writing_inside_is_an_error_and_the_connection_stays_good() -> None:
    with pytest.raises(DatabaseError), view.consistent():
        Named.objects.create(code="a")
    Named.objects.create(code="b")
    with transaction.atomic():
        Named.objects.create(code="c")
    assert [named.code for named in Named.objects.order_by("code")] == ["b", "c"]


def test_an_exception_inside_ends_the_view() -> None:
    with pytest.raises(RuntimeError), view.consistent():
        raise RuntimeError
    assert not connection.in_atomic_block
    Named.objects.create(code="a")


def test_a_connection_closed_inside_comes_back_able_to_write() -> None:
    with view.consistent():
        connection.close()
    Named.objects.create(code="a")
    assert Named.objects.count() == 1


def test_inside_a_transaction_it_is_that_ones_view() -> None:
    with transaction.atomic():
        Named.objects.create(code="a")
        with view.consistent():
            assert Named.objects.count() == 1
        Named.objects.create(code="b")
    assert Named.objects.count() == 2


def test_views_within_views_are_one() -> None:
    with view.consistent():
        assert Named.objects.count() == 0
        elsewhere("a")
        with view.consistent(), transaction.atomic():
            assert Named.objects.count() == 0


def test_the_connection_may_be_new() -> None:
    connection.close()
    with view.consistent():
        assert Named.objects.count() == 0
    with transaction.atomic():
        Named.objects.create(code="a")


def test_many_readers_do_not_keep_a_writer_waiting() -> None:
    inside, go_on = threading.Barrier(4), threading.Event()

    def read() -> None:
        with view.consistent():
            Named.objects.count()
            inside.wait(LIMIT)
            go_on.wait(LIMIT)
        connections["default"].close()

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    inside.wait(LIMIT)
    with transaction.atomic():
        Named.objects.create(code="a")
    go_on.set()
    for thread in threads:
        thread.join(LIMIT)
    assert Named.objects.count() == 1
