"""How the relay waits for work: a wake, or a look at the database that costs almost nothing, or the next poll."""

from __future__ import annotations

import threading
import time

from django.db import Error, connections

from realtime.settings import settings

# A read that took t is not repeated before 10 t, so that a slow database is not kept busy by looking for nothing.
PATIENCE = 10
# But never longer: a read may have hung with its database for any time, and what is due then is late already.
LONGEST_SECONDS = 0.5
# With SQLite's own word that nobody committed, reading is only for what that word cannot tell.
SQLITE_POLL_SECONDS = 0.2


class Pause:
    def __init__(self, due: threading.Event, using: str = "default") -> None:
        self._due = due
        self._using = using
        self._version: int | None = None

    def wait(self, spent: float) -> None:
        """After a read of `spent` seconds that found nothing new: return when it is worth reading again."""
        rest = min(PATIENCE * spent, LONGEST_SECONDS)
        if connections[self._using].vendor == "sqlite":
            self._glance_for(max(SQLITE_POLL_SECONDS, rest))
        else:
            self._due.wait(max(settings.RELAY_POLL_SECONDS, rest))

    def _glance_for(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while True:
            # Compared with the glance before the last read: what was committed during that read has to be read.
            version = self._glance()
            if version is None or version != self._version:
                self._version = version
                return
            left = until - time.monotonic()
            if left <= 0 or self._due.wait(min(left, settings.RELAY_GLANCE_SECONDS)):
                return

    def _glance(self) -> int | None:
        """A number that other connections' commits change; the relay's own marks do not."""
        connection = connections[self._using]
        try:
            connection.ensure_connection()
            found: tuple[int] = connection.connection.execute("PRAGMA data_version").fetchone()
        except Error:
            return None
        return found[0]
