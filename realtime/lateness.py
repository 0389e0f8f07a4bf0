"""For how long the oldest committed change has waited to be published, as a server sees it that is not the relay.

The journal alone does not tell: it keeps one row per object with the time of its *last* write, so a dead relay would
look young for as long as every object keeps changing. So two things are watched from one look to the next: whether the
oldest row is still the same, and whether anything at all came from the bus while something was due.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

from django.db import connections

from realtime.triggers import JOURNAL

# A look that finds an old row may have met a long transaction at its end: what was written seconds before it was
# committed is published within milliseconds. So many looks in a row are no chance.
LOOKS = 3


@dataclass(frozen=True)
class Due:
    """The oldest row that is due: which write of which object, and the seconds since it."""

    row: tuple[int, int]
    age: float


def oldest(using: str = "default") -> Due | None:
    """In one short query, however much is due."""
    connection = connections[using]
    # The database's own clock: this machine's may be another.
    age = (
        "extract(epoch FROM clock_timestamp() - at)"
        if connection.vendor == "postgresql"
        else "(julianday('now') - julianday(at)) * 86400"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id, revision, {age} FROM {JOURNAL} WHERE dirty AND NOT failed ORDER BY revision LIMIT 1"
        )
        found = cursor.fetchone()
    return None if found is None else Due((found[0], found[1]), max(0.0, float(found[2])))


class Lateness:
    """Pure. Tell it each look; `seconds` is what it makes of them."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._row: tuple[int, int] | None = None
        self._row_since = 0.0
        self._heard: Hashable = None
        self._heard_since = 0.0
        self._old_looks = 0
        self.seconds = 0.0

    def look(self, due: Due | None, heard: Hashable) -> None:
        """`heard`: the positions of all streams here, which change with whatever comes from the bus."""
        now = self._clock()
        if due is None or heard != self._heard:
            self._heard, self._heard_since = heard, now
        if due is None:
            self._row, self._old_looks, self.seconds = None, 0, 0.0
            return
        if due.row != self._row:
            self._row, self._row_since = due.row, now
        waited = max(now - self._row_since, now - self._heard_since)
        self._old_looks = self._old_looks + 1 if due.age > waited else 0
        self.seconds = due.age if self._old_looks >= LOOKS else waited
