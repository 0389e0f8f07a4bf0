"""The real hub, streams and connections in a model world of one table, its journal, two relays and a bus.

Every order of a short story is tried, and thousands of random longer ones: what a client shows in the end equals the
table, it never showed what was not committed, and no object ever went back to an older revision.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import pytest

from realtime import streams
from realtime.change import Change
from realtime.connection import Connection
from realtime.errors import CloseCode
from realtime.filters import Condition, Filter
from realtime.hub import Hub, Subscription
from realtime.joins import Verdict
from realtime.limits import Limits
from realtime.outbox import Outbox
from realtime.protocol import Call, Position
from realtime.snapshots import Snapshots
from realtime.streams import Stream, Taken
from tests.realtime.core import WS

STREAM = "thing"
LIMITS = Limits(part_bytes=60, outbox_bytes=3000, chunk_bytes=200, history_changes=6)
FILTERS = [
    Filter.everything(),
    Filter.everything().narrowed([Condition("place", "exact", "A")]),
    Filter.everything().either([[Condition("place", "exact", "B")], [Condition("place", "exact", "C")]]),
]

Row = str | None
Job = list[tuple[str, int, tuple[Row, ...], Row]]


class Database:
    """One place per key, or None; revisions grow for all together, as one sequence gives them."""

    def __init__(self, keys: str) -> None:
        self.rows: dict[str, Row] = dict.fromkeys(keys)
        self.revisions: dict[str, int] = dict.fromkeys(keys, 0)
        self.dirty: dict[str, bool] = dict.fromkeys(keys, False)
        self.before: dict[str, dict[int, Row]] = {key: {} for key in keys}
        self.committed: dict[int, tuple[str, Row]] = {}
        self.last = 0

    def write(self, key: str, row: Row) -> None:
        if not self.dirty[key]:
            self.before[key] = {}
        self.before[key][self.revisions[key]] = self.rows[key]
        self.last += 1
        self.revisions[key], self.rows[key], self.dirty[key] = self.last, row, True
        self.committed[self.last] = (key, row)

    def load(self) -> Job:
        return [
            (key, self.revisions[key], tuple(self.before[key].values()), self.rows[key])
            for key in self.rows
            if self.dirty[key]
        ]

    def mark(self, job: Job) -> None:
        for key, revision, _, _ in job:
            if self.dirty[key]:
                self.dirty[key] = self.revisions[key] != revision
                self.before[key] = {at: row for at, row in self.before[key].items() if at >= revision}


class Bus:
    def __init__(self) -> None:
        self.epoch, self.offset = "e0", 0
        self.newest: dict[str, int] = {}
        self.waiting: list[tuple[str, int, Change | None]] = []

    def publish(self, job: Job) -> None:
        for key, revision, before, row in job:
            if revision <= self.newest.get(key, 0):
                continue
            self.newest[key] = revision
            self.offset += 1
            self.waiting.append((self.epoch, self.offset, published(key, revision, before, row)))

    def renew(self) -> None:
        self.epoch, self.offset = f"e{int(self.epoch[1:]) + 1}", 0
        self.waiting.append((self.epoch, 0, None))


def published(key: str, revision: int, before: tuple[Row, ...], row: Row) -> Change:
    data = None if row is None else shown(key, revision, row)
    states = tuple(None if place is None else {"place": place} for place in before)
    return Change(STREAM, key, revision, "updated", data, None if row is None else {"place": row}, states, key, "thing")


def shown(key: str, revision: int, row: str) -> dict[str, Any]:
    return {"id": key, "_type": "thing", "revision": revision, "place": row}


class Node:
    """One server: its copy of the stream and its hub."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.bus = Bus()
        self.now = 0.0
        self.scheduled = False
        self.stream = Stream(STREAM, lambda: self.now, LIMITS)
        self.stream.adopt("e0", 0)
        self.hub = Hub(self._schedule, LIMITS)

    def _schedule(self) -> None:
        self.scheduled = True

    def take(self) -> None:
        if not self.bus.waiting:
            return
        epoch, offset, change = self.bus.waiting.pop(0)
        if change is None:
            self.stream.adopt(epoch, 0)
            self.hub.resync(STREAM, (epoch, 0))
        elif self.stream.take(epoch, offset, change, 1) is Taken.DELIVER:
            self.hub.publish(change, offset)

    def due(self) -> dict[str, tuple[int, bool]]:
        """What is committed and yet to be published, as the database says it now."""
        return {key: (revision, self.database.dirty[key]) for key, revision in self.database.revisions.items()}

    def expect(self, due: dict[str, tuple[int, bool]]) -> None:
        """When everything that was published before is here."""
        while self.bus.waiting:
            self.take()
        left = self.stream.yet_to_come(due)
        self.hub.expect(STREAM, {key: revision for key, (revision, dirty) in left.items() if dirty})

    def turn(self) -> None:
        if self.scheduled:
            self.scheduled = False
            self.hub.flush()


