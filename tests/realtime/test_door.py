"""Connections are let in as fast as they are served, and never not at all."""

from __future__ import annotations

import asyncio
import itertools
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from realtime import door
from realtime.door import BATCH, CALLS, Door

LIMIT = 10.0


async def until(holds: Callable[[], bool]) -> None:
    """Looked at in every turn of the loop."""
    async with asyncio.timeout(LIMIT):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0)


class House:
    """A door on a real port, who came in, and how many calls wait inside."""

    def __init__(self) -> None:
        self.inside: list[socket.socket] = []
        self.calls = 0
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=200)
        self.listening.setblocking(False)
        self.port = self.listening.getsockname()[1]

    def welcome(self, connection: socket.socket, address: tuple[str, int]) -> None:
        self.inside.append(connection)

    @contextmanager
    def visitors(self, count: int) -> Iterator[None]:
        found = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(count)]
        yield
        for one in [*found, *self.inside]:
            one.close()

    async def came(self, count: int) -> None:
        await until(lambda: len(self.inside) >= count)


def play(story: Callable[[House, Door], Awaitable[None]]) -> None:
    async def main() -> None:
        house = House()
        opened = Door(house.welcome, lambda: house.calls)
        opened.open([house.listening])
        try:
            await story(house, opened)
        finally:
            opened.close()

    asyncio.run(main())


def test_everybody_is_let_in_and_no_more_than_a_batch_at_once() -> None:
    async def story(house: House, opened: Door) -> None:
        with house.visitors(50):
            seen = [0]
            async with asyncio.timeout(LIMIT):
                while seen[-1] < 50:
                    await asyncio.sleep(0)
                    seen.append(len(house.inside))
            assert max(after - before for before, after in itertools.pairwise(seen)) <= BATCH

    play(story)


def test_while_calls_wait_for_threads_one_at_a_time_comes_in() -> None:
    async def story(house: House, opened: Door) -> None:
        house.calls = CALLS
        with house.visitors(20):
            seen = [0]
            async with asyncio.timeout(LIMIT):
                while seen[-1] < 20:
                    await asyncio.sleep(0)
                    seen.append(len(house.inside))
            assert max(after - before for before, after in itertools.pairwise(seen)) == 1

    play(story)


def test_a_loop_that_comes_late_is_busy_until_it_is_on_time_again() -> None:
    async def story(house: House, opened: Door) -> None:
        with house.visitors(1):
            await house.came(1)
            time.sleep(2 * door.LATE_SECONDS)  # noqa: ASYNC251 - the loop itself stands still
            await until(lambda: opened.busy)
        with house.visitors(1):
            await house.came(2)
            await until(lambda: not opened.busy)

    play(story)


def test_a_connection_that_cannot_be_served_is_closed_and_the_next_comes_in(expect_log: Any) -> None:
    expect_log("realtime.door", "could not be served")
    house_welcome = House.welcome
    failed: list[int] = []

    async def story(house: House, opened: Door) -> None:
        def welcome(connection: socket.socket, address: tuple[str, int]) -> None:
            if not failed:
                failed.append(1)
                raise RuntimeError
            house_welcome(house, connection, address)

        opened._welcome = welcome
        with socket.create_connection(("127.0.0.1", house.port)) as first:
            first.settimeout(LIMIT)
            assert await asyncio.to_thread(first.recv, 1) == b""
        with house.visitors(1):
            await house.came(1)

    play(story)


def test_a_closed_door_refuses() -> None:
    async def story(house: House, opened: Door) -> None:
        opened.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", house.port))

    play(story)
