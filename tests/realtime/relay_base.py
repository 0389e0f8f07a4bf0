"""What the relay's tests share: what was told on the bus, a screen that follows it, and threads that take turns."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.db import connections

from realtime import change, journal, view
from realtime.bus import Bus, Position
from realtime.relay import Relay
from tests.app.models import Thing
from tests.app.serializers import ThingSerializer

from .bus_base import LIMIT, run

Told = change.Change | change.Event | change.Control


def told(bus: Bus, stream: str) -> list[Any]:
    """Everything published on the stream in its epoch."""
    return [change.decode(message.body) for message in run(bus.history(stream, 0))[1]]


def actions(bus: Bus, stream: str) -> list[tuple[str, Any]]:
    return [(item.action, item.id) for item in told(bus, stream)]


def head(bus: Bus, stream: str) -> Position:
    return run(bus.heads([stream]))[stream]


def publish_due(relay: Relay) -> None:
    """Step until nothing is left; the relay of a test has no thread of its own, and so nobody wakes it for what was
    committed while it stepped: the step after the last one looks for that."""
    quiet = 0
    for _ in range(50):
        quiet = 0 if relay.step() else quiet + 1
        if quiet == 2:
            return
    raise AssertionError("the relay finds no end")


class Worker:
    """A thread with a database connection of its own, as another process would have; `do` waits for it."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)

    def do(self, work: Callable[[], Any]) -> Any:
        return self._pool.submit(work).result(LIMIT)

    def begin(self, work: Callable[[], Any]) -> Any:
        """A future: the work goes on meanwhile."""
        return self._pool.submit(work)

    def close(self) -> None:
        self._pool.submit(connections.close_all).result(LIMIT)
        self._pool.shutdown()


class Screen:
    """Shows the things of one place, or all: a snapshot joined to the stream by revision, then the stream."""

    def __init__(self, bus: Bus, place: int | None = None) -> None:
        self._bus = bus
        self._place = place
        self._position: Position | None = None
        # What its server knows of this connection, and what a snapshot showed before it was published.
        self._seen: dict[str, int] = {}
        self._ahead: dict[str, int] = {}
        self._newest: dict[str, int] = {}
        self.shown: dict[int, dict[str, Any]] = {}
        self.snapshots = 0

    def catch_up(self) -> None:
        epoch, messages = run(self._bus.history("thing", self._position[1] if self._position else 0))
        first = messages[0].offset if messages else None
        head_now = head(self._bus, "thing")
        continued = self._position is not None and self._position[0] == epoch == head_now[0]
        gapless = self._position is not None and (
            first == self._position[1] + 1 if messages else head_now[1] <= self._position[1]
        )
        if not (continued and gapless):
            self._take_snapshot()
        else:
            for message in messages:
                self._apply(change.decode(message.body))
                self._position = (epoch, message.offset)

    def reconnect(self) -> None:
        """Continue from its position on a server that knows nothing of it; only told positions can be continued from,
        and none is told while the snapshot is ahead of the stream."""
        self.catch_up()
        if not self._ahead:
            self._seen = {}

    def _take_snapshot(self) -> None:
        self.snapshots += 1
        self._position = head(self._bus, "thing")
        with view.consistent():
            self.shown = {t.pk: self._data(t) for t in Thing.objects.all() if self._wants(t.place_id)}
            revisions = journal.revisions("app.thing")
        self._seen = {key: revision for key, (revision, _) in revisions.items()}
        self._ahead = {key: revision for key, (revision, dirty) in revisions.items() if dirty}
        self._newest = dict(self._seen)

    def _apply(self, item: Any) -> None:
        if item.revision <= self._seen.get(item.key, 0):
            return
        self._seen[item.key] = item.revision
        if item.revision >= self._ahead.get(item.key, 0):
            self._ahead.pop(item.key, None)
        assert item.revision >= self._newest.get(item.key, 0), "the screen went backwards"
        self._newest[item.key] = item.revision
        if item.now is not None and self._wants(item.now["place"]):
            self.shown[item.id] = item.data
        elif any(state is not None and self._wants(state["place"]) for state in item.before):
            self.shown.pop(item.id, None)

    def _wants(self, place: int | None) -> bool:
        return self._place is None or place == self._place

    @staticmethod
    def _data(thing: Thing) -> dict[str, Any]:
        data = ThingSerializer(instance=thing).serialize()
        assert data is not None
        return data

    def differs(self) -> dict[str, Any]:
        """What it shows wrongly; empty if it equals the database."""
        wanted = {t.pk: self._data(t) for t in Thing.objects.all() if self._wants(t.place_id)}
        keys = {k for k in wanted.keys() | self.shown.keys() if wanted.get(k) != self.shown.get(k)}
        return {str(k): (wanted.get(k), self.shown.get(k)) for k in sorted(keys)}