class Screen:
    """One client with some collections, as docs/wire.md tells it to behave. What it must never see, it notes."""

    def __init__(self, node: Node, wishes: list[int], choose: random.Random) -> None:
        self.node, self.choose = node, choose
        self.wishes = {f"s{number}": FILTERS[wish] for number, wish in enumerate(wishes)}
        self.view: dict[str, dict[str, int]] = {local: {} for local in self.wishes}
        self.newest: dict[tuple[str, str], int] = {}
        self.positions: dict[str, tuple[str, int]] = {}
        self.told: dict[str, Any] = {}
        # What was due when its rights were judged the last time, while it is held back; and by key, what was newest in
        # the database then: changes older than that are over, and may be from a time when it had no right.
        self.due: dict[str, tuple[int, bool]] | None = None
        self.over: dict[str, int] = {}
        self.wrong: list[str] = []
        self.stalled = False
        # Turns to miss before it comes back after a cut.
        self.away = 0
        self.connect()

    def connect(self) -> None:
        self.connection = Connection("c", WS, self._send, self._closed, lambda: 0.0, LIMITS)
        self.connection.identity = "viewer"
        self.gone = False
        self.received, self.in_flight = b"", b""
        self.due, self.over = None, {}
        # Those whose reply has come on this connection: frames of their channel are for them.
        self.following: set[str] = set()
        # Those of them whose snapshot is all there: only they can be continued.
        self.complete: set[str] = set()
        # What each collection has still to do: ("join",), ("read",) or ("answer", …).
        self.joining: dict[str, tuple[Any, ...]] = dict.fromkeys(self.wishes, ("join",))

    def cut(self) -> None:
        self.connection.gone()
        self.connect()

    # -- what the server does for it --

    def step(self) -> bool:
        """One step of one of its subscriptions; False if there was none to do."""
        ready = [local for local, todo in self.joining.items() if todo[0] != "answer" or self._caught_up(todo)]
        if self.gone:
            self.cut()
            return True
        if not ready:
            return False
        local = self.choose.choice(ready)
        todo = self.joining[local]
        hub, database, wish = self.node.hub, self.node.database, self.wishes[local]
        if todo[0] == "join":
            subscription = self._subscription(local)
            position = self.positions.get(local)
            if position and self.choose.random() < 0.3:
                # Not while the bus is away.
                self.node.expect(self.node.due())
            missed = self.node.stream.since(position) if position else None
            head = self.node.stream.position
            if missed is not None and head is not None and hub.replay(subscription, missed, head):
                del self.joining[local]
            else:
                self.joining[local] = ("read", subscription)
        elif todo[0] == "read":
            objects = [
                (key, shown(key, database.revisions[key], row))
                for key, row in database.rows.items()
                if row is not None and wish.passes({"place": row})
            ]
            revisions = {key: (database.revisions[key], database.dirty[key]) for key in database.rows}
            self.joining[local] = ("answer", todo[1], objects, revisions, self.node.bus.epoch, self.node.bus.offset)
        else:
            position = self.node.stream.position
            assert position is not None
            del self.joining[local]
            revisions = self.node.stream.yet_to_come(todo[3])
            hub.snapshot(todo[1], objects=todo[2], revisions=revisions, position=position)
        return True

    def _subscription(self, local: str) -> Subscription:
        wish = self.wishes[local]
        call = Call("subscribe", "thing", {}, local)
        subscription = Subscription(self.connection, STREAM, (wish.name(STREAM),), local, call, filter=wish)
        self.connection.subscribe(local, subscription, lambda: self.node.hub.leave(subscription))
        self.node.hub.join(subscription)
        return subscription

    @property
    def held(self) -> list[Subscription]:
        """Those that get nothing until its rights are judged."""
        return [each for each in self.connection.subscriptions.values() if each.suspended is not None]

    def judge_anew(self) -> None:
        """The rights of its user are asked for again, and are what they were."""
        held = self.held
        if not held:
            for subscription in self.connection.subscriptions.values():
                self.node.hub.suspend(subscription)
        elif self.due is None:
            self.due = self.node.due()
        else:
            due, self.due = self.due, None
            self.node.expect(due)
            # What is in the outbox was sent before.
            if self.connection.clear and not self.in_flight and not self.received and len(held) == len(self.wishes):
                self.over = {key: revision for key, (revision, _) in due.items()}
            for subscription in held:
                self.node.hub.resume(subscription)

    def _caught_up(self, todo: tuple[Any, ...]) -> bool:
        _, _, _, _, epoch, offset = todo
        stream = self.node.stream
        return stream.epoch is not None and (stream.epoch, stream.offset) >= (epoch, offset)

    # -- the socket --

    def _send(self, data: bytes) -> int:
        assert not self.in_flight
        taken = self.choose.randrange(len(data)) if self.stalled else len(data)
        self.received += data[:taken]
        self.in_flight = data[taken:]
        return len(self.in_flight)

    def _closed(self, code: CloseCode) -> None:
        self.gone = True

    def drain(self) -> None:
        if self.in_flight:
            data, self.in_flight = self.in_flight, b""
            self.received += data
            self.connection.drained(len(data))

    # -- the page --

    def read(self) -> None:
        *lines, self.received = self.received.split(b"\n")
        for line in lines:
            frame = json.loads(line)
            getattr(self, "_on_" + frame["type"])(frame)

    def _on_reply(self, frame: dict[str, Any]) -> None:
        local, context = frame["channel_data"]["local_channel"], frame["context"]
        self.following.add(local)
        if context.get("recovered"):
            self.complete.add(local)
            return
        if context["part"] == 1:
            self.view[local] = {}
            self.positions.pop(local, None)
            self.complete.discard(local)
            self.told[local] = context.get("position", {}).get(self.wishes[local].name(STREAM))
        for row in frame["data"]:
            self._show(local, row)
        if not context["more"]:
            self.complete.add(local)
            if self.told[local]:
                self.positions[local] = tuple(self.told[local])

    def _on_change(self, frame: dict[str, Any]) -> None:
        for local in self._locals(frame["channel"]):
            if frame["action"] == "deleted":
                self.view[local].pop(frame["data"]["id"], None)
            else:
                if frame["data"]["revision"] < self.over.get(frame["data"]["id"], 0):
                    self.wrong.append(f"over {frame['data']}")
                self._show(local, frame["data"])
            if local in self.positions:
                self.positions[local] = (self.positions[local][0], frame["offset"])

    def _on_resync(self, frame: dict[str, Any]) -> None:
        for local in self._locals(frame["channel"]):
            self.complete.discard(local)
            self.positions.pop(local, None)
            self.joining[local] = ("join",)

    def _on_heartbeat(self, frame: dict[str, Any]) -> None:
        for channel, position in frame.get("position", {}).items():
            for local in self._locals(channel):
                if local in self.complete:
                    self.positions[local] = tuple(position)

    def _locals(self, channel: str) -> list[str]:
        return [local for local in self.following if self.wishes[local].name(STREAM) == channel]

    def _show(self, local: str, row: dict[str, Any]) -> None:
        key, revision = row["id"], row["revision"]
        if self.node.database.committed.get(revision) != (key, row["place"]):
            self.wrong.append(f"phantom {row}")
        if revision < self.newest.get((local, key), 0):
            self.wrong.append(f"backwards {row}")
        if not self.wishes[local].passes({"place": row["place"]}):
            self.wrong.append(f"not asked for {row}")
        self.newest[local, key] = revision
        self.view[local][key] = revision

    def check(self) -> None:
        database = self.node.database
        for local, wish in self.wishes.items():
            all_ = self.connection.subscriptions.values()
            awaited = {key: (revision, True) for each in all_ for key, (revision, _) in each.seen.items()}
            # What the stream has forgotten meanwhile nobody can tell from what is still to come.
            forgotten = any(dirty for _, dirty in self.node.stream.yet_to_come(awaited).values())
            if not forgotten and not (local in self.positions and all(each.settled for each in all_)):
                self.wrong.append(f"{local} waits for ever for what was published already")
            expected = {
                key: database.revisions[key]
                for key, row in database.rows.items()
                if row is not None and wish.passes({"place": row})
            }
            if self.view[local] != expected:
                self.wrong.append(f"{local} shows {self.view[local]}, not {expected}")


