"""One client and its server in any order of events: calls, subscriptions, changes, stalls, floods, goodbyes.

What must hold whatever happens: each call has one answer, in order; what waits is bounded; nothing is sent after the
end; each subscription is ended once; and a client that has read everything shows what there is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from realtime.change import Event
from realtime.errors import CloseCode, TooMany
from realtime.filters import Filter
from realtime.hub import Subscription
from realtime.limits import Limits
from realtime.protocol import Call, Raw, dumps, reply
from tests.realtime.core import EVERYTHING, FakeClient, FakeHub, at, device
from tests.security.effort import LONG, examples

LIMITS = Limits(
    outbox_bytes=7000, part_bytes=150, chunk_bytes=500, subscriptions=3, calls_per_second=10, calls_burst=20,
    flood_seconds=2, login_seconds=5,
)  # fmt: skip
EPOCH = "e1"
KEYS = st.integers(1, 6)
PLACES = st.sampled_from([3, 4, None])
LOCALS = st.sampled_from(["a", "b", "c", "d"])
FILTERS: dict[str, Filter] = {"all": EVERYTHING, "three": at(3), "four": at(4)}


class Client(FakeClient):
    """Its kernel counts what is sent after the end."""

    late = 0

    def _send(self, data: bytes) -> int | None:
        self.late += self.closed is not None or self.connection.closed is not None
        return super()._send(data)


@dataclass
class Shown:
    """A collection as a client of the protocol keeps it."""

    channel: str
    filter: Filter
    rows: dict[int, int] = field(default_factory=dict)
    whole: bool = False
    lost: bool = False


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.hub = FakeHub(LIMITS)
        self.client = Client(limits=LIMITS)
        self.offset = self.revision = 0
        self.stored: dict[int, tuple[int, int]] = {}  # key → location, revision
        self.revisions: dict[int, int] = {}
        self.asked: list[str] = []  # calls that wait for an answer, in order
        self.answered: list[str] = []
        self.at_once: list[str] = []  # calls that were refused before they were queued
        self.serial = 0
        self.undone: dict[Subscription, int] = {}
        self.shown: dict[str, Shown] = {}
        self.running: Call | None = None

    @initialize(known=st.booleans())
    def open(self, known: bool) -> None:
        self.client.connection.identity = "operator" if known else None

    # -- the client -------------------------------------------------------------------------------------------------

    def _ask(self, verb: str, route: str, **args: Any) -> None:
        self.serial += 1
        name = f"c{self.serial}"
        before = self.client.connection.waiting_calls
        text = json.dumps({"verb": verb, "route": route, "args": args, "callbackname": name})
        self.client.connection.receive(text)
        if self.client.connection.waiting_calls > before:
            self.asked.append(name)
        else:
            self.at_once.append(name)

    @rule(verb=st.sampled_from(["get_list", "update", "__init__"]))
    def call(self, verb: str) -> None:
        self._ask(verb, "device")

    @rule()
    def login(self) -> None:
        self._ask("login", "session", token="t")

    @rule(local=LOCALS, wanted=st.sampled_from(sorted(FILTERS)), snapshot=st.booleans(), served=st.booleans())
    def subscribe(self, local: str, wanted: str, snapshot: bool, served: bool) -> None:
        self._ask("subscribe", "device", channel=local, wanted=wanted, _snapshot=snapshot)
        if served:
            self.serve()

    @rule(local=LOCALS)
    def unsubscribe(self, local: str) -> None:
        self._ask("unsubscribe", "device", channel=local)

    @rule(text=st.sampled_from(["", "{", "[]", '{"verb":1}', "\0", '{"heartbeat":"1"}', '{"verb":"a","route":[]}']))
    def nonsense(self, text: str) -> None:
        self.client.connection.receive(text)

    @precondition(lambda self: self.serial > 15)
    @rule(count=st.integers(5, 60))
    def flood(self, count: int) -> None:
        for _ in range(count):
            self._ask("get_list", "device")

    @precondition(lambda self: self.serial > 30)
    @rule()
    def too_large(self) -> None:
        self.client.connection.receive("x" * (LIMITS.message_bytes + 1))

    # -- the server -------------------------------------------------------------------------------------------------

    @rule(seconds=st.floats(0.01, 3))
    def time_passes(self, seconds: float) -> None:
        self.client.clock.now += seconds

    @precondition(lambda self: self.running is None)
    @rule()
    def take_a_call(self) -> None:
        self.running = self.client.connection.next_call()
        # While one runs there is no other.
        if self.running is not None:
            assert self.client.connection.next_call() is None

    @precondition(lambda self: self.running is not None)
    @rule()
    def answer(self) -> None:
        call, self.running = self.running, None
        assert call is not None
        connection = self.client.connection
        if connection.closed is None:
            match call.verb:
                case "subscribe":
                    self._subscribe(call)
                case "unsubscribe":
                    connection.unsubscribe(call.args["channel"])
                    self.hub.write(connection, reply(call, "unsubscribed"))
                case _:
                    connection.identity = connection.identity or "operator"
                    self.hub.write(connection, reply(call, [1, 2, 3]))
        connection.done()

    @rule()
    def serve(self) -> None:
        """Everything that was asked."""
        while self.running is not None or self.client.connection.waiting_calls:
            if self.running is None:
                self.take_a_call()
            if self.running is None:
                break
            self.answer()

    def _subscribe(self, call: Call) -> None:
        connection, wanted = self.client.connection, FILTERS[call.args["wanted"]]
        member = Subscription(connection, "device", (wanted.name("device"),), call.args["channel"], call, filter=wanted)

        def undo() -> None:
            self.undone[member] += 1
            self.hub.leave(member)

        try:
            connection.subscribe(call.args["channel"], member, undo)
        except TooMany as error:
            self.hub.write(connection, reply(call, None, error=error))
            return
        self.undone[member] = 0
        self.hub.join(member)
        rows = [
            (str(key), Raw(dumps(_row(key, revision))))
            for key, (place, revision) in sorted(self.stored.items())
            if wanted.passes({"location": place})
        ]
        revisions = {str(key): (revision, False) for key, revision in self.revisions.items()}
        if call.args["_snapshot"]:
            self.hub.snapshot(member, rows, revisions, (EPOCH, self.offset))
        else:
            self.hub.live(member, "subscribed", (EPOCH, self.offset))

    @rule(changes=st.lists(st.tuples(KEYS, PLACES), min_size=1, max_size=8))
    def publish(self, changes: list[tuple[int, int | None]]) -> None:
        for key, place in changes:
            self._publish(key, place)

    def _publish(self, key: int, place: int | None) -> None:
        was = self.stored.get(key)
        if place is None and was is None:
            return
        self.revision += 1
        self.offset += 1
        self.revisions[key] = self.revision
        if place is None:
            del self.stored[key]
        else:
            self.stored[key] = (place, self.revision)
        told = device(key, self.revision, place, (None if was is None else was[0],), pad="x" * 300)
        self.hub.publish(told, self.offset)

    @rule(channel=st.sampled_from(["room", "other"]))
    def publish_an_event(self, channel: str) -> None:
        self.hub.publish_event(Event(channel, {"hello": "world"}), self.offset)

    @rule()
    def lose_the_stream(self) -> None:
        self.offset += 1
        self.hub.resync("device", (EPOCH, self.offset))

    @rule()
    def beat(self) -> None:
        self.hub.beat([self.client.connection], positions=True)

    # -- the socket -------------------------------------------------------------------------------------------------

    @rule()
    def stop_reading(self) -> None:
        self.client.stalled = True

    @rule(local=LOCALS, changes=st.lists(st.tuples(KEYS, PLACES), min_size=1, max_size=4))
    def stop_reading_in_the_middle_of_a_snapshot(self, local: str, changes: list[tuple[int, int | None]]) -> None:
        """By chance alone this would seldom happen."""
        self.read_again()
        self.publish([(key, 3) for key in range(1, 7)])
        self.hub.run()
        self.stop_reading()
        self.subscribe(local, "all", True, True)
        self.hub.run()
        self.publish(changes)

    @precondition(lambda self: bool(self.client.in_flight))
    @rule()
    def read_a_little(self) -> None:
        self.client.drain()

    @rule()
    def read_again(self) -> None:
        self.client.stalled = False
        if self.client.in_flight:
            self.client.drain()

    @precondition(lambda self: self.serial > 30)
    @rule(how=st.sampled_from(["gone", "shut", "refuse"]), code=st.sampled_from(list(CloseCode)))
    def end(self, how: str, code: CloseCode) -> None:
        getattr(self.client.connection, how)(code)

    @rule()
    def turn(self) -> None:
        self.hub.run()

    # -- what must hold ---------------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_sent_after_the_end(self) -> None:
        assert self.client.late == 0

    @invariant()
    def what_waits_is_bounded(self) -> None:
        outbox = self.client.connection.outbox
        assert outbox.size <= LIMITS.outbox_bytes or self.client.connection.closed is CloseCode.TOO_SLOW
        assert self.client.connection.waiting_calls <= self.serial
        assert len(self.client.connection.subscriptions) <= LIMITS.subscriptions

    @invariant()
    def each_call_has_one_answer_in_its_order(self) -> None:
        for frame in self.client.frames():
            self._see(frame)
        assert self.answered == self.asked[: len(self.answered)]
        if self.client.connection.closed is None and not self.client.in_flight and self.client.connection.outbox.empty:
            waiting = self.client.connection.waiting_calls + (self.running is not None)
            assert len(self.answered) == len(self.asked) - waiting

    @invariant()
    def each_subscription_ends_once(self) -> None:
        kept = set(self.client.connection.subscriptions.values())
        for member, count in self.undone.items():
            assert count == (member not in kept)
        if self.client.connection.closed is not None:
            assert not kept

    @invariant()
    def who_has_read_everything_shows_what_there_is(self) -> None:
        self.hub.run()
        if self.client.stalled or self.client.connection.closed is not None:
            return
        assert self.client.connection.outbox.empty, "something waits although the kernel takes everything"
        for frame in self.client.frames():
            self._see(frame)
        assert self.hub.counts()["snapshots"] == 0, "a snapshot stopped on its way"
        for shown in self.shown.values():
            if shown.whole and not shown.lost:
                there = {k: r for k, (place, r) in self.stored.items() if shown.filter.passes({"location": place})}
                assert shown.rows == there

    def _see(self, frame: dict[str, Any]) -> None:
        """As a client of the protocol applies it."""
        if frame["type"] == "reply":
            self._see_reply(frame)
        elif frame["type"] in ("change", "resync"):
            for shown in self.shown.values():
                if shown.channel != frame["channel"]:
                    continue
                if frame["type"] == "resync":
                    shown.lost = True
                elif frame["action"] == "deleted":
                    shown.rows.pop(frame["data"]["id"], None)
                else:
                    key, revision = frame["data"]["id"], frame["data"]["revision"]
                    assert shown.lost or revision >= shown.rows.get(key, 0), "went backwards"
                    shown.rows[key] = revision

    def _see_reply(self, frame: dict[str, Any]) -> None:
        context, name = frame["context"], frame["context"]["client_callback_name"]
        first = context.get("part", 1) == 1
        if first and name is not None and name not in self.at_once:
            self.answered.append(name)
        setup = frame.get("channel_data")
        if context["verb"] == "subscribe" and context["state"] == "success":
            local, (channel,) = setup["local_channel"], setup["remote_channels"]
            if first:
                wanted = next(f for f in FILTERS.values() if f.name("device") == channel)
                self.shown[local] = Shown(channel, wanted)
            if "part" in context:
                self.shown[local].rows |= {row["id"]: row["revision"] for row in frame["data"]}
                self.shown[local].whole = not context["more"]
        elif context["verb"] == "unsubscribe" and context["state"] == "success":
            kept = self.client.connection.subscriptions
            self.shown = {local: shown for local, shown in self.shown.items() if local in kept}


def _row(key: int, revision: int) -> dict[str, Any]:
    return {"id": key, "_type": "device", "revision": revision, "pad": "x" * 300}


TestLife = Life.TestCase
TestLife.settings = settings(examples(70), stateful_step_count=150 if LONG else 60)
