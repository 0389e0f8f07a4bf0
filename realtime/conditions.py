"""What is broken at the moment, judged calmly: neither a hiccup nor an outage with a gap in it makes a page flicker.

Pure: others look, and tell what they found; `state` is what people may be told.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

# This server does not follow the bus, so what others publish does not arrive.
BUS = "bus"
# It does not answer.
DATABASE = "database"
# It answers, and refuses to write: its disk is full or read-only.
DISK = "disk"
# No relay is at work anywhere, so nothing new will be published.
RELAY = "relay"
# Committed changes wait to be published for longer than they should.
JOURNAL = "journal"
# Some objects cannot be published at all.
OBJECTS = "objects"
# The disk is nearly full.
SPACE = "space"

# What is shown may be older than what was committed.
BEHIND = frozenset({BUS, DATABASE, JOURNAL})
# Nothing can be changed.
UNSAVED = frozenset({DATABASE, DISK})
# Something is not shown at all.
INCOMPLETE = frozenset({OBJECTS})
# What follows from something else that is broken, or cannot be known meanwhile, is not told beside it.
FOLLOWS = {JOURNAL: (BUS, DATABASE), RELAY: (DATABASE,), OBJECTS: (DATABASE,)}

# Seconds in which something must be broken all the time before it is told. What has its own deadline waits no longer.
PATIENCE: dict[str, float] = {BUS: 0.5, DATABASE: 0.5, DISK: 0.0, RELAY: 3.0, JOURNAL: 0.5, OBJECTS: 0.0, SPACE: 0.0}
# Seconds in which all must be well before that is told.
RELIEF = 1.0


@dataclass(frozen=True, slots=True)
class Broken:
    part: str
    since: dt.datetime


@dataclass(frozen=True, slots=True)
class State:
    """What is broken, oldest first; nothing, when all is well."""

    broken: tuple[Broken, ...] = ()

    @property
    def behind(self) -> bool:
        """What is shown may be older than what was committed."""
        return any(broken.part in BEHIND for broken in self.broken)

    @property
    def saving(self) -> bool:
        """Changes can be made."""
        return not any(broken.part in UNSAVED for broken in self.broken)

    @property
    def complete(self) -> bool:
        """Everything that could be shown is."""
        return not any(broken.part in INCOMPLETE for broken in self.broken)

    @property
    def since(self) -> dt.datetime | None:
        """When the first of what anybody would notice broke."""
        noticed = BEHIND | UNSAVED | INCOMPLETE
        return min((broken.since for broken in self.broken if broken.part in noticed), default=None)


WELL = State()


@dataclass(slots=True)
class _Part:
    # When it began to be broken without a pause, and since when it is well; by the steady clock.
    broken_at: float | None = None
    well_at: float | None = None
    told: Broken | None = None


class Conditions:
    """`clock` never goes back; `today` is the time that people read."""

    def __init__(self, clock: Callable[[], float], today: Callable[[], dt.datetime]) -> None:
        self._clock = clock
        self._today = today
        self._parts = {name: _Part() for name in PATIENCE}

    def found(self, name: str, broken: bool, for_seconds: float = 0.0) -> None:
        """A look at one part; if it is broken, for how many seconds it must have been so already."""
        part, now = self._parts[name], self._clock()
        if broken:
            part.well_at = None
            if part.broken_at is None:
                part.broken_at = now
            if part.told is None and now - part.broken_at >= PATIENCE[name]:
                lasted = max(for_seconds, now - part.broken_at)
                part.told = Broken(name, self._today() - dt.timedelta(seconds=lasted))
        else:
            part.broken_at = None
            if part.well_at is None:
                part.well_at = now
            if part.told is not None and now - part.well_at >= RELIEF:
                part.told = None

    @property
    def state(self) -> State:
        told = [part.told for part in self._parts.values() if part.told is not None]
        names = {broken.part for broken in told}
        left = [broken for broken in told if names.isdisjoint(FOLLOWS.get(broken.part, ()))]
        return State(tuple(sorted(left, key=lambda broken: (broken.since, broken.part))))
