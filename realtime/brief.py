"""Short transactions of the relay, which must not outlive a process that stands still."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connections, transaction

# Between two statements of such a transaction pass microseconds. A process that is paused, swapped out or cut off there
# would hold rows that writers wait for until it comes back; their bound is 1 s.
STANDSTILL = "500ms"


@contextmanager
def brief(using: str = "default") -> Iterator[None]:
    """`atomic()`, ended by PostgreSQL itself (django.db.Error here) if this process stands still in it.

    Inside another transaction it is a part of that one. SQLite has nothing like it: there a process that stands still
    in a write stops every writer, whoever it is.
    """
    connection = connections[using]
    alone = connection.vendor == "postgresql" and not connection.in_atomic_block
    with transaction.atomic(using=using):
        if alone:
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL idle_in_transaction_session_timeout = '{STANDSTILL}'")
        yield
