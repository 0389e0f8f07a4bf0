"""What the tests of the pure core share: a transport that shows texts, a client that keeps what it is sent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from realtime.change import Change
from realtime.connection import Connection
from realtime.errors import CloseCode
from realtime.filters import Condition, Filter
from realtime.hub import Hub, Subscription
from realtime.limits import DEFAULT_LIMITS, Limits
from realtime.protocol import Call


@dataclass(frozen=True)
class Lines:
    """One frame a line, so that joined frames come apart again."""

    name: str = "ws"
    legacy: bool = False

    def encode(self, text: str) -> bytes:
        return text.encode() + b"\n"


WS = Lines()
SOCKJS = Lines("sockjs", legacy=True)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class FakeClient:
    """A connection whose kernel takes everything, or, while `stalled`, nothing."""

    def __init__(self, transport: Lines = WS, limits: Limits = DEFAULT_LIMITS, clock: Clock | None = None) -> None:
        self.clock = clock or Clock()
        self.writes: list[bytes] = []
        self.stalled = False
        self.in_flight = b""
        self.closed: CloseCode | None = None
        self.connection = Connection("c1", transport, self._send, self._close, self.clock, limits)
        self.connection.identity = "operator"

    def _send(self, data: bytes) -> int | None:
        assert not self.in_flight, "sent although something is in flight"
        if self.stalled:
            self.in_flight = data
            return len(data)
        self.writes.append(data)
        return None

    def _close(self, code: CloseCode) -> None:
        self.closed = code

    def drain(self) -> None:
        """The kernel takes what is in flight, and what follows until it is stalled again."""
        data, self.in_flight = self.in_flight, b""
        self.writes.append(data)
        self.connection.drained(len(data))

    def frames(self) -> list[dict[str, Any]]:
        """What arrived since the last look."""
        data, self.writes = b"".join(self.writes), []
        return [json.loads(line) for line in data.splitlines()]


class FakeHub(Hub):
    """A hub that remembers being scheduled."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self.scheduled = 0
        super().__init__(self._count, limits)

    def _count(self) -> None:
        self.scheduled += 1

    def run(self) -> None:
        """Every turn of the loop that was asked for."""
        while self.scheduled:
            self.scheduled = 0
            self.flush()


EVERYTHING = Filter.everything()


def at(location: int) -> Filter:
    return EVERYTHING.narrowed([Condition("location", "exact", location)])


def follow(
    hub: Hub, client: FakeClient, filter: Filter = EVERYTHING, local: str = "devices", stream: str = "device"
) -> Subscription:
    """Joined, and not answered yet."""
    call = Call("subscribe", "device", {"channel": local}, "c7")
    subscription = Subscription(client.connection, stream, (filter.name(stream),), local, call, filter=filter)
    client.connection.subscribe(local, subscription, lambda: hub.leave(subscription))
    hub.join(subscription)
    return subscription


def device(
    key: int, revision: int, location: int | None = 3, before: tuple[int | None, ...] = (3,), **data: Any
) -> Change:
    """A change of a device that is at this location now (None: it is gone) and was at those before (None: was not)."""
    return Change(
        "device",
        str(key),
        revision,
        "updated",
        None if location is None else {"id": key, "_type": "device", "revision": revision, **data},
        None if location is None else {"location": location},
        tuple(None if place is None else {"location": place} for place in before),
        key,
        "device",
    )