def finish(node: Node, screens: list[Screen]) -> list[str]:
    """The last fault is over: whatever is under way comes to its end."""
    for screen in screens:
        screen.stalled = False
        node.expect(node.due())
        for subscription in screen.connection.subscriptions.values():
            node.hub.resume(subscription)
    for _ in range(1000):
        job = node.database.load()
        node.bus.publish(job)
        node.database.mark(job)
        busy = bool(job) or bool(node.bus.waiting) or node.scheduled
        node.take()
        node.turn()
        for screen in screens:
            screen.drain()
            busy = screen.step() or bool(screen.in_flight) or busy
            screen.read()
        if not busy:
            break
    else:
        return ["it never comes to rest"]
    for screen in screens:
        screen.check()
    return [wrong for screen in screens for wrong in screen.wrong]


def story(seed: int) -> list[str]:
    """A random one: writes, relays that stall, a bus that lags and is renewed, clients that stall and are cut."""
    choose = random.Random(seed)
    database = Database("xyz"[: choose.randint(1, 3)])
    node = Node(database)
    for key in database.rows:
        if choose.random() < 0.7:
            database.write(key, choose.choice("ABC"))
    if choose.random() < 0.7:
        job = database.load()
        node.bus.publish(job)
        database.mark(job)
    screens = [Screen(node, [0], choose), Screen(node, [1, 1], choose), Screen(node, [2, 1], choose)]
    relays: list[tuple[str, Job]] = [("load", []), ("load", [])]
    for _ in range(choose.randint(10, 90)):
        dice = choose.random()
        screen = choose.choice(screens)
        if dice < 0.2:
            key = choose.choice(list(database.rows))
            gone = database.rows[key] is not None and choose.random() < 0.25
            database.write(key, None if gone else choose.choice("ABC"))
        elif dice < 0.42:
            # The second relay wakes seldom: what it loaded is old by then.
            number = choose.choice((0, 0, 0, 1))
            todo, job = relays[number]
            if todo == "load":
                relays[number] = ("publish", database.load())
            elif todo == "publish":
                node.bus.publish(job)
                relays[number] = ("mark" if choose.random() > 0.15 else "load", job)
            else:
                database.mark(job)
                relays[number] = ("load", [])
        elif dice < 0.6:
            node.take()
        elif dice < 0.7:
            node.turn()
        elif dice < 0.88:
            if screen.away:
                screen.away -= 1
            else:
                screen.step()
        elif dice < 0.91:
            screen.stalled = not screen.stalled
        elif dice < 0.95:
            screen.drain()
        elif dice < 0.96:
            node.hub.beat([screen.connection], positions=True)
        elif dice < 0.98:
            screen.cut()
            screen.away = choose.choice((0, 3, 6))
        elif dice < 0.985:
            node.bus.renew()
        else:
            screen.judge_anew()
        for each in screens:
            each.read()
            # Once begun, it is not as seldom.
            if each.held and choose.random() < 0.1:
                each.judge_anew()
    return finish(node, screens)


