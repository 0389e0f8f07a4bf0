"""One stream under one filter, or one name for events: who is in it, and the frames of this turn of the loop."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator

from .change import State
from .frames import Client, Frame, Transport
from .index import FilterIndex
from .joins import Subscription
from .protocol import Raw, dumps


class Channel:
    __slots__ = ("_subscriptions", "fast", "frames", "name", "offset", "said", "slow", "stream")

    def __init__(self, stream: str, name: str) -> None:
        self.stream = stream
        self.name = name
        # The name as every frame says it.
        self.said = Raw(dumps(name))
        # Of the last frame.
        self.offset = 0
        # The newest frame per object, for those who get everything.
        self.frames: dict[Hashable, Frame] = {}
        self._subscriptions: dict[Client, list[Subscription]] = {}
        # Clients who get everything, by transport, and those who must be asked about each change: whose snapshot is
        # under way or showed what is not published yet, and legacy ones.
        self.fast: dict[str, tuple[Transport, dict[Client, None]]] = {}
        self.slow: dict[Client, list[Subscription]] = {}

    def join(self, subscription: Subscription) -> None:
        self._subscriptions.setdefault(subscription.connection, []).append(subscription)
        self.sort(subscription.connection)

    def leave(self, subscription: Subscription) -> bool:
        """True when nobody is left."""
        client = subscription.connection
        subscriptions = self._subscriptions.get(client)
        if subscriptions is not None and subscription in subscriptions:
            subscriptions.remove(subscription)
            if not subscriptions:
                del self._subscriptions[client]
            self.sort(client)
        return not self._subscriptions

    def sort(self, client: Client) -> None:
        """Put a client where it belongs. No frame may wait when somebody begins or ceases to get everything."""
        subscriptions = self._subscriptions.get(client)
        name = client.transport.name
        fast = bool(subscriptions) and all(subscription.settled for subscription in subscriptions or ())
        if fast:
            self.fast.setdefault(name, (client.transport, {}))[1][client] = None
        elif name in self.fast:
            self.fast[name][1].pop(client, None)
            if not self.fast[name][1]:
                del self.fast[name]
        if subscriptions and not fast:
            self.slow[client] = subscriptions
        else:
            self.slow.pop(client, None)

    def of(self, client: Client) -> list[Subscription]:
        return self._subscriptions.get(client, [])

    def members(self) -> Iterable[tuple[Client, list[Subscription]]]:
        return self._subscriptions.items()

    @property
    def count(self) -> int:
        return sum(len(subscriptions) for subscriptions in self._subscriptions.values())


class Channels:
    """All of this process. A channel is there as long as somebody is in it."""

    def __init__(self) -> None:
        # The last offset published here, per stream.
        self.offsets: dict[str, int] = {}
        self._channels: dict[tuple[str, str], Channel] = {}
        self._indexes: dict[str, FilterIndex[Channel]] = {}

    def get(self, stream: str, name: str) -> Channel | None:
        return self._channels.get((stream, name))

    def join(self, subscription: Subscription) -> None:
        for name in subscription.channels:
            channel = self.get(subscription.stream, name)
            if channel is None:
                channel = self._channels[subscription.stream, name] = Channel(subscription.stream, name)
                if subscription.filter is not None:
                    self._indexes.setdefault(subscription.stream, FilterIndex()).add(channel, subscription.filter)
            channel.join(subscription)

    def leave(self, subscription: Subscription) -> None:
        for channel in self.of(subscription):
            if channel.leave(subscription):
                del self._channels[channel.stream, channel.name]
                if channel.stream in self._indexes:
                    self._indexes[channel.stream].remove(channel)

    def of(self, subscription: Subscription) -> Iterator[Channel]:
        for name in subscription.channels:
            channel = self.get(subscription.stream, name)
            if channel is not None:
                yield channel

    def in_stream(self, stream: str) -> list[Channel]:
        return [channel for channel in self._channels.values() if channel.stream == stream]

    def match(self, stream: str, *states: State) -> set[Channel]:
        """The channels that an object in any of these states is in."""
        index = self._indexes.get(stream)
        if index is None or not states:
            return set()
        found = index.match(states[0])
        for state in states[1:]:
            found |= index.match(state)
        return found

    def __len__(self) -> int:
        return len(self._channels)

    @property
    def subscriptions(self) -> int:
        return sum(channel.count for channel in self._channels.values())
