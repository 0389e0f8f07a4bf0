"""Worker threads that use the ORM, and the one gate through which they meet the database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any, TypeVar

from django.db import connections

from realtime import alive

T = TypeVar("T")

# A thread that hangs in the database keeps its connection; the others do not wait for it longer than this.
RELEASE_SECONDS = 1.0


class Threads:
    """So many threads, each with a connection of its own. `stop` waits."""

    def __init__(self, count: int, name: str) -> None:
        self.executor = ThreadPoolExecutor(count, name)
        self._count = count
        self._under_way = 0
        self._counting = threading.Lock()

    def submit(self, function: Callable[..., T], *args: object) -> Future[T]:
        with self._counting:
            self._under_way += 1
        future = self.executor.submit(_gate, function, *args)
        future.add_done_callback(self._done)
        return future

    @property
    def waiting(self) -> int:
        """How much waits for a thread to be free."""
        return max(0, self._under_way - self._count)

    def _done(self, future: Future[Any]) -> None:
        with self._counting:
            self._under_way -= 1

    def stop(self) -> None:
        """Give the connections back and end. What has not begun never will; what runs is left alone."""
        together = threading.Barrier(self._count)

        def release() -> None:
            # Each waits for the others, or one thread would do it for all of them.
            with suppress(threading.BrokenBarrierError):
                together.wait(RELEASE_SECONDS)
            connections.close_all()

        wait([self.executor.submit(release) for _ in range(self._count)], 2 * RELEASE_SECONDS)
        self.executor.shutdown(wait=False, cancel_futures=True)


def _gate(function: Callable[..., T], *args: object) -> T:
    with alive.work():
        return function(*args)
