"""Where connections come in: as many at a time as the server can serve, the others wait in the kernel's queue.

When a server comes back, thousands of clients do within seconds. Let in all at once, each would be half served, no turn
of the loop would be short enough for the links to the bus, and answers would come after their deadlines. So nobody new
is let in while those who are in wait for the loop or for its threads; only one now and then, whatever happens, so that
a server whose database hangs still tells its health.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable

logger = logging.getLogger("realtime.door")

# Let in together; then the loop serves them before it looks for more.
BATCH = 8
# Between two looks. One connection a look, while the server is busy, is 100 a second.
PAUSE_SECONDS = 0.01
# The same while it is not: what comes in and is said meanwhile is served before.
EAGER_SECONDS = 0.002
# The server is busy when its loop came so much later than it was asked to, or as many calls wait for a thread.
LATE_SECONDS = 0.05
CALLS = 32
# While no descriptors are left, every look fails: that is told so often.
TELL_SECONDS = 60.0


class Door:
    def __init__(self, welcome: Callable[[socket.socket, tuple[str, int]], None], waiting: Callable[[], int]) -> None:
        """`welcome` gets every connection and its peer's address; `waiting` counts the calls that wait for a thread."""
        self._welcome = welcome
        self._waiting = waiting
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = []
        self._looks: dict[socket.socket, asyncio.TimerHandle] = {}
        self._late = 0.0
        self._told_at = float("-inf")

    def open(self, sockets: Iterable[socket.socket]) -> None:
        """These listen already."""
        for sock in sockets:
            self._sockets.append(sock)
            self._loop.add_reader(sock, self._let_in, sock)

    def close(self) -> None:
        """Who waits is refused by the kernel."""
        for sock in self._sockets:
            self._loop.remove_reader(sock)
            sock.close()
        for look in self._looks.values():
            look.cancel()
        self._sockets.clear()
        self._looks.clear()

    @property
    def busy(self) -> bool:
        return self._late > LATE_SECONDS or self._waiting() >= CALLS

    def _let_in(self, sock: socket.socket) -> None:
        for _ in range(1 if self.busy else BATCH):
            try:
                connection, address = sock.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as error:
                # No descriptors are left, or no memory: those who wait go on waiting.
                if self._loop.time() - self._told_at >= TELL_SECONDS:
                    self._told_at = self._loop.time()
                    logger.warning("no connection can be accepted: %s", error.strerror)
                break
            try:
                self._welcome(connection, address)
            except Exception:
                logger.exception("a connection could not be served")
                connection.close()
        self._loop.remove_reader(sock)
        due = self._loop.time() + (PAUSE_SECONDS if self.busy else EAGER_SECONDS)
        self._looks[sock] = self._loop.call_at(due, self._look, sock, due)

    def _look(self, sock: socket.socket, due: float) -> None:
        self._late = self._loop.time() - due
        self._loop.add_reader(sock, self._let_in, sock)
