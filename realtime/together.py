"""What several ask for at the same time is looked up at once: when a server comes back, thousands ask who they are.

Nobody waits for company. What is asked in one turn of the loop goes together, and what is asked while a look-up runs
goes when that has come back, or a moment later: one that hangs keeps nobody else. An answer is shared only by those
who asked before its look-up began, so it is as fresh as if each had asked alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import chain
from typing import Any, Generic, TypeVar

from django.db import InterfaceError, OperationalError

T = TypeVar("T")

# Looked up at once: a small part of what fits into one statement, so that no answer is long in coming.
MOST = 64
# How long whoever comes waits for the look-up that runs already.
WAIT_SECONDS = 0.01


class Ended(Exception):
    """The threads have stopped."""


class Together(Generic[T]):
    """`many` finds the answers to several keys, except those for which only `alone` can; both run in a thread.

    Who asks for the same key gets the same answer, but no object of another's: `another` makes theirs.
    """

    def __init__(
        self,
        submit: Callable[..., Future[Any]],
        many: Callable[[Sequence[str]], dict[str, T]],
        alone: Callable[[str], T],
        another: Callable[[T], T],
    ) -> None:
        self._submit = submit
        self._many = many
        self._alone = alone
        self._another = another
        self._loop = asyncio.get_running_loop()
        self._asked: list[tuple[str, asyncio.Future[T]]] = []
        self._under_way = 0
        self._due: asyncio.Handle | None = None

    def ask(self, key: str) -> asyncio.Future[T]:
        """The answer; the look-up's error if it fails."""
        future: asyncio.Future[T] = self._loop.create_future()
        self._asked.append((key, future))
        if self._due is None:
            wait = self._loop.call_later(WAIT_SECONDS, self._go) if self._under_way else self._loop.call_soon(self._go)
            self._due = wait
        return future

    def _go(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
        keys: dict[str, list[asyncio.Future[T]]] = {}
        asked, self._asked = self._asked, []
        for key, future in asked:
            if future.done():  # given up
                continue
            if key in keys or len(keys) < MOST:
                keys.setdefault(key, []).append(future)
            else:
                self._asked.append((key, future))
        if self._asked:
            self._due = self._loop.call_soon(self._go)
        if keys:
            self._under_way += 1
            self._look_up(self._many, list(keys), lambda found: self._found(keys, found))

    def _found(self, keys: dict[str, list[asyncio.Future[T]]], found: Future[dict[str, T]]) -> None:
        self._under_way -= 1
        if self._asked and not self._under_way:
            self._go()
        error = _error(found)
        if isinstance(error, OperationalError | InterfaceError | Ended):
            # The database is away, or we are, for each of them.
            for future in chain.from_iterable(keys.values()):
                _settle(future, error=error)
            return
        answers = {} if error is not None else found.result()
        for key, futures in keys.items():
            if key in answers:
                _settle(futures[0], answers[key])
                for future in futures[1:]:
                    _settle(future, self._another(answers[key]))
                continue
            for future in futures:
                if not future.done():
                    # Also after an error: the others shall not suffer from the one that caused it.
                    self._look_up(self._alone, key, _teller(future))

    def _look_up(self, function: Callable[[Any], Any], asked: Any, then: Callable[[Future[Any]], None]) -> None:
        def tell(done: Future[Any]) -> None:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(then, done)

        try:
            future = self._submit(function, asked)
        except RuntimeError:  # no thread takes anything any more
            future = Future()
            future.cancel()
        future.add_done_callback(tell)


def _teller(future: asyncio.Future[T]) -> Callable[[Future[T]], None]:
    def tell(found: Future[T]) -> None:
        error = _error(found)
        if error is None:
            _settle(future, found.result())
        else:
            _settle(future, error=error)

    return tell


def _error(found: Future[Any]) -> BaseException | None:
    return Ended() if found.cancelled() else found.exception()


def _settle(future: asyncio.Future[T], answer: Any = None, error: BaseException | None = None) -> None:
    if future.done():  # given up
        return
    if error is None:
        future.set_result(answer)
    else:
        future.set_exception(error)