def orders(lengths: list[int]) -> Iterator[list[int]]:
    """Every way to interleave so many steps of each actor."""
    if not any(lengths):
        yield []
    for actor, length in enumerate(lengths):
        if length:
            for rest in orders([left - (number == actor) for number, left in enumerate(lengths)]):
                yield [actor, *rest]


def every_order(writes: str) -> Iterator[list[str]]:
    """A row at A gets these values ("-": deleted) while a relay and one that stalled publish it and a page joins."""
    for order in orders([len(writes), 3, 2, 3]):
        database = Database("x")
        node = Node(database)
        database.write("x", "A")
        screen = Screen(node, [1], random.Random(0))
        jobs: list[Job] = [[], []]
        values = iter(writes)

        def stalled(database: Database = database, node: Node = node, jobs: list[Job] = jobs) -> None:
            jobs[1] = database.load()

        relay: list[Callable[[], None]] = [
            lambda database=database, jobs=jobs: jobs.__setitem__(0, database.load()),  # type: ignore[misc]
            lambda node=node, jobs=jobs: node.bus.publish(jobs[0]),  # type: ignore[misc]
            lambda database=database, jobs=jobs: database.mark(jobs[0]),  # type: ignore[misc]
        ]
        second: list[Callable[[], None]] = [
            stalled,
            lambda node=node, jobs=jobs: node.bus.publish(jobs[1]),  # type: ignore[misc]
        ]
        for actor in order:
            if actor == 0:
                value = next(values)
                database.write("x", None if value == "-" else value)
            elif actor == 1:
                relay.pop(0)()
            elif actor == 2:
                second.pop(0)()
            else:
                while node.bus.waiting:
                    node.take()
                screen.step()
            node.turn()
            screen.read()
        yield finish(node, [screen])


