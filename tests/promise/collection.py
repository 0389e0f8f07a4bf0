"""One subscription as its client shows it: what stands on the screen, told frame by frame (docs/wire.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.promise.ledger import ALWAYS
from tests.promise.published import KINDS, Row

Objects = dict[Any, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Floor:
    """When what was shown last held at the earliest: its own row so, and everything that it shows and needs."""

    row: float = ALWAYS
    all: float = ALWAYS


@dataclass
class Collection:
    local: str
    stream: str
    #: The client's own filter, as the wire has it.
    filter: Mapping[str, Any]
    shown: Objects = field(default_factory=dict)
    #: The snapshot that is coming in parts.
    staged: Objects | None = None
    channels: set[str] = field(default_factory=set)
    #: Answered completely on this connection, and not told since to take a new snapshot.
    whole: bool = False
    refused: str = ""
    #: By object: nothing older may follow.
    floors: dict[Any, Floor] = field(default_factory=dict)
    #: When the screen last became another one.
    changed: float = ALWAYS

    @property
    def building(self) -> Objects:
        return self.shown if self.staged is None else self.staged

    def opened(self) -> None:
        """A snapshot that was cut off is begun again, and nothing counts before the new connection's reply."""
        self.staged, self.channels, self.whole = None, set(), False

    def told_to_resync(self) -> None:
        self.whole = False

    def refuse(self, code: str, at: float) -> None:
        self._show({}, at)
        self.staged, self.channels, self.whole, self.refused = None, set(), False, code

    def answered(self, channels: list[str]) -> None:
        self.channels, self.refused = set(channels), ""

    def continued(self) -> None:
        self.staged, self.whole = None, True

    def finish(self, at: float) -> None:
        """The last part is here."""
        assert self.staged is not None
        staged, self.staged = self.staged, None
        self._show(staged, at)
        self.whole = True

    def put(self, data: dict[str, Any], at: float) -> None:
        if self.building.get(data["id"]) != data:
            self.building[data["id"]] = data
            self._altered(at)

    def remove(self, key: Any, at: float) -> None:
        if self.building.pop(key, None) is not None:
            self._altered(at)

    def passes(self, row: Row) -> bool:
        """Whether the row is one of those that the client asked for."""
        return all(_passes(row, KINDS[self.stream].names, word, value) for word, value in self.filter.items())

    def missing(self) -> Iterator[Any]:
        """What stands on the screen and not in the snapshot that is complete now."""
        assert self.staged is not None
        yield from self.shown.keys() - self.staged.keys()

    def _show(self, objects: Objects, at: float) -> None:
        if objects != self.shown:
            self.changed = at
        self.shown = objects

    def _altered(self, at: float) -> None:
        if self.staged is None:
            self.changed = at


def _passes(row: Row, names: Mapping[str, str], word: str, value: Any) -> bool:
    name, _, lookup = word.partition("__")
    stands = row[names[name]]
    match lookup:
        case "":
            return bool(stands == value)
        case "in":
            return stands in value
        case "isnull":
            return (stands is None) is value
    raise ValueError(f"the judge does not know the filter {word}")
