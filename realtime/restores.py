"""Did the database go back in time, behind the bus that remembers what was published from it?

A copy, a restored dump and a flushed database tell it by their identity (`journal.identity`). A file that was
overwritten in place may keep it; but then its counter of revisions is below what was published already, and the bus
would refuse whatever comes as "not newer".
"""

from __future__ import annotations

from collections.abc import Iterable

from django.db import connections

from realtime import triggers
from realtime.bus import Bus, Fence


def counter(using: str = "default") -> int:
    """The highest revision that the database has given out; on PostgreSQL also to transactions still open."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        schema = triggers.dialect(connection).schema  # type: ignore[attr-defined]
        sql = f"SELECT last_value FROM {schema}.realtime_revision"
    else:
        sql = f"SELECT max(revision) FROM {triggers.IDENTITY}"
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0] or 0)


def went_back(fences: Iterable[Fence], using: str = "default") -> bool:
    """Whether something was published that this database has not yet reached. Take the fences first."""
    highest = max((fence.top for fence in fences), default=0)
    return highest > 0 and counter(using) < highest


def begin_anew(bus: Bus, streams: Iterable[str]) -> None:
    """Nothing that clients hold can be continued."""
    bus.renew(streams, backwards=True)
