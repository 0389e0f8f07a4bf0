"""What every scenario is: opened once, then asked to measure one server after the other."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

from benchmarks import machine, place
from benchmarks.servers import OURS, PACE, Running, started
from tests import services

# Figures by the name of what was measured.
Figures = dict[str, dict[str, Any]]
DRAIN = """
from realtime.relay import Relay
relay = Relay()
while relay.step():
    pass
"""
Measure = Callable[[str], Figures]


class Scenario(ABC):
    """`key` is its word on the command line, `records` the names under which its figures are kept."""

    key: str
    title: str
    records: tuple[str, ...]

    def servers(self) -> Sequence[str]:
        """Those it knows how to measure."""
        return list(PACE)

    def records_of(self, server: str) -> tuple[str, ...]:
        """Which of its names this server gets."""
        return self.records

    def turns(self, server: str, wanted: int) -> int:
        """How many of the turns that are wanted this one gets."""
        return wanted

    @abstractmethod
    def seconds(self, server: str) -> float:
        """About how long one measurement takes, for the remaining time that is shown."""

    @abstractmethod
    def open(self, servers: Sequence[str], quick: bool) -> AbstractContextManager[Measure]:
        """What is started once; measuring happens inside."""


@contextlib.contextmanager
def surroundings(postgres: bool = False, redis: bool = True) -> Iterator[tuple[dict[str, str], str]]:
    """Marshlight's own place on the load's cores, and a token of it; its variables say where Redis is."""
    with machine.on(machine.LOAD_CORES), ExitStack() as stack:
        variables = {}
        if postgres:
            variables["DATABASE_URL"] = stack.enter_context(services.running(services.Postgres())).url
        if redis:
            variables["REDIS_URL"] = stack.enter_context(services.running(services.Redis())).url
        env = stack.enter_context(place.place(**variables))
        key = place.token(env)
        if redis:
            # Whoever runs without a relay is told of no journal that waits.
            place.manage(env, "shell", "-v0", "-c", DRAIN)
        yield env, key


@contextlib.contextmanager
def all_started(servers: Sequence[str], *options: str) -> Iterator[dict[str, Running]]:
    """Every one of them, on SQLite and Redis where it is ours; they idle while another one is measured."""
    with surroundings() as (env, key), ExitStack() as stack:
        yield {
            server: stack.enter_context(
                started(server, env["REDIS_URL"], env, key, *(options if server == OURS else ()))
            )
            for server in servers
        }
