"""A lock that serves in the order of asking: SQLite's own busy handler lets the luckiest sleeper win."""

from __future__ import annotations

import os
import threading
from collections import deque


class Turn:
    """One writer at a time, first come first served. Not re-entrant; whoever holds it hands it to the next in line."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False

    def take(self, timeout: float) -> bool:
        """False when the turn did not come in time; then it need not be given back."""
        with self._guard:
            if not self._taken:
                self._taken = True
                return True
            mine = threading.Event()
            self._waiting.append(mine)
        if mine.wait(timeout):
            return True
        with self._guard:
            if mine.is_set():  # handed over in the very moment of giving up
                return True
            self._waiting.remove(mine)
            return False

    def give(self) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False

    @property
    def waiting(self) -> int:
        return len(self._waiting)


_turns: dict[str, Turn] = {}
_guard = threading.Lock()


def turn_of(path: str) -> Turn:
    """The one turn of this process for a database file, under whatever name it was opened."""
    with _guard:
        if path not in _turns:
            _turns[path] = _turns.setdefault(os.path.realpath(path), Turn())
        return _turns[path]


def _forget() -> None:
    # The thread that held a turn does not exist in a forked child.
    global _guard
    _guard = threading.Lock()
    _turns.clear()


os.register_at_fork(after_in_child=_forget)
