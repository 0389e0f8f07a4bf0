"""Who may see what, and when: told by the ledger's rows of users and memberships, by rules written here once more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.promise.ledger import ALWAYS, FOREVER, STILL, Ledger, Span
from tests.promise.published import KINDS, MEMBERSHIPS, USERS, Row


@dataclass(frozen=True)
class Grant:
    """What somebody may see during a time: everything (None), or what is in these locations."""

    span: Span
    places: frozenset[Any] | None


class Rights:
    """Of one user."""

    def __init__(self, ledger: Ledger, user: int) -> None:
        self._ledger = ledger
        self._user = user
        self._generation: tuple[int, int] | None = None
        self._grants: list[Grant] = []

    def grants(self) -> list[Grant]:
        generation = (self._ledger.generations[USERS], self._ledger.generations[MEMBERSHIPS])
        if generation != self._generation:
            self._generation = generation
            self._grants = self._compute()
        return self._grants

    def during(self, stream: str, row: Row, *, may: bool = True) -> Iterator[Span]:
        """When the user could see (`may`) or not see this row of the stream."""
        kind = KINDS[stream]
        if kind.place is None:
            if (row["user_id"] == self._user) is may:
                yield FOREVER
            return
        place = row[kind.place]
        for grant in self.grants():
            if (grant.places is None or (place is not None and place in grant.places)) is may:
                yield grant.span

    def now(self, stream: str, row: Row) -> bool:
        return any(span.end == STILL for span in self.during(stream, row))

    def _compute(self) -> list[Grant]:
        ledger = self._ledger
        users = list(ledger.versions(USERS, str(self._user)))
        memberships = [list(ledger.versions(MEMBERSHIPS, key)) for key in ledger.keys(MEMBERSHIPS)]
        mine = [versions for versions in memberships if any(v.row and v.row["user_id"] == self._user for v in versions)]
        moments = sorted({v.span.start for versions in (users, *mine) for v in versions} | {ALWAYS})
        return [
            Grant(Span(start, end), self._at(start, users, mine))
            for start, end in zip(moments, [*moments[1:], STILL], strict=True)
        ]

    def _at(self, moment: float, users: list[Any], memberships: list[list[Any]]) -> frozenset[Any] | None:
        user = _held(users, moment)
        if user is None or not user["is_active"]:
            return frozenset()
        if user["is_staff"]:
            return None
        rows = [_held(versions, moment) for versions in memberships]
        return frozenset(row["location_id"] for row in rows if row and row["user_id"] == self._user)


def _held(versions: list[Any], moment: float) -> Row | None:
    found: Row | None = next(v.row for v in versions if v.span.start <= moment < v.span.end)
    return found
