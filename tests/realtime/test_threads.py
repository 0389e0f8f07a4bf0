"""Worker threads and their database connections."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, connections

from realtime.threads import Threads
from tests.realtime.serving import until

pytestmark = pytest.mark.django_db(transaction=True)


def use() -> object:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return connections["default"]


def test_stopping_gives_every_threads_connection_back() -> None:
    threads = Threads(3, "test")
    meet = threading.Barrier(3)

    def meet_and_use() -> object:
        meet.wait(10)
        return use()

    wrappers = [future.result(10) for future in [threads.submit(meet_and_use) for _ in range(3)]]
    assert len({id(wrapper) for wrapper in wrappers}) == 3
    assert all(wrapper.connection is not None for wrapper in wrappers)  # type: ignore[attr-defined]
    threads.stop()
    assert all(wrapper.connection is None for wrapper in wrappers)  # type: ignore[attr-defined]


def test_a_thread_that_hangs_keeps_nobody_from_stopping() -> None:
    threads = Threads(2, "test")
    free = threading.Event()
    hanging = threads.submit(free.wait, 30)
    until(hanging.running)
    threads.stop()
    assert not hanging.done()
    free.set()
    assert hanging.result(10)


def test_a_connection_that_an_error_left_unusable_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = Threads(1, "test")

    def spoil() -> object:
        use()
        connection.errors_occurred = True
        monkeypatch.setattr(connections["default"], "is_usable", lambda: False)
        return connection.connection

    try:
        spoilt = threads.submit(spoil).result(10)
        assert threads.submit(lambda: (use(), connection.connection)[1]).result(10) is not spoilt
    finally:
        threads.stop()
