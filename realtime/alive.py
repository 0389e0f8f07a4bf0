"""Whether the connections of a worker thread are still there, without asking the database before each piece of work.

Django's health checks ask `SELECT 1` before every request, and in a storm of short calls that is every other statement.
A connection that answered a moment ago, and of whose socket nothing was heard since, is taken to be there: a server
that ends one says so, or its kernel does, and both can be read. What this does not notice, a network that was cut
within that moment, ends in an error that `again` makes good where nothing was written.
"""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, close_old_connections, connections

T = TypeVar("T")

# How long ago a connection may have answered.
TRUST_SECONDS = 1.0


class _Answered(threading.local):
    """By alias: the driver's connection, and since when at least it has answered."""

    def __init__(self) -> None:
        self.at: dict[str, tuple[Any, float]] = {}


_answered = _Answered()


@contextmanager
def work() -> Iterator[None]:
    """One piece of work of this thread. Around it, connections that went stale or that an error left unusable are
    closed; inside it, Django asks those that have not answered for a while."""
    close_old_connections()
    began = time.monotonic()
    trusted = _trust(began)
    try:
        yield
    finally:
        _note(trusted, began)
        close_old_connections()


def again(read: Callable[[], T]) -> T:
    """What it returns; run once more if the connection turns out to be gone. Only for what writes nothing."""
    used = {c: c.connection for c in _opened() if not c.in_atomic_block}
    try:
        return read()
    except (OperationalError, InterfaceError):
        if any(c.in_atomic_block for c in _opened()):
            raise
        close_old_connections()
        # A new connection that could not be made, or one that still answers: the error was another.
        if all(c.connection is raw for c, raw in used.items()):
            raise
    return read()


def _trust(now: float) -> set[str]:
    trusted = set()
    for connection in _opened():
        raw, at = _answered.at.get(connection.alias, (None, 0.0))
        if raw is not None and raw is connection.connection and now - at < TRUST_SECONDS and _quiet(raw):
            connection.health_check_done = True
            trusted.add(connection.alias)
    return trusted


def _note(trusted: set[str], began: float) -> None:
    for connection in _opened():
        # Of those that were trusted nobody knows whether they were used.
        if connection.health_check_done and not connection.errors_occurred and connection.alias not in trusted:
            _answered.at[connection.alias] = connection.connection, began


def _opened() -> list[Any]:
    return [connection for connection in connections.all(initialized_only=True) if connection.connection is not None]


def _quiet(raw: Any) -> bool:
    """Whether the server has said nothing that nobody waits for: neither that it ends the connection nor its end."""
    try:
        poll = select.poll()
        poll.register(raw.fileno(), select.POLLIN)
        return not poll.poll(0)
    except Exception:  # a driver that tells of no socket, or a connection that is closed here
        return False
