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


def test_callbacks_are_called_in_another_thread_until_they_unsubscribe() -> None:
    count = Count()
    threads: list[threading.Thread] = []
    stop_noting = wake.subscribe(lambda: threads.append(threading.current_thread()))
    stop = wake.subscribe(count)
    wake.wake()
    assert count.reaches(1)
    assert threads[0] is not threading.current_thread()
    assert threads[0].daemon
    stop()
    stop()
    stop_noting()
    other = Count()
    stop = wake.subscribe(other)
    wake.wake()
    assert other.reaches(1)
    stop()
    assert count.calls == 1


def test_a_callback_that_fails_hurts_neither_writer_nor_the_others(expect_log: object) -> None:
    expect_log("realtime.wake", "could not pass on")  # type: ignore[operator]
    count = Count()

    def fail() -> None:
        raise RuntimeError

    stops = [wake.subscribe(fail), wake.subscribe(count)]
    create("a")
    assert count.reaches(1)
    for stop in stops:
        stop()


def test_a_callback_that_hangs_does_not_hold_a_writer_up() -> None:
    go_on, hanging = threading.Event(), threading.Event()

    def hang() -> None:
        hanging.set()
        go_on.wait(LIMIT)

    stop = wake.subscribe(hang)
    create("a")
    assert hanging.wait(LIMIT)
    create("b")  # would never return if it waited
    assert Named.objects.count() == 2
    stop()
    go_on.set()


def test_every_connection_is_watched_once() -> None:
    connection.close()
    connection.connect()
    assert connection.execute_wrappers.count(wake._notice) == 1
