"""Who follows what in this process: one change → the channels it is in → one frame each → everybody in them.

Work is per change and channel; what is left per subscriber is one `send` per turn of the loop (`turn.py`). All of it
runs on one thread. `schedule` is called when something waits for `flush`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any

from . import protocol
from .change import CREATED, DATA_STREAM, DELETED, UPDATED, Change, Event
from .channel import Channel, Channels
from .frames import Client, Frame
from .joins import Revision, State, Subscription, Verdict
from .limits import DEFAULT_LIMITS, Limits
from .protocol import Position, Raw
from .snapshots import Snapshots
from .streams import Item
from .turn import Turn

__all__ = ["Hub", "Subscription"]


class Hub:
    def __init__(self, schedule: Callable[[], None], limits: Limits = DEFAULT_LIMITS) -> None:
        self._channels = Channels()
        self._turn = Turn(schedule)
        self._snapshots = Snapshots(self._turn, self._channels, limits)
        self._flushing = False

    # -- coming and going -------------------------------------------------------------------------------------------

    def join(self, subscription: Subscription) -> None:
        """From here on nothing is missed: changes are held back until `snapshot`, `replay` or `live` answers.

        These do nothing for a subscription that has left meanwhile.
        """
        # A client that follows the channel already ceases to get everything without being asked about.
        self.flush()
        subscription.joined = True
        subscription.connection.on_room = self._snapshots.room
        self._channels.join(subscription)

    def snapshot(
        self,
        subscription: Subscription,
        objects: Iterable[tuple[str, Any]],
        revisions: Mapping[str, Revision],
        position: Position,
        *,
        recovered: bool | None = None,
    ) -> None:
        """Answer with the objects, in parts, then send every change that is newer than they are.

        Call it when everything up to the head of the stream, asked for after the rows were read, has been published
        here; `position` is where the stream is now. TooLarge, with nothing sent, if an object is.
        """
        if subscription.joined:
            self.flush()
            self._snapshots.snapshot(subscription, objects, revisions, position, recovered)
            self._wait_with_others(subscription)

    def live(
        self,
        subscription: Subscription,
        data: Any,
        position: Position,
        *,
        objects: Iterable[tuple[str, Any]] = (),
        revisions: Mapping[str, Revision] | None = None,
    ) -> bool:
        """Answer with `data`, then send every change since joining. A legacy client's `objects` are what it may show
        because it asked for them some other way: they are healed after a resync. False: it must be healed at once."""
        if subscription.joined:
            self.flush()
            self._snapshots.live(subscription, data, position, objects, revisions or {})
            self._wait_with_others(subscription)
        return self._healthy(subscription)

    def replay(self, subscription: Subscription, missed: Iterable[tuple[int, Item]], position: Position) -> bool:
        """Answer `recovered`, then send what was missed (`Stream.since`), as today's filter judges it, and go on live.

        False, with nothing sent, if that is more than an outbox should hold: take a snapshot then.
        """
        if not subscription.joined:
            return True
        self.flush()
        done = self._snapshots.replay(subscription, missed, position)
        if done:
            self._wait_with_others(subscription)
        return done

    def leave(self, subscription: Subscription) -> None:
        """Nothing of its channels is sent to it any more; what was published before still is."""
        self.flush()
        subscription.joined = False
        subscription.epoch = None
        self._snapshots.forget(subscription)
        self._channels.leave(subscription)

    def expel(self, *subscriptions: Subscription) -> None:
        """Their clients' rights have changed: they leave their channels and are told to subscribe anew, if they still
        may; once for each channel."""
        for subscription in subscriptions:
            self.leave(subscription)
        told: set[tuple[Client, str]] = set()
        for subscription in subscriptions:
            client = subscription.connection
            if subscription.sent is not None:
                self._snapshots.remove(subscription, list(subscription.sent))
                continue
            for name in subscription.channels:
                if (client, name) not in told:
                    told.add((client, name))
                    self._turn.put(client, client.transport.encode(protocol.resync(name)))
        self.flush()

    def suspend(self, subscription: Subscription) -> None:
        """Its rights are about to be judged anew: nothing of its channels is sent to it until `resume`, neither changes
        nor the rest of a snapshot. Harmless while joining, and twice."""
        self.flush()
        if subscription.joined:
            self._snapshots.suspend(subscription)

    def resume(self, subscription: Subscription) -> bool:
        """Its rights are what they were: go on where it was, with what was held back. False, for a legacy subscription
        whose stream was lost meanwhile: it must be healed."""
        if not subscription.joined or subscription.suspended is None:
            return True
        if not self._healthy(subscription):
            return False
        self.flush()
        self._snapshots.resume(subscription)
        return True

    # -- publishing -------------------------------------------------------------------------------------------------

    def publish(self, change: Change, offset: int) -> None:
        """Changes of a stream come in order of offset, with comparable values (`filters.typed`)."""
        self._channels.offsets[change.stream] = offset
        now, gone = change.now, change.gone
        there = set() if gone else self._channels.match(change.stream, now)
        if there:
            data = change.data if isinstance(change.data, Raw) else Raw(protocol.dumps(change.data))
            action = change.action_for_now
            for channel in there:
                self._spread(change, offset, channel, action, data)
        # Mostly an object was in the channels that it is in.
        before = change.before if gone else [state for state in change.before if state is not now]
        if before and (left := self._channels.match(change.stream, *before) - there):
            data = Raw(protocol.dumps({"id": change.id, "_type": change.type}))
            for channel in left:
                self._spread(change, offset, channel, DELETED, data)
        self._snapshots.passed(change)

    def publish_event(self, event: Event, offset: int) -> None:
        self._channels.offsets[DATA_STREAM] = offset
        channel = self._channels.get(DATA_STREAM, event.channel)
        if channel is None:
            return
        frame = Frame(protocol.data_message(channel.said, event.data, offset))
        self._turn.collect(channel, ("event", offset), frame, offset)
        for client, subscriptions in list(channel.slow.items()):
            joining = [member for member in subscriptions if member.state is State.JOINING]
            for member in joining:
                member.hold(offset, event)
            if len(joining) < len(subscriptions):
                self._turn.put(client, frame.encoded(client.transport))

    def expect(self, stream: str, newer: Mapping[str, int], *, complete: bool = True) -> None:
        """By key, revisions that are committed and not yet published: who begins without a snapshot, or is resumed, is
        shown nothing older. `complete`: of what was expected before, whatever is not in it has come."""
        known = {} if complete else self._snapshots.known(stream)
        self._snapshots.expect(stream, {**known, **newer})

    @property
    def expecting(self) -> list[str]:
        """The streams of which something is."""
        return self._snapshots.expecting

    def resync(self, stream: str, position: Position) -> list[Subscription]:
        """What was missed is lost: everybody is told to take a snapshot, those whose snapshot is under way after it.

        Legacy clients cannot be told. Their subscriptions are the answer; changes are held back from them until the
        shell has read their rows and called `heal`.
        """
        self.flush()
        self._channels.offsets[stream] = position[1]
        self._snapshots.expect(stream, {})
        unhealed: list[Subscription] = []
        for channel in self._channels.in_stream(stream):
            frame = Frame(protocol.resync(channel.name, position))
            for client, subscriptions in list(channel.members()):
                lost = [member for member in list(subscriptions) if self._lose(member)]
                unhealed += [member for member in lost if member.sent is not None and member not in unhealed]
                if any(member.sent is None for member in lost):
                    self._turn.put(client, frame.encoded(client.transport), ("resync", channel.name))
        self.flush()
        return unhealed

    def heal(
        self, subscription: Subscription, objects: Iterable[tuple[str, Any]], revisions: Mapping[str, Revision]
    ) -> bool:
        """Bring a legacy client to these rows: `deleted` for what it had, `updated` for what there is. False: another
        resync came meanwhile, read the rows again."""
        if not subscription.joined:
            return True
        if not self._healthy(subscription):
            return False
        self.flush()
        self._snapshots.heal(subscription, objects, revisions)
        return True

    # -- to clients -------------------------------------------------------------------------------------------------

    def write(self, client: Client, text: str, key: Hashable | None = None) -> None:
        """Send a text behind every change published before. TooLarge if it can never fit the outbox."""
        self.flush()
        client.write(text, key)

    def beat(self, clients: Iterable[Client], *, positions: bool = False) -> None:
        """One heartbeat, shared by all; with `positions`, each client is told those that moved on without a frame.

        Legacy clients get none: SwampDragon's stumble over it.
        """
        self.flush()
        shared: dict[tuple[tuple[str, Position], ...], Frame] = {}
        for client in clients:
            if client.transport.legacy:
                continue
            told = tuple(self._untold(client)) if positions else ()
            frame = shared.get(told)
            if frame is None:
                frame = shared[told] = Frame(protocol.heartbeat(dict(told)))
            encoded = frame.encoded(client.transport)
            if client.clear:
                # Nothing waits, for this client or for the channels: it overtakes nothing.
                left = client.send(encoded)
                if left:
                    client.stuck(left)
            else:
                # One that tells positions is never replaced by one that does not.
                self._turn.put(client, encoded, None if told else "heartbeat")
        self.flush()

    def flush(self) -> None:
        """Send what was collected, then the next parts of snapshots."""
        if self._flushing:
            return
        self._flushing = True
        self._turn.begin()
        try:
            self._turn.send()
            self._snapshots.settle()
            self._snapshots.advance()
            self._turn.send()
        finally:
            self._flushing = False
            self._turn.end()
        if self._snapshots.waiting:
            self._turn.wake()

    def counts(self) -> dict[str, int]:
        return {
            "channels": len(self._channels),
            "subscriptions": self._channels.subscriptions,
            "snapshots": self._snapshots.count,
            "frames": self._turn.frames,
            "deliveries": self._turn.deliveries,
        }

    # -- private ----------------------------------------------------------------------------------------------------

    def _spread(self, change: Change, offset: int, channel: Channel, action: str, data: Raw) -> None:
        gone = change.gone if action == DELETED else None
        frame = Frame(protocol.change(channel.said, action, data, offset, gone=gone))
        self._turn.collect(channel, change.key, frame, offset)
        if channel.slow:
            self._spread_slowly(channel, change, offset, action, frame, data)

    def _spread_slowly(
        self, channel: Channel, change: Change, offset: int, action: str, frame: Frame, data: Raw
    ) -> None:
        again: Frame | None = None
        for client, subscriptions in list(channel.slow.items()):
            if not self._judge(subscriptions, change, offset, action != DELETED):
                continue
            chosen = frame
            if action == CREATED and any(member.sent and change.key in member.sent for member in subscriptions):
                # A second `created` of an object is ignored by SwampDragon's clients.
                chosen = again = again or Frame(protocol.change(channel.said, UPDATED, data, offset))
            self._turn.put(client, chosen.encoded(client.transport), (channel.name, change.key))
            for member in subscriptions:
                member.note(change, action)

    def _judge(self, subscriptions: list[Subscription], change: Change, offset: int, passes: bool) -> bool:
        """Whether a client with these is sent the change; what waits of its snapshots is brought up to date."""
        verdicts: set[Verdict] = set()
        for member in subscriptions:
            if member.state is State.JOINING:
                member.hold(offset, change)
                if member.overtook(change):
                    verdicts.add(Verdict.BLOCK)
            else:
                unsettled = bool(member.seen)
                verdicts.add(member.judge(change, passes))
                if unsettled:
                    self._snapshots.check(member)
        return Verdict.SEND in verdicts and Verdict.BLOCK not in verdicts

    def _wait_with_others(self, subscription: Subscription) -> None:
        """A frame of a channel is for all that its client has of it: while one is suspended, none gets anything."""
        for channel in self._channels.of(subscription):
            if any(other.suspended is not None for other in channel.of(subscription.connection)):
                self.suspend(subscription)

    def _lose(self, subscription: Subscription) -> bool:
        """Note that the subscription can no longer be continued; True if it must be dealt with now."""
        if subscription.sent is not None and subscription.state is not State.JOINING:
            self._snapshots.forget(subscription)
            subscription.state = State.JOINING
            return True
        if subscription.state is State.LIVE:
            # Positions of the new epoch mean nothing to who has not taken a snapshot in it. What it has seen stays:
            # until it subscribes anew, an older revision still must not reach it.
            subscription.epoch = None
            return True
        if subscription.suspended is not None and subscription.sent is None:
            # It ends in a resync: what was before the new beginning must not come behind it.
            subscription.held.clear()
        subscription.stale = True
        return False

    def _healthy(self, subscription: Subscription) -> bool:
        """False, once, for a legacy subscription that lost its stream while its rows were read."""
        if subscription.sent is None or not subscription.stale:
            return True
        subscription.stale = False
        subscription.suspended = None
        subscription.state = State.JOINING
        return False

    def _untold(self, client: Client) -> Iterator[tuple[str, Position]]:
        for subscription in client.subscriptions.values():
            position = self._snapshots.position(subscription)
            if position is None or position[1] <= subscription.told:
                continue
            first, subscription.told = subscription.told == 0, position[1]
            for channel in self._channels.of(subscription):
                if first or channel.offset < position[1]:
                    yield channel.name, position
