"""Answers that are looked up together: what is shared, and what one that fails or hangs costs the others."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError

from realtime.together import MOST, WAIT_SECONDS, Ended, Together

LIMIT = 10


class Lookups:
    """Answers every key with itself in capitals; the test says what goes wrong."""

    def __init__(self) -> None:
        self.pool = ThreadPoolExecutor(4)
        self.batches: list[list[str]] = []
        self.alone: list[str] = []
        self.hold: dict[str, threading.Event] = {}
        self.errors: dict[str, Exception] = {}
        self.only_alone: set[str] = set()

    def answer_many(self, keys: Sequence[str]) -> dict[str, str]:
        self.batches.append(list(keys))
        for key in keys:
            if key in self.hold:
                assert self.hold[key].wait(LIMIT)
            if key in self.errors:
                raise self.errors[key]
        return {key: key.upper() for key in keys if key not in self.only_alone}

    def answer(self, key: str) -> str:
        self.alone.append(key)
        if key in self.errors:
            raise self.errors[key]
        return key.upper()


@pytest.fixture
def lookups() -> Lookups:
    return Lookups()


def another(answer: str) -> str:
    return f"{answer} for another"


def on_a_loop(test: Callable[[Together[str], Lookups], Awaitable[None]]) -> Callable[[Lookups], None]:
    def run(lookups: Lookups) -> None:
        async def whole() -> None:
            async with asyncio.timeout(LIMIT):
                await test(Together(lookups.pool.submit, lookups.answer_many, lookups.answer, another), lookups)

        try:
            asyncio.run(whole())
        finally:
            for event in lookups.hold.values():
                event.set()
            lookups.pool.shutdown()

    return run


@on_a_loop
async def test_what_is_asked_in_one_turn_is_looked_up_at_once(asking: Together[str], lookups: Lookups) -> None:
    assert await asyncio.gather(*(asking.ask(key) for key in "abc")) == ["A", "B", "C"]
    assert lookups.batches == [["a", "b", "c"]]
    assert not lookups.alone


@on_a_loop
async def test_what_is_asked_during_a_look_up_gets_one_of_its_own(asking: Together[str], lookups: Lookups) -> None:
    lookups.hold["a"] = threading.Event()
    first = asking.ask("a")
    while not lookups.batches:  # noqa: ASYNC110
        await asyncio.sleep(0)
    second = asking.ask("a")
    lookups.hold["a"].set()
    assert await asyncio.gather(first, second) == ["A", "A"]
    assert lookups.batches == [["a"], ["a"]]


@on_a_loop
async def test_who_asks_the_same_at_once_shares_the_look_up_and_nothing_else(
    asking: Together[str], lookups: Lookups
) -> None:
    assert await asyncio.gather(asking.ask("a"), asking.ask("b"), asking.ask("a")) == ["A", "B", "A for another"]
    assert lookups.batches == [["a", "b"]]


@on_a_loop
async def test_a_look_up_that_hangs_keeps_only_its_own_waiting(asking: Together[str], lookups: Lookups) -> None:
    lookups.hold["a"] = threading.Event()
    hanging = asking.ask("a")
    while not lookups.batches:  # noqa: ASYNC110
        await asyncio.sleep(0)
    assert await asyncio.wait_for(asking.ask("b"), LIMIT) == "B"
    assert not hanging.done()


@on_a_loop
async def test_no_look_up_is_for_more_than_a_statement_takes(asking: Together[str], lookups: Lookups) -> None:
    keys = [f"k{number}" for number in range(2 * MOST + 1)]
    assert await asyncio.gather(*(asking.ask(key) for key in keys)) == [key.upper() for key in keys]
    assert sorted(len(batch) for batch in lookups.batches) == [1, MOST, MOST]


@on_a_loop
async def test_one_that_fails_does_not_fail_the_others(asking: Together[str], lookups: Lookups) -> None:
    lookups.errors["b"] = ValueError("b")
    found = await asyncio.gather(*(asking.ask(key) for key in "abc"), return_exceptions=True)
    assert found[0] == "A" and found[2] == "C"
    assert isinstance(found[1], ValueError)


@on_a_loop
async def test_a_database_that_is_away_is_asked_once_for_all(asking: Together[str], lookups: Lookups) -> None:
    lookups.errors["a"] = OperationalError("away")
    found = await asyncio.gather(*(asking.ask(key) for key in "abc"), return_exceptions=True)
    assert all(isinstance(each, OperationalError) for each in found)
    assert not lookups.alone


@on_a_loop
async def test_what_cannot_be_told_together_is_asked_alone(asking: Together[str], lookups: Lookups) -> None:
    lookups.only_alone = {"b"}
    assert await asyncio.gather(asking.ask("a"), asking.ask("b")) == ["A", "B"]
    assert lookups.alone == ["b"]


@on_a_loop
async def test_who_gives_up_is_not_looked_up(asking: Together[str], lookups: Lookups) -> None:
    first, second = asking.ask("a"), asking.ask("b")
    first.cancel()
    assert await second == "B"
    assert lookups.batches == [["b"]]


@on_a_loop
async def test_who_asks_when_the_threads_have_stopped_is_told(asking: Together[str], lookups: Lookups) -> None:
    lookups.pool.shutdown()
    with pytest.raises(Ended):
        await asking.ask("a")


@on_a_loop
async def test_who_waits_when_the_threads_stop_is_told(asking: Together[str], lookups: Lookups) -> None:
    for key in "abcd":
        lookups.hold[key] = threading.Event()
    waiting = []
    for key in "abcde":
        waiting.append(asking.ask(key))
        while len(lookups.batches) < len(waiting) < 5:  # noqa: ASYNC110
            await asyncio.sleep(0)
    await asyncio.sleep(2 * WAIT_SECONDS)
    lookups.pool.shutdown(wait=False, cancel_futures=True)
    with pytest.raises(Ended):
        await waiting[-1]
