"""What one subscription is sent from its reply until it gets what everybody gets.

A snapshot travels in parts, each when the client has room for it, so that no list is too long for an outbox.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from .change import DELETED, UPDATED, Change, Event
from .channel import Channels
from .frames import Client
from .joins import NOTHING, Revision, State, Subscription, Verdict
from .limits import Limits
from .protocol import Position, Raw, change, heartbeat, reply, resync
from .streams import Item
from .turn import Turn


class Snapshots:
    def __init__(self, turn: Turn, channels: Channels, limits: Limits) -> None:
        self._turn = turn
        self._channels = channels
        self._limits = limits
        self._largest = limits.object_bytes
        self._under_way: dict[Client, dict[Subscription, None]] = {}
        self._settling: dict[Subscription, None] = {}
        # By stream, those that have shown what is not published yet.
        self._awaiting: dict[str, dict[Subscription, None]] = {}
        # By stream and key, what is committed and not yet published, as far as was asked; and who must not be shown
        # anything older. One dictionary for all of them, because it shrinks for all of them.
        self._newer: dict[str, dict[str, int]] = {}
        self._careful: dict[str, dict[Subscription, None]] = {}

    # -- the answer -------------------------------------------------------------------------------------------------

    def snapshot(
        self,
        subscription: Subscription,
        objects: Iterable[tuple[str, Any]],
        revisions: Mapping[str, Revision],
        position: Position,
        recovered: bool | None,
    ) -> None:
        subscription.merge(objects, revisions, self._largest)
        self._begin(subscription, position)
        subscription.state = State.PARTS
        self._send_part(subscription, recovered=recovered, **self._opening(subscription, position))

    def live(
        self,
        subscription: Subscription,
        data: Any,
        position: Position,
        objects: Iterable[tuple[str, Any]],
        revisions: Mapping[str, Revision],
    ) -> None:
        subscription.knows(objects)
        subscription.expect(revisions, subscription.sent or ())
        self._take_care(subscription)
        self._begin(subscription, position)
        self._reply(subscription, data, **self._opening(subscription, position))
        self._release(subscription)

    def replay(self, subscription: Subscription, missed: Iterable[tuple[int, Item]], position: Position) -> bool:
        self._take_care(subscription)
        ahead = self._ahead(subscription)
        told = [
            (offset, item)
            for offset, item in missed
            if isinstance(item, Event)
            or (
                isinstance(item, Change)
                and not any(other.overtook(item) for other in ahead)
                and not (subscription.outdated(item) and subscription.wants(item))
            )
        ]
        frames = [
            (key, subscription.connection.transport.encode(text))
            for offset, item in told
            for key, text in subscription.frames(offset, item)
        ]
        if sum(len(frame) for _, frame in frames) > self._largest:
            return False
        self._begin(subscription, position)
        self._reply(subscription, [], recovered=True, **self._opening(subscription, position))
        for key, frame in frames:
            self._turn.put(subscription.connection, frame, key)
        self._spare(subscription, told)
        self._release(subscription)
        return True

    def heal(
        self, subscription: Subscription, objects: Iterable[tuple[str, Any]], revisions: Mapping[str, Revision]
    ) -> None:
        subscription.merge(objects, revisions, self._largest)
        self._await(subscription)
        subscription.state = State.PARTS
        self.remove(subscription, [key for key in subscription.sent or () if key not in subscription.pending])
        self._send_part(subscription)

    def remove(self, subscription: Subscription, keys: Iterable[str]) -> None:
        """Tell a legacy client that these are not in the channel any more."""
        if subscription.sent is not None:
            for key in keys:
                id_, type_ = subscription.sent.pop(key)
                self._send_change(subscription, key, DELETED, {"id": id_, "_type": type_}, gone=False)

    def suspend(self, subscription: Subscription) -> None:
        """Hold changes back again, and the rest of a snapshot with them."""
        if subscription.state is not State.JOINING:
            subscription.suspended = subscription.state
            subscription.state = State.JOINING
            self._ended(subscription)
            for channel in self._channels.of(subscription):
                channel.sort(subscription.connection)

    def resume(self, subscription: Subscription) -> None:
        """Go on from where it was suspended."""
        self._take_care(subscription)
        state, subscription.suspended = subscription.suspended, None
        if state is State.LIVE:
            self._release(subscription)
        elif state is State.PARTS:
            subscription.state = state
            self._catch_up(subscription)
            self._go_on(subscription)

    def forget(self, subscription: Subscription) -> None:
        """No further part of it is sent."""
        subscription.pending.clear()
        self._settling.pop(subscription, None)
        self._awaiting.get(subscription.stream, {}).pop(subscription, None)
        self._careful.get(subscription.stream, {}).pop(subscription, None)
        subscription.newer = NOTHING
        self._ended(subscription)

    def expect(self, stream: str, newer: Mapping[str, int]) -> None:
        """This, and nothing else, is committed and yet to be published."""
        known = self._newer.setdefault(stream, {})
        known.clear()
        known.update(newer)
        if not known:
            self._unburden(stream)

    def known(self, stream: str) -> Mapping[str, int]:
        return self._newer.get(stream, NOTHING)

    @property
    def expecting(self) -> list[str]:
        return [stream for stream, newer in self._newer.items() if newer]

    # -- each turn --------------------------------------------------------------------------------------------------

    def advance(self) -> None:
        """The next part for each client that has room; those with several snapshots get their parts in turns."""
        for client in [client for client in self._under_way if client.has_room]:
            parts = self._under_way.get(client)
            if parts:
                self._send_part(next(iter(parts)))

    @property
    def waiting(self) -> bool:
        return bool(self._settling) or any(client.has_room for client in self._under_way)

    def room(self, client: Client) -> None:
        if client in self._under_way:
            self._turn.wake()

    def check(self, subscription: Subscription) -> None:
        """It may need no more care: `settle` looks at the end of the turn."""
        if subscription.state is State.LIVE and not subscription.seen and not subscription.newer:
            self._settling[subscription] = None
            self._turn.wake()

    def passed(self, change: Change) -> None:
        """A change was published. Who awaits it may not be in any channel that it concerns."""
        newer = self._newer.get(change.stream)
        expected = newer.get(change.key) if newer else None
        if newer and expected is not None and change.revision >= expected:
            del newer[change.key]
            if not newer:
                self._unburden(change.stream)
        awaiting = self._awaiting.get(change.stream)
        if not awaiting:
            return
        for subscription in list(awaiting):
            subscription.came(change)
            if not subscription.seen:
                del awaiting[subscription]
                self.check(subscription)

    def settle(self) -> None:
        """Whoever needs no more care joins those who get everything. No frame of a channel may be waiting."""
        settling, self._settling = self._settling, {}
        for subscription in settling:
            if subscription.state is not State.LIVE or subscription.seen or subscription.newer:
                continue
            subscription.withheld = False
            for channel in self._channels.of(subscription):
                channel.sort(subscription.connection)
                # Others of the channel may have been waiting for this one only.
                for member in channel.of(subscription.connection):
                    self._tell_first(member)

    def _tell_first(self, subscription: Subscription) -> None:
        """Tell the position that could not be told with the reply."""
        position = self.position(subscription)
        if position is not None and subscription.told == 0 < position[1] and subscription.sent is None:
            subscription.told = position[1]
            self._put(subscription, heartbeat(dict.fromkeys(subscription.channels, position)))

    def position(self, subscription: Subscription) -> Position | None:
        """Where the client can continue from once everything collected is sent; None while one of its subscriptions of
        these channels cannot, because a client knows positions by channel."""
        for channel in self._channels.of(subscription):
            if not all(member.continuable for member in channel.of(subscription.connection)):
                return None
        if subscription.epoch is None:
            return None
        return subscription.epoch, self._channels.offsets[subscription.stream]

    @property
    def count(self) -> int:
        return sum(len(parts) for parts in self._under_way.values())

    # -- private ----------------------------------------------------------------------------------------------------

    def _take_care(self, subscription: Subscription) -> None:
        newer = self._newer.get(subscription.stream)
        if newer:
            subscription.newer = newer
            self._careful.setdefault(subscription.stream, {})[subscription] = None

    def _unburden(self, stream: str) -> None:
        """Nothing newer is expected any more."""
        for subscription in self._careful.pop(stream, ()):
            subscription.newer = NOTHING
            self.check(subscription)

    def _begin(self, subscription: Subscription, position: Position) -> None:
        epoch, offset = position
        self._channels.offsets[subscription.stream] = offset
        subscription.epoch = epoch
        # Continuing from here would show again what was published before a row that this snapshot showed already.
        subscription.withheld = bool(subscription.seen)
        self._await(subscription)
        subscription.told = 0 if subscription.withheld else offset

    def _await(self, subscription: Subscription) -> None:
        if subscription.seen:
            self._awaiting.setdefault(subscription.stream, {})[subscription] = None

    def _opening(self, subscription: Subscription, position: Position) -> dict[str, Any]:
        return {
            "position": None if subscription.withheld else dict.fromkeys(subscription.channels, position),
            "object_map": subscription.object_map,
            "client_context": subscription.client_context,
        }

    def _reply(self, subscription: Subscription, data: Any, **context: Any) -> None:
        self._put(subscription, reply(subscription.call, data, channel_data=subscription.channel_data, **context))

    def _put(self, subscription: Subscription, text: str, key: Hashable | None = None) -> None:
        connection = subscription.connection
        self._turn.put(connection, connection.transport.encode(text), key)

    def _send_change(
        self, subscription: Subscription, key: str, action: str, data: Any, gone: bool | None = None
    ) -> None:
        offset = self._channels.offsets.get(subscription.stream, 0)
        text = change(subscription.channel, action, data, offset, gone=gone)
        self._put(subscription, text, (subscription.channel, key))

    def _send_part(self, subscription: Subscription, **context: Any) -> None:
        texts = subscription.take_part(self._limits.part_bytes)
        more = bool(subscription.pending)
        subscription.part += 1
        if subscription.sent is None:
            data = Raw("[" + ",".join([text for _, text in texts]) + "]")
            self._reply(subscription, data, part=subscription.part, more=more, **context)
        else:
            for key, text in texts:
                self._send_change(subscription, key, UPDATED, Raw(text))
            subscription.knows((key, Raw(text)) for key, text in texts)
        self._ended(subscription)
        if more:
            self._go_on(subscription)
        else:
            self._release(subscription)

    def _catch_up(self, subscription: Subscription) -> None:
        """Send what was held back, in order."""
        sent = []
        ahead = self._ahead(subscription)
        for offset, item in subscription.let_go():
            if isinstance(item, Change) and subscription.judge(item, subscription.wants(item)) is not Verdict.SEND:
                continue
            if isinstance(item, Change) and any(other.overtook(item) for other in ahead):
                continue
            for key, text in subscription.frames(offset, item):
                self._put(subscription, text, key)
            sent.append((offset, item))
        self._spare(subscription, sent)

    def _spare(self, subscription: Subscription, sent: list[tuple[int, Change | Event]]) -> None:
        """A frame of a channel is for all that the client has of it: others that were suspended with this one need not
        be sent it again."""
        for channel in self._channels.of(subscription):
            for other in channel.of(subscription.connection):
                if other.suspended is not None:
                    other.spare(sent)

    def _ahead(self, subscription: Subscription) -> list[Subscription]:
        """Other subscriptions of the client to its channels that have shown what is not published yet: a frame of a
        channel is for all that the client has of it. What this one is kept from comes to it with that newer state."""
        return [
            other
            for channel in self._channels.of(subscription)
            for other in channel.of(subscription.connection)
            if other is not subscription and other.seen
        ]

    def _release(self, subscription: Subscription) -> None:
        subscription.state = State.LIVE
        if subscription.stale and subscription.sent is None:
            # Told before whatever is of the new epoch.
            subscription.stale = False
            subscription.epoch = None
            for name in subscription.channels:
                self._put(subscription, resync(name), ("resync", name))
        self._catch_up(subscription)
        self.check(subscription)

    def _go_on(self, subscription: Subscription) -> None:
        # Behind the client's other snapshots.
        self._under_way.setdefault(subscription.connection, {})[subscription] = None
        self._turn.wake()

    def _ended(self, subscription: Subscription) -> None:
        parts = self._under_way.get(subscription.connection)
        if parts is not None:
            parts.pop(subscription, None)
            if not parts:
                del self._under_way[subscription.connection]
