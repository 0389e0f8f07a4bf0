"""One process's copy of one stream: the newest changes, decoded, so that a client that was cut can continue."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum

from .change import Change, Control, Event
from .limits import DEFAULT_LIMITS, Limits
from .protocol import Position

Item = Change | Event | Control
# A row's revision, and whether it is dirty: yet to be published, or published and not yet marked.
Revision = tuple[int, bool]


class Taken(Enum):
    # It is the next one: give it to the hub.
    DELIVER = "deliver"
    # Already had, or sent by a bus that repeats itself.
    DROP = "drop"
    # Some before it are missing: read the history from `stream.offset`, or adopt and resync.
    GAP = "gap"
    # The stream began anew: adopt, resync, and only then take this one again.
    NEW_EPOCH = "new_epoch"


# Its size, and when it was taken: there is one for every change, and any class would take ten times as long to make.
_Kept = tuple[Item, int, float]


class Stream:
    """`offset` is the last one taken. Nothing but DELIVER and `adopt` changes anything."""

    def __init__(self, name: str, clock: Callable[[], float], limits: Limits = DEFAULT_LIMITS) -> None:
        self.name = name
        self.epoch: str | None = None
        self.offset = 0
        self._clock = clock
        self._limits = limits
        # Offsets are gapless, so the place in here says the offset: the last one is `offset`.
        self._kept: deque[_Kept] = deque()
        self._bytes = 0
        # Of the objects among them, by key.
        self._revisions: dict[str, int] = {}

    @property
    def position(self) -> Position | None:
        return None if self.epoch is None else (self.epoch, self.offset)

    def take(self, epoch: str, offset: int, item: Item, size: int) -> Taken:
        """`size` is the length of the message on the bus, which is near what the decoded one costs."""
        if epoch != self.epoch:
            return Taken.NEW_EPOCH
        if offset <= self.offset:
            return Taken.DROP
        if offset > self.offset + 1:
            return Taken.GAP
        self.offset = offset
        now = self._clock()
        self._kept.append((item, size, now))
        self._bytes += size
        if isinstance(item, Change):
            self._revisions[item.key] = item.revision
        self._forget(now)
        return Taken.DELIVER

    def adopt(self, epoch: str, offset: int) -> None:
        """Begin knowing at this head: what is older cannot be continued from here."""
        self.epoch = epoch
        self.offset = offset
        self._kept.clear()
        self._bytes = 0
        self._revisions.clear()

    def yet_to_come(self, revisions: Mapping[str, Revision]) -> dict[str, Revision]:
        """Revisions as a snapshot read them, dirty only where the stream has not brought them already.

        The relay marks a row a moment after it was published. Who read it as dirty in that moment would wait for ever
        for what is not published again.
        """
        found = dict(revisions)
        for key, (revision, dirty) in revisions.items():
            if dirty and self._revisions.get(key, 0) >= revision:
                found[key] = (revision, False)
        return found

    def since(self, position: Position) -> list[tuple[int, Item]] | None:
        """What came after this position, or None if that is no longer known.

        Of each object only the newest change, in order of offset; its `before` holds what stood at any time since the
        position, so whoever had the object then is told when it left. Events are all there.
        """
        epoch, offset = position
        self._forget(self._clock())
        if epoch != self.epoch or not self.offset - len(self._kept) <= offset <= self.offset:
            return None
        found: list[tuple[int, Item]] = []
        newest: dict[str, int] = {}
        # From the newest back: what a client missed is at the end, and usually short.
        for age, (item, _, _) in zip(range(self.offset - offset), reversed(self._kept), strict=False):
            if not isinstance(item, Change):
                found.append((self.offset - age, item))
            elif item.key in newest:
                place = newest[item.key]
                found[place] = (found[place][0], _united(item, found[place][1]))
            else:
                newest[item.key] = len(found)
                found.append((self.offset - age, item))
        found.reverse()
        return found

    def _forget(self, now: float) -> None:
        kept, limits = self._kept, self._limits
        oldest = now - limits.history_seconds
        while kept and (
            len(kept) > limits.history_changes or self._bytes > limits.history_bytes or kept[0][2] < oldest
        ):
            item, size, _ = kept.popleft()
            self._bytes -= size
            if isinstance(item, Change) and self._revisions.get(item.key) == item.revision:
                del self._revisions[item.key]


def _united(older: Change, newer: Item) -> Change:
    assert isinstance(newer, Change)
    return replace(newer, before=newer.before + tuple(state for state in older.before if state not in newer.before))
