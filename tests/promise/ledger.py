"""The ledger: what was committed, when, in which order; told by an audit of its own and never by the journal.

Time is the axis. A version of a row holds from its commit to the next commit of the same row; where two rows make one
object, it had a state while both held. The order of one row's versions is certain. `slack` is how far the commits of
two rows may be from the order in which others saw them: none on SQLite, which has one writer at a time; on PostgreSQL
the commit's time is taken a moment before it is visible.
"""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.promise.published import KINDS, Kind, Row, print_of

ALWAYS = float("-inf")
STILL = float("inf")


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the audit: `row` is what the write left, None if that is nothing."""

    at: float
    order: int
    transaction: str
    table: str
    key: str
    row: Row | None


@dataclass(frozen=True, slots=True)
class Span:
    """A time during which something held."""

    start: float
    end: float

    def met(self, other: Span) -> Span:
        return Span(max(self.start, other.start), min(self.end, other.end))


FOREVER = Span(ALWAYS, STILL)


@dataclass(slots=True)
class Version:
    span: Span
    row: Row | None
    #: Of its published columns, by the columns asked for.
    prints: dict[int, str] = field(default_factory=dict)

    def print_of(self, names: Mapping[str, str]) -> str:
        found = self.prints.get(id(names))
        if found is None:
            assert self.row is not None
            found = self.prints[id(names)] = print_of(self.row, names)
        return found


class Ledger:
    def __init__(self, slack: float = 0.0) -> None:
        self.slack = slack
        #: When the newest commit was.
        self.last = ALWAYS
        #: Grows whenever something is added to a table: whoever derives from it looks here.
        self.generations: dict[str, int] = defaultdict(int)
        self._entries: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        self._versions: dict[tuple[str, str], list[Version]] = {}
        self._starts: dict[tuple[str, str], list[float]] = {}

    def add(self, entries: Iterable[Entry]) -> None:
        """In any order. Of several writes of a row in one transaction only the last was ever to be seen."""
        touched: set[tuple[str, str]] = set()
        for entry in entries:
            place = (entry.table, entry.key)
            self._entries[place].append(entry)
            touched.add(place)
            self.generations[entry.table] += 1
            self.last = max(self.last, entry.at)
        for place in touched:
            self._arrange(place)

    def keys(self, table: str) -> list[str]:
        return [key for where, key in self._entries if where == table]

    def versions(self, table: str, key: str, since: float = ALWAYS) -> Iterator[Version]:
        """Of one row, those that were not over at `since`, oldest first; before the first there was none."""
        place = (table, key)
        versions = self._versions.get(place)
        if versions is None:
            yield Version(FOREVER, None)
            return
        first = max(0, bisect.bisect_right(self._starts[place], since) - 1)
        yield from versions[first:]

    def now(self, table: str, key: str) -> Row | None:
        versions = self._versions.get((table, key))
        return versions[-1].row if versions else None

    # -- objects -----------------------------------------------------------------------------------------------------

    def states(self, stream: str, data: Mapping[str, Any], since: float = ALWAYS) -> Iterator[tuple[Span, Version]]:
        """When the object was as `data` shows it, with the version of its own row then; those are left out that were
        over at `since`. Nothing: never."""
        kind = KINDS[stream]
        if data.keys() != kind.wire_names or data["_type"] != stream:
            return
        own = print_of({name: data[name] for name in kind.names})
        for version in self.versions(kind.table, str(data["id"]), since):
            if version.row is not None and version.print_of(kind.names) == own:
                for span in self._with_parts(kind, version, data):
                    yield span, version

    def objects(self, stream: str) -> dict[Any, tuple[dict[str, Any], Row]]:
        """By id: the object as it is now, with its own row."""
        kind = KINDS[stream]
        found = {}
        for key in self.keys(kind.table):
            row = self.now(kind.table, key)
            if row is not None:
                data = {"_type": stream, **{name: row[column] for name, column in kind.names.items()}}
                for part in kind.parts:
                    of = row[part.column]
                    other = None if of is None else self.now(part.table, str(of))
                    data |= {name: None if other is None else other[column] for name, column in part.names.items()}
                found[row["id"]] = (data, row)
        return found

    def meets(self, one: Span, other: Span) -> bool:
        """Whether both may have held at the same time."""
        met = one.met(other)
        return met.start < met.end + self.slack

    def _with_parts(self, kind: Kind, version: Version, data: Mapping[str, Any]) -> Iterator[Span]:
        spans = [version.span]
        for part in kind.parts:
            assert version.row is not None
            of = version.row[part.column]
            wanted = print_of({name: data[name] for name in part.names})
            if of is None:
                if any(data[name] is not None for name in part.names):
                    return
                continue
            fitting = [
                other.span
                for other in self.versions(part.table, str(of), version.span.start - self.slack)
                if other.row is not None and other.print_of(part.names) == wanted
            ]
            spans = [one.met(span) for one in spans for span in fitting if self.meets(one, span)]
        yield from spans

    def _arrange(self, place: tuple[str, str]) -> None:
        entries = sorted(self._entries[place], key=lambda entry: (entry.at, entry.order))
        last = [
            entry
            for n, entry in enumerate(entries)
            if n + 1 == len(entries) or entries[n + 1].transaction != entry.transaction
        ]
        starts = [ALWAYS, *(entry.at for entry in last)]
        ends = [*starts[1:], STILL]
        rows = [None, *(entry.row for entry in last)]
        # What was printed of a version before is kept: most of them stay as they are.
        known = {version.span.start: version for version in self._versions.get(place, ())}
        self._versions[place] = [
            Version(Span(start, end), row, known[start].prints if start in known and known[start].row is row else {})
            for start, end, row in zip(starts, ends, rows, strict=True)
        ]
        self._starts[place] = starts
