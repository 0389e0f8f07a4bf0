"""What the tests of the bus, the relay and whatever reads the bus share: a follower that writes down what it hears."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, TypeVar

import pytest

from realtime.bus import Bus, Limits, Message, Publication
from realtime.bus_memory import MemoryBus
from realtime.bus_redis import RedisBus

LIMIT = 10.0  # seconds that any single wait of these tests may take on a busy machine
T = TypeVar("T")


def publication(key: str, revision: int, body: str | None = None, stream: str = "device") -> Publication:
    return Publication(stream, key, revision, f"{key}@{revision}" if body is None else body)


# Buses that tests have made and not yet closed.
buses: list[Bus] = []


def any_bus(request: pytest.FixtureRequest, **limits: Any) -> Bus:
    """The bus that the fixture's parameter names, "memory" or "redis", with a past of its own."""
    bus: Bus
    if request.param == "memory":
        bus = MemoryBus(Limits(**limits))
    else:
        bus = RedisBus(request.getfixturevalue("redis_url"), prefix=uuid.uuid4().hex, limits=Limits(**limits))
        bus.identity = "database-1"
    buses.append(bus)
    return bus


def close_buses() -> None:
    while buses:
        buses.pop().close()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    async def limited() -> T:
        try:
            async with asyncio.timeout(6 * LIMIT):
                return await coroutine
        finally:
            for bus in buses:
                await bus.unlink()

    return asyncio.run(limited())


async def until(condition: Callable[[], Any], what: str = "") -> None:
    """Let the loop run until `condition` holds."""
    deadline = time.monotonic() + LIMIT
    while not condition():
        assert time.monotonic() < deadline, what or "the condition never held"
        await asyncio.sleep(0.01)


def wait_until(condition: Callable[[], Any], what: str = "", limit: float = LIMIT) -> None:
    deadline = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < deadline, what or "the condition never held"
        time.sleep(0.01)


class Listener:
    """Follows streams and keeps everything: `messages` as received, `links` as told."""

    def __init__(self, bus: Bus, *streams: str) -> None:
        self.bus = bus
        self.streams = streams or ("device",)
        self.messages: list[Message] = []
        self.links: list[bool] = []

    @property
    def bodies(self) -> list[str]:
        return [m.body for m in self.messages if m.offset]

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator["Listener"]:
        await self.bus.heads(self.streams)  # so that their epochs are announced before
        task = asyncio.create_task(self.bus.follow(self.streams, self.messages.append, self.links.append))
        try:
            await until(lambda: self.links and self.links[-1], "the bus was never linked")
            yield self
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
