"""The journal's reasoning as a small model, run through random schedules: one object, three subscribers, two relays.

Not the code but what it must keep to: every state since the last published revision decides who must be told. A variant
that remembers only the first of them is run beside it, to show that these schedules would find the fault.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

SCHEDULES = 3_000

# A value of the object, or None while it does not exist: a serial number (no two writes are equal) and its room.
Value = tuple[int, str] | None


@dataclass(frozen=True)
class Told:
    """What the relay publishes about one revision."""

    revision: int
    before: tuple[Value, ...]
    now: Value


@dataclass
class Subscriber:
    passes: Callable[[Value], bool]
    steps: int = 0  # 0 unknown, 1 buffering, 2 has its snapshot, 3 live
    snapshot: int = 0
    shown: Value = None
    buffer: list[Told] = field(default_factory=list)
    history: list[tuple[int, Value]] = field(default_factory=list)

    def join(self, database: Database) -> None:
        if self.steps == 1:
            self.snapshot = database.revision
            self.show(self.snapshot, database.value if self.passes(database.value) else None)
        elif self.steps == 2:
            for told in self.buffer:
                self.receive(told)
        self.steps = min(3, self.steps + 1)

    def hear(self, told: Told) -> None:
        if self.steps == 3:
            self.receive(told)
        elif self.steps:
            self.buffer.append(told)

    def receive(self, told: Told) -> None:
        if told.revision <= self.snapshot:
            return
        if self.passes(told.now):
            self.show(told.revision, told.now)
        elif any(self.passes(state) for state in told.before):
            self.show(told.revision, None)

    def show(self, revision: int, value: Value) -> None:
        self.shown = value
        self.history.append((revision, value))


class Database:
    """The object's row and its row in the journal; every write is one transaction."""

    def __init__(self, *, only_first: bool = False) -> None:
        self.only_first = only_first
        self.value: Value = None
        self.revision = 0
        self.counter = 0
        self.dirty = False
        self.known = False  # is there a row of the journal
        self.before: dict[Value, int] = {}
        self.committed: dict[int, Value] = {0: None}

    def write(self, value: Value) -> None:
        self.counter += 1
        stood_at = self.revision if self.known else self.counter - 1
        if not self.dirty:
            self.before = {}
        if not (self.only_first and self.dirty):
            self.before[self.value] = stood_at
        self.value, self.revision, self.dirty, self.known = value, self.counter, True, True
        self.committed[self.revision] = value

    def read(self) -> Told | None:
        return Told(self.revision, tuple(self.before), self.value) if self.dirty else None

    def mark(self, revision: int) -> None:
        if self.known and self.dirty:
            self.dirty = self.revision != revision
            if not self.only_first:
                self.before = {state: at for state, at in self.before.items() if at >= revision}

    def prune(self) -> None:
        if not self.dirty:
            self.known = False


@dataclass
class Relay:
    """Reads, publishes, marks; may be cut off behind every step, and may sleep as long as it likes in between."""

    job: Told | None = None
    published: bool = False

    def step(self, database: Database, bus: Bus, *, dies: bool) -> None:
        if self.job is None:
            self.job = database.read()
        elif not self.published:
            bus.publish(self.job)
            self.published = True
        else:
            if not dies:
                database.mark(self.job.revision)
            self.job, self.published = None, False


class Bus:
    def __init__(self, subscribers: list[Subscriber]) -> None:
        self.subscribers = subscribers
        self.newest = 0

    def publish(self, told: Told) -> None:
        if told.revision <= self.newest:
            return
        self.newest = told.revision
        for subscriber in self.subscribers:
            subscriber.hear(told)


def faults(seed: int, *, only_first: bool = False) -> set[str]:
    """Run one schedule to its end, then look at what each subscriber was shown."""
    chance = random.Random(seed)
    database = Database(only_first=only_first)
    subscribers = [
        Subscriber(lambda value: value is not None),
        Subscriber(lambda value: value is not None and value[1] == "hall"),
        Subscriber(lambda value: value is not None and value[1] == "attic"),
    ]
    bus, relays = Bus(subscribers), [Relay(), Relay()]
    for serial in range(chance.randint(8, 60)):
        what = chance.random()
        if what < 0.35:
            deletes = database.value is not None and chance.random() < 0.3
            database.write(None if deletes else (serial, chance.choice(["hall", "attic", "cellar"])))
        elif what < 0.8:
            relays[chance.choice([0, 0, 0, 1])].step(database, bus, dies=chance.random() < 0.15)
        elif what < 0.85:
            database.prune()
        else:
            chance.choice(subscribers).join(database)
    for subscriber in subscribers:
        while subscriber.steps < 3:
            subscriber.join(database)
    for _ in range(9):  # a relay that lives: three rounds of three steps
        relays[0].step(database, bus, dies=False)
    return {fault for subscriber in subscribers for fault in _faults_of(subscriber, database)}


def _faults_of(subscriber: Subscriber, database: Database) -> set[str]:
    found = set()
    revisions = [revision for revision, _ in subscriber.history]
    if revisions != sorted(revisions):
        found.add("backwards")
    if any(value is not None and value != database.committed[at] for at, value in subscriber.history):
        found.add("phantom")
    if subscriber.shown != (database.value if subscriber.passes(database.value) else None):
        found.add("lost")
    return found


@pytest.mark.parametrize("part", range(5))
def test_no_schedule_ends_in_a_fault(part: int) -> None:
    seeds = range(part * SCHEDULES, (part + 1) * SCHEDULES)
    assert {seed: found for seed in seeds if (found := faults(seed))} == {}


def test_remembering_only_the_first_state_loses_changes() -> None:
    lost = sum("lost" in faults(seed, only_first=True) for seed in range(SCHEDULES))
    assert lost > SCHEDULES // 20
