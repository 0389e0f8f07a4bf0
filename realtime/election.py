"""One relay at work of all that run. Only economy: two at once do no harm, as the bus refuses what is not newer."""

from __future__ import annotations

import contextlib
import fcntl
import os
from abc import ABC, abstractmethod
from pathlib import Path

from django.db import Error, connections
from django.db.backends.base.base import BaseDatabaseWrapper

# Any number, but the same for every relay of a database and used by nothing else in it.
ADVISORY_KEY = 0x6D61_7273_686C
# A relay that stands still, or behind a network that is gone, loses its lock after this long; it asks every second.
IDLE_SECONDS = 5


class Election(ABC):
    @abstractmethod
    def won(self) -> bool:
        """Whether this relay is the one at work; asked again and again, it also keeps the claim alive."""

    @abstractmethod
    def withdraw(self) -> None:
        """Let another one win. The next `won` is a new claim."""


class Alone(Election):
    """Nobody else can see this database."""

    def won(self) -> bool:
        return True

    def withdraw(self) -> None:
        pass


class FileLock(Election):
    """SQLite: a lock on a file beside the database. The system gives it back when the process dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def won(self) -> bool:
        if self._file is not None:
            return True
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError:
            return False
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            return False
        self._file = file
        return True

    def withdraw(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class AdvisoryLock(Election):
    """PostgreSQL: an advisory lock of a session on a connection of its own."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection.copy()
        self._held = False

    def won(self) -> bool:
        try:
            return self._claim()
        except Error:
            self.withdraw()
        # A connection that was ended, after a standstill or with the database: the next one may do at once.
        try:
            return self._claim()
        except Error:
            self.withdraw()
        return False

    def _claim(self) -> bool:
        with self._connection.cursor() as cursor:
            if not self._held:
                if self._connection.pg_version >= 140000:  # type: ignore[attr-defined]
                    cursor.execute("SELECT set_config('idle_session_timeout', %s, false)", [f"{IDLE_SECONDS}s"])
                cursor.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_KEY])
                (self._held,) = cursor.fetchone()
            else:
                cursor.execute("SELECT 1")
        return self._held

    def withdraw(self) -> None:
        self._held = False
        with contextlib.suppress(Error):
            self._connection.close()


def election(using: str = "default") -> Election:
    connection = connections[using]
    if connection.vendor == "postgresql":
        return AdvisoryLock(connection)
    if connection.is_in_memory_db():  # type: ignore[attr-defined]
        return Alone()
    return FileLock(Path(f"{connection.settings_dict['NAME']}.relay"))


def at_work(using: str = "default") -> bool:
    """Whether some relay holds the claim, in whichever process. Takes part in no election."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_HOLDER, [ADVISORY_KEY >> 32, ADVISORY_KEY & 0xFFFF_FFFF])
            return cursor.fetchone() is not None
    if connection.is_in_memory_db():  # type: ignore[attr-defined]
        return True
    try:
        file = os.open(f"{connection.settings_dict['NAME']}.relay", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, so that two who look do not see each other; a relay that claims in this instant claims again soon.
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


# How PostgreSQL shows an advisory lock with one key of 64 bits.
_HOLDER = """\
SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = %s AND objid = %s AND objsubid = 1
AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1"""