@pytest.mark.parametrize("writes", ["B", "A", "-", "BA"])
def test_in_every_order_nothing_is_lost_phantom_or_backwards(writes: str) -> None:
    for number, wrong in enumerate(every_order(writes)):
        assert not wrong, (number, wrong)


def test_in_random_stories_nothing_is_lost_phantom_or_backwards() -> None:
    for seed in range(1500):
        assert not (wrong := story(seed)), (seed, wrong)


def deaf_judge(subscription: Subscription, change: Change, passes: bool) -> Verdict:
    return Verdict.SEND


def forgetful_union(older: Change, newer: Change) -> Change:
    return newer


def replacing_in_place(outbox: Outbox, frame: bytes, key: Hashable | None = None) -> None:
    outbox._frames[object() if key is None else key] = frame


def telling_at_once(snapshots: Snapshots, subscription: Subscription, position: Position) -> None:
    begin(snapshots, subscription, position)
    subscription.withheld = False


def hearing_only_its_own(snapshots: Snapshots, change: Change) -> None:
    pass


begin = Snapshots._begin

FAULTS = {
    "a hub that does not compare revisions": (Subscription, "judge", deaf_judge),
    "a stream that forgets earlier states": (streams, "_united", forgetful_union),
    "an outbox that replaces in place": (Outbox, "put", replacing_in_place),
    "a subscription that hears only what concerns it": (Snapshots, "passed", hearing_only_its_own),
    "a position told before a shown row is published": (Snapshots, "_begin", telling_at_once),
    "what is over is sent": (Subscription, "outdated", lambda self, change: False),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_stories_find(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*FAULTS[fault])

    assert any(story(seed) for seed in range(6000))
