"""What a client received, raw: every frame's text with the time it came, and where connections began and ended."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

Wanted = dict[str, tuple[str, dict[str, object]]]


class Mark(Enum):
    FRAME = "frame"
    OPENED = "opened"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Received:
    """`at` is the wall clock's, which the database's commits are told by too."""

    at: float
    mark: Mark
    text: str = ""


Record = Iterable[Received]
