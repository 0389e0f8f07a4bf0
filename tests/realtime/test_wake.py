"""A committed write wakes once; one that was undone does not; and the writer never waits for it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from django.db import connection, transaction

import realtime
from realtime import journal, wake
from tests.app.models import Named
from tests.realtime.journal_base import publish_all

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = 10.0


class Count:
    def __init__(self) -> None:
        self.calls = 0
        self.arrived = threading.Condition()

    def __call__(self) -> None:
        with self.arrived:
            self.calls += 1
            self.arrived.notify_all()

    def reaches(self, calls: int) -> bool:
        with self.arrived:
            return self.arrived.wait_for(lambda: self.calls >= calls, LIMIT)


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Iterator[Count]:
    """How often the flag was set, instead of how often a thread noticed."""
    count = Count()
    monkeypatch.setattr(wake._due, "set", count)
    yield count


def create(code: str) -> None:
    Named.objects.create(code=code)


def test_a_write_outside_a_transaction_wakes(count: Count) -> None:
    create("a")
    assert count.calls == 1


def test_reading_does_not_wake(count: Count) -> None:
    list(Named.objects.all())
    assert count.calls == 0


def test_a_transaction_wakes_once_and_only_when_it_is_committed(count: Count) -> None:
    with transaction.atomic():
        for code in "abc":
            create(code)
        with transaction.atomic():
            create("d")
        assert count.calls == 0
    assert count.calls == 1


def test_what_is_rolled_back_does_not_wake(count: Count) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        create("a")
        raise RuntimeError
    assert count.calls == 0


def test_a_write_after_a_rolled_back_savepoint_wakes(count: Count) -> None:
    with transaction.atomic():
        with pytest.raises(RuntimeError), transaction.atomic():
            create("a")
            raise RuntimeError
        create("b")
    assert count.calls == 1


def test_a_write_before_a_rolled_back_savepoint_wakes(count: Count) -> None:
    with transaction.atomic():
        create("a")
        with pytest.raises(RuntimeError), transaction.atomic():
            create("b")
            raise RuntimeError
    assert count.calls == 1


def test_marking_does_not_wake_but_adding_does(count: Count) -> None:
    create("a")
    publish_all()
    journal.prune(age=-1)
    assert count.calls == 1
    realtime.publish_data("news", 1)
    journal.whole("app.named")
    create("b")
    journal.touch(Named, ["b"])
    assert count.calls == 5


def test_manual_transactions_are_left_to_the_poll(count: Count) -> None:
    transaction.set_autocommit(False)
    try:
        create("a")
        transaction.commit()
    finally:
        transaction.set_autocommit(True)
    assert count.calls == 0


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Count:
    """How often the bus was told."""
    told = Count()
    monkeypatch.setattr(wake, "_tell_bus", told)
    return told


def test_the_bus_is_told_from_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[threading.Thread] = []
    arrived = threading.Event()

    def tell() -> None:
        threads.append(threading.current_thread())
        arrived.set()

    monkeypatch.setattr(wake, "_tell_bus", tell)
    create("a")
    assert arrived.wait(LIMIT)
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon


def test_a_relay_in_this_process_is_woken_at_once_until_it_goes(told: Count) -> None:
    due = threading.Event()
    stop = wake.attend(due, lambda: False)
    create("a")
    assert due.is_set()
    assert told.reaches(1), "another relay may be at work"
    due.clear()
    stop()
    stop()
    before = told.calls
    create("b")
    assert told.reaches(before + 1)
    assert not due.is_set()


def test_nobody_else_is_told_while_a_relay_of_this_process_is_at_work(count: Count) -> None:
    at_work = [True]
    dues = threading.Event(), threading.Event()
    stops = [wake.attend(dues[0], lambda: False), wake.attend(dues[1], lambda: at_work[0])]
    create("a")
    assert all(due.is_set() for due in dues)
    assert count.calls == 0
    at_work[0] = False
    create("b")
    assert count.calls == 1
    for stop in stops:
        stop()


def test_a_bus_that_fails_does_not_hurt_the_next_wake(expect_log: object, monkeypatch: pytest.MonkeyPatch) -> None:
    expect_log("realtime.wake", "could not pass on")  # type: ignore[operator]
    failed = threading.Event()

    def fail() -> None:
        failed.set()
        raise RuntimeError

    monkeypatch.setattr(wake, "_tell_bus", fail)
    create("a")
    assert failed.wait(LIMIT)
    told = Count()
    monkeypatch.setattr(wake, "_tell_bus", told)
    create("b")
    assert told.reaches(1)


def test_a_bus_that_hangs_does_not_hold_a_writer_up(monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, hanging = threading.Event(), threading.Event()

    def hang() -> None:
        hanging.set()
        go_on.wait(LIMIT)

    monkeypatch.setattr(wake, "_tell_bus", hang)
    create("a")
    assert hanging.wait(LIMIT)
    create("b")  # would never return if it waited
    assert Named.objects.count() == 2
    go_on.set()


def test_every_connection_is_watched_once() -> None:
    connection.close()
    connection.connect()
    assert connection.execute_wrappers.count(wake._notice) == 1
