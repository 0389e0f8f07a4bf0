"""The reading end against buses that lose, repeat and begin anew: real streams, hub and memory bus, no server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from realtime.bus import Message, Position, Publication
from realtime.bus_memory import MemoryBus
from realtime.change import CONTROL_STREAM, DATA_STREAM, Change, Control, Event, encode
from realtime.errors import BusUnavailable
from realtime.filters import Filter
from realtime.hub import Subscription
from realtime.limits import DEFAULT_LIMITS
from realtime.node import Node
from tests.realtime.core import Clock, FakeClient, FakeHub, follow

THING = "thing"
LIMIT = 10.0


class LossyBus(MemoryBus):
    """Loses messages on their way while `losing`, and its link when told; history and heads stay right."""

    def __init__(self) -> None:
        super().__init__()
        self.losing = False
        self.away = False
        self.linked: Callable[[bool], None] = lambda linked: None
        self.asked: list[str] = []

    def _send(self, messages: Sequence[Message]) -> None:
        if not self.losing:
            super()._send(messages)

    async def follow(
        self, streams: Sequence[str], receive: Callable[[Message], None], linked: Callable[[bool], None]
    ) -> None:
        self.linked = linked
        await super().follow(streams, receive, linked)

    async def heads(self, streams: Sequence[str]) -> dict[str, Position]:
        if self.away:
            raise BusUnavailable
        return await super().heads(streams)

    async def history(self, stream: str, after: int) -> tuple[str, list[Message]]:
        self.asked.append(stream)
        if self.away:
            raise BusUnavailable
        return await super().history(stream, after)


class World:
    """A node that follows a bus, and one client that follows all things."""

    def __init__(self) -> None:
        self.bus = LossyBus()
        self.hub = FakeHub()
        self.node = Node(self.bus, self.hub, Clock(), DEFAULT_LIMITS)
        self.controls: list[Control] = []
        self.node.on_control = self.controls.append
        self.unhealed: list[Subscription] = []
        self.node.on_unhealed = self.unhealed.extend
        self.client = FakeClient()
        self.revision = 0

    async def until(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(LIMIT):
            while not condition():
                self.hub.run()
                await asyncio.sleep(0)

    async def caught_up(self) -> None:
        await self.until(lambda: self.node.health()["linked"] and not any(f.behind for f in self.followed()))

    def followed(self) -> list[Any]:
        return list(self.node._followed.values())

    def subscribe(self) -> None:
        subscription = follow(self.hub, self.client, Filter.everything(), stream=THING)
        position = self.node.position(THING)
        assert position is not None
        self.hub.live(subscription, [], position)
        self.hub.run()
        self.client.frames()

    def publish(self, key: int = 1, size: Any = 1) -> None:
        self.revision += 1
        state = {"place": None, "size": size, "on": False}
        data = {"id": key, "_type": THING, "size": size, "revision": self.revision}
        change = Change(THING, str(key), self.revision, "updated", data, state, (state,), key, THING)
        self.say(THING, encode(change))

    def say(self, stream: str, body: str) -> None:
        self.revision += 1
        self.bus.publish([Publication(stream, f"k{self.revision}", self.revision, body)])

    def got(self) -> list[dict[str, Any]]:
        self.hub.run()
        return self.client.frames()


@asynccontextmanager
async def world() -> AsyncIterator[World]:
    found = World()
    await found.node.start()
    try:
        await found.caught_up()
        yield found
    finally:
        await found.node.stop()


def run(story: Callable[[World], Any]) -> None:
    async def main() -> None:
        async with world() as found, asyncio.timeout(LIMIT):
            await story(found)

    asyncio.run(main())


async def delivered(w: World, count: int = 1) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    await w.until(lambda: frames.extend(w.got()) or len(frames) >= count)
    return frames


def test_changes_are_delivered_in_order_with_their_offsets() -> None:
    async def story(w: World) -> None:
        w.subscribe()
        for key in (1, 2, 3):
            w.publish(key)
        frames = await delivered(w, 3)
        assert [(f["data"]["id"], f["offset"]) for f in frames] == [(1, 1), (2, 2), (3, 3)]
        assert w.bus.asked.count(THING) <= 1  # at the start; nothing was missing since

    run(story)


def test_what_was_lost_is_read_from_the_history_when_the_next_message_shows_the_gap() -> None:
    async def story(w: World) -> None:
        w.subscribe()
        w.bus.losing = True
        w.publish(1)
        w.publish(2)
        w.bus.losing = False
        w.publish(3)
        assert [f["data"]["id"] for f in await delivered(w, 3)] == [1, 2, 3]

    run(story)


def test_a_lost_last_message_is_found_by_comparing_heads(settings: Any) -> None:
    settings.REALTIME_HEADS_SECONDS = 0.05

    async def story(w: World) -> None:
        w.subscribe()
        w.bus.losing = True
        w.publish(1)
        assert [f["data"]["id"] for f in await delivered(w)] == [1]

    run(story)


def test_what_the_history_forgot_is_a_resync_and_then_goes_on() -> None:
    async def story(w: World) -> None:
        w.subscribe()
        w.bus.losing = True
        w.publish(1)
        kept = w.bus._streams[THING]
        kept.history.clear()
        w.bus.losing = False
        w.publish(2)
        frames = await delivered(w, 2)
        assert [f["type"] for f in frames] == ["resync", "change"]
        assert frames[1]["data"]["id"] == 2

    run(story)


def test_a_new_epoch_is_told_before_its_first_change() -> None:
    async def story(w: World) -> None:
        w.subscribe()
        w.publish(1)
        await delivered(w)
        w.bus.renew([THING])
        w.publish(2)
        frames = await delivered(w, 2)
        assert [f["type"] for f in frames] == ["resync", "change"]
        epoch = (await w.bus.heads([THING]))[THING][0]
        assert next(iter(frames[0]["position"].values()))[0] == epoch
        assert w.node.position(THING) == (epoch, 1)

    run(story)


def test_a_straggler_of_the_epoch_before_changes_nothing() -> None:
    async def story(w: World) -> None:
        w.subscribe()
        w.publish(1)
        await delivered(w)
        before = w.node.position(THING)
        assert before is not None
        w.bus.renew([THING])
        await w.until(lambda: w.node.position(THING) != before)
        await w.caught_up()
        now = w.node.position(THING)
        w.got()
        w.node._receive(Message(THING, before[0], before[1] + 1, "old words"))
        await w.caught_up()
        assert w.node.position(THING) == now
        assert w.got() == []

    run(story)


def test_a_message_that_comes_twice_is_delivered_once() -> None:
    async def story(w: World) -> None:
        w.subscribe()
        w.publish(1)
        await delivered(w)
        _, messages = await w.bus.history(THING, 0)
        for message in messages:
            w.node._receive(message)
        w.publish(2)
        assert [f["data"]["id"] for f in await delivered(w)] == [2]

    run(story)


def test_nonsense_on_the_bus_is_a_resync_and_never_quoted(expect_log: Any) -> None:
    expect_log("realtime.node", r"message \d+ makes no sense: \w+$")

    async def story(w: World) -> None:
        w.subscribe()
        w.say(THING, "{secret words")
        assert [f["type"] for f in await delivered(w)] == ["resync"]
        w.publish(2)
        assert [f["data"]["id"] for f in await delivered(w)] == [2]

    run(story)


def test_a_strangers_nonsense_takes_nobodys_place() -> None:
    """Anybody may publish on a channel of Redis; what the history does not know never was."""

    async def story(w: World) -> None:
        w.subscribe()
        w.publish(1)
        await delivered(w)
        for nonsense in ("{not JSON", "{}"):
            epoch, offset = (await w.bus.heads([THING]))[THING]
            w.bus._send([Message(THING, epoch, offset + 1, nonsense)])
            w.publish(2)
            assert [f["data"]["id"] for f in await delivered(w)] == [2]
            w.bus._send([Message(THING, epoch, offset + 2, nonsense)])
            await w.until(lambda: any(f.behind for f in w.followed()))
            await w.caught_up()
            w.publish(3)
            assert [f["data"]["id"] for f in await delivered(w)] == [3]

    run(story)


def test_an_offset_that_the_bus_never_gave_holds_nothing_up() -> None:
    async def story(w: World) -> None:
        w.subscribe()
        epoch, offset = (await w.bus.heads([THING]))[THING]
        w.bus._send([Message(THING, epoch, offset + 1000, "{}")])
        await w.until(lambda: any(f.behind for f in w.followed()))
        await w.caught_up()
        w.publish(2)
        assert [f["data"]["id"] for f in await delivered(w)] == [2]

    run(story)


def test_values_of_another_kind_are_a_resync(expect_log: Any) -> None:
    expect_log("realtime.node", "makes no sense")

    async def story(w: World) -> None:
        w.subscribe()
        w.publish(1, size="not a number")
        assert [f["type"] for f in await delivered(w)] == ["resync"]

    run(story)


def test_events_and_controls_go_where_they_belong() -> None:
    async def story(w: World) -> None:
        client = FakeClient()
        subscription = Subscription(client.connection, DATA_STREAM, ("room-1",), "r", follow_call())
        client.connection.subscribe("r", subscription, lambda: w.hub.leave(subscription))
        w.hub.join(subscription)
        position = w.node.position(DATA_STREAM)
        assert position is not None
        w.hub.live(subscription, "subscribed", position)
        w.hub.run()
        client.frames()
        w.controls.clear()
        w.say(CONTROL_STREAM, encode(Control((7,), "rights")))
        w.say(DATA_STREAM, encode(Event("room-1", {"said": "hello"})))
        await w.until(lambda: client.writes)
        assert [f["data"] for f in client.frames()] == [{"said": "hello"}]
        assert w.controls == [Control((7,), "rights")]

    run(story)


def follow_call() -> Any:
    from realtime.protocol import Call

    return Call("subscribe", "room", {"channel": "r"}, "c1")


def test_while_the_link_is_lost_nothing_is_delivered_and_then_everybody_is_judged_first() -> None:
    async def story(w: World) -> None:
        w.subscribe()
        w.controls.clear()
        w.bus.linked(False)
        assert not w.node.health()["ok"]
        w.publish(1)
        for _ in range(20):
            await asyncio.sleep(0)
        assert w.got() == []
        order: list[str] = []
        w.node.on_control = lambda control: order.append("judged")
        w.bus.linked(True)
        await w.until(lambda: order.extend(f["type"] for f in w.got()) or "change" in order)
        assert order[0] == "judged"
        assert order[-1] == "change"

    run(story)


def test_a_lost_control_message_makes_everybody_be_judged() -> None:
    async def story(w: World) -> None:
        w.controls.clear()
        w.bus.losing = True
        w.say(CONTROL_STREAM, encode(Control((7,), "rights")))
        w.bus.losing = False
        w.say(CONTROL_STREAM, encode(Control((8,), "rights")))
        await w.until(lambda: len(w.controls) >= 3)
        assert w.controls[0] == Control(None, "rights")
        assert w.controls[-2:] == [Control((7,), "rights"), Control((8,), "rights")]

    run(story)


def test_catching_up_waits_for_a_bus_that_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("realtime.node.RETRY_SECONDS", 0.01)

    async def story(w: World) -> None:
        w.subscribe()
        w.bus.away = w.bus.losing = True
        w.publish(1)
        w.bus.losing = False
        w.publish(2)
        await asyncio.sleep(0.03)
        assert w.got() == []
        w.bus.away = False
        assert [f["data"]["id"] for f in await delivered(w, 2)] == [1, 2]

    run(story)


def test_caught_up_returns_when_everything_published_before_is_delivered() -> None:
    async def story(w: World) -> None:
        w.publish(1)
        w.publish(2)
        position = await w.node.caught_up(THING)
        assert position == (await w.bus.heads([THING]))[THING]
        assert position[1] == 2

    run(story)


def test_caught_up_says_when_the_bus_is_away() -> None:
    async def story(w: World) -> None:
        w.bus.away = True
        with pytest.raises(BusUnavailable):
            await w.node.caught_up(THING)

    run(story)


def test_a_node_that_starts_late_knows_what_the_bus_remembers() -> None:
    async def story(w: World) -> None:
        for key in (1, 2, 3):
            w.publish(key)
        late = Node(w.bus, FakeHub(), Clock(), DEFAULT_LIMITS)
        await late.start()
        try:
            position = await late.caught_up(THING)
            missed = late.since(THING, (position[0], 1))
            assert missed is not None
            assert [offset for offset, _ in missed] == [2, 3]
        finally:
            await late.stop()

    run(story)


def test_legacy_clients_are_handed_over_to_be_healed() -> None:
    async def story(w: World) -> None:
        from tests.realtime.core import SOCKJS

        client = FakeClient(SOCKJS)
        subscription = follow(w.hub, client, Filter.everything(), stream=THING)
        position = w.node.position(THING)
        assert position is not None
        w.hub.live(subscription, [], position)
        w.bus.renew([THING])
        await w.until(lambda: w.unhealed)
        assert w.unhealed == [subscription]

    run(story)
