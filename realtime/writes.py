"""Does the database still take writes? Seen where a write failed, and tried again until one goes through.

Nobody writes only to find out, while all is well: flash wears out, and the relay would wake for nothing.
"""

from __future__ import annotations

import secrets
import threading

from django.db import DatabaseError, transaction
from django.utils import timezone

# SQLITE_FULL; SQLITE_READONLY; SQLITE_CANTOPEN: its log cannot be made; SQLITE_IOERR: its log cannot grow.
SQLITE_CODES = frozenset({13, 8, 14, 10})
# disk_full, io_error, read_only_sql_transaction: a standby, or an administrator who stopped writers.
POSTGRESQL_CODES = frozenset({"53100", "58030", "25006"})
# What one change of a device writes, indexes included, and then some: a trial that needs less proves nothing.
TRIAL_BYTES = 48 * 1024


def refused(error: BaseException | None) -> bool:
    """Whether this error says that the database cannot write at all, whoever asks and whatever."""
    while error is not None:
        code = getattr(error, "sqlite_errorcode", None)
        if isinstance(code, int) and code & 0xFF in SQLITE_CODES:
            return True
        if getattr(error, "pgcode", None) in POSTGRESQL_CODES:
            return True
        error = error.__cause__
    return False


def try_one(using: str = "default") -> None:
    """Write something and take it away again, as any writer would. DatabaseError if that is refused."""
    from realtime.models import Journal

    rows = Journal.objects.using(using)
    # Published already, so no relay looks at it, and pruned with the others if it is ever left behind.
    with transaction.atomic(using=using):
        row = rows.create(
            kind=Journal.Kind.EVENT,
            label="!trial",
            key=secrets.token_hex(8),
            revision=0,
            dirty=False,
            before="{}",
            payload=secrets.token_hex(TRIAL_BYTES // 2),
            failed=False,
            at=timezone.now(),
        )
    row.delete()


class Writes:
    """Of this process. `note` wherever a write failed, from any thread; `look` in a thread that may use the ORM."""

    def __init__(self) -> None:
        self._refused = threading.Event()

    @property
    def refused(self) -> bool:
        return self._refused.is_set()

    def note(self, error: BaseException | None) -> bool:
        """True if this error means that nobody can write."""
        if not refused(error):
            return False
        self._refused.set()
        return True

    def suspect(self) -> None:
        """There is a reason to believe so: `look` shall try."""
        self._refused.set()

    def look(self, using: str = "default") -> bool:
        """Whether writes are refused still."""
        if self._refused.is_set():
            try:
                try_one(using)
            except DatabaseError as error:
                if refused(error):
                    return True
                raise
            self._refused.clear()
        return False


#: One for all threads of this process, whoever writes there: verbs, pages, services, the relay.
writes = Writes()
