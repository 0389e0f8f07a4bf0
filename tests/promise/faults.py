"""What a fault is, and the list of those that are known; each kind stands in a file of its own idea."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

from tests.promise.crowd import Crowd
from tests.promise.site import PAIRS, Site

WITH_REDIS = tuple(pair for pair in PAIRS if pair.endswith("redis"))
ON_POSTGRESQL = tuple(pair for pair in PAIRS if pair.startswith("postgresql"))
ON_SQLITE = tuple(pair for pair in PAIRS if pair.startswith("sqlite"))


@dataclass
class Fault(ABC):
    """One fault. `chance` decides its details, `number` which of its variants: all come round."""

    site: Site
    crowd: Crowd
    chance: random.Random
    number: int
    #: How long the outage should last.
    seconds: float = 1.0
    #: What was done in detail, for the report.
    detail: str = ""
    #: Clients that must have been shown the door at the end.
    ended: list[str] = field(default_factory=list)

    pairs: ClassVar[tuple[str, ...]] = PAIRS
    #: Seconds of the outage, at least and at most.
    lasts: ClassVar[tuple[float, float]] = (0.3, 1.5)
    #: Whether writers may be refused meanwhile: the database itself is what fails.
    stops_writers: ClassVar[bool] = False
    #: Whether nobody may write while it is mended.
    mended_in_peace: ClassVar[bool] = False

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """While all is well and nobody writes."""

    @abstractmethod
    def begin(self) -> None:
        """From here on it is broken."""

    @abstractmethod
    def end(self) -> None:
        """Mended when this returns."""

    def tidy(self) -> None:  # noqa: B027 - most need nothing
        """After the judgement."""

    def variant(self, *choices: str) -> str:
        chosen = choices[self.number % len(choices)]
        self.detail = chosen
        return chosen


KINDS: dict[str, type[Fault]] = {}
Kind = TypeVar("Kind", bound=type[Fault])


def fault(name: str) -> Callable[[Kind], Kind]:
    def register(kind: Kind) -> Kind:
        assert name not in KINDS
        KINDS[name] = kind
        return kind

    return register


def kinds_of(pair: str) -> list[str]:
    """The names of what can happen to this pair."""
    from tests.promise import (  # noqa: F401  they register themselves
        faults_database,
        faults_lines,
        faults_points,
        faults_processes,
        faults_redis,
        faults_rights,
    )

    return [name for name, kind in KINDS.items() if pair in kind.pairs]
