"""Which channels does an object with these values belong to? Looked up, so a change costs what it matches.

Alternatives that ask for equality are found in dictionaries (one per set of fields asked for), ranges by bisection,
and only conditions that follow after those are tried one by one. A two-sided range is bisected on one side.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .filters import Condition, Filter

Values = Mapping[str, Any]
# The fields that an alternative asks equality of, sorted.
Shape = tuple[str, ...]

# Which part of the sorted bounds admits a value: those before (True) or from (False) the bisected place on.
_ADMITTED: dict[str, tuple[Callable[[list[Any], Any], int], bool]] = {
    "gt": (bisect_left, True),
    "gte": (bisect_right, True),
    "lt": (bisect_right, False),
    "lte": (bisect_left, False),
}


class FilterIndex:
    def __init__(self) -> None:
        self._shapes: dict[Shape, dict[tuple[Any, ...], _Bucket]] = {}
        self._places: dict[str, list[tuple[Shape, tuple[Any, ...], _Entry]]] = {}

    def add(self, channel: str, filter: Filter) -> None:
        """Adding a channel that is there already changes nothing: its name says its filter."""
        if channel in self._places:
            return
        places = self._places[channel] = []
        for alternative in filter.alternatives:
            shape, keys, rest = _split(alternative)
            for key in keys:
                entry = _Entry(channel, rest)
                self._shapes.setdefault(shape, {}).setdefault(key, _Bucket()).add(entry)
                places.append((shape, key, entry))

    def remove(self, channel: str) -> None:
        for shape, key, entry in self._places.pop(channel, ()):
            buckets = self._shapes[shape]
            if buckets[key].discard(entry):
                del buckets[key]
                if not buckets:
                    del self._shapes[shape]

    def match(self, values: Values | None) -> set[str]:
        """The channels whose filter these values pass; none for None."""
        found: set[str] = set()
        if values is not None:
            for shape, buckets in self._shapes.items():
                bucket = buckets.get(tuple([values.get(field) for field in shape]))
                if bucket is not None:
                    bucket.match(values, found)
        return found


class _Entry:
    __slots__ = ("channel", "rest")

    def __init__(self, channel: str, rest: tuple[Condition, ...]) -> None:
        self.channel = channel
        self.rest = rest


class _Bucket:
    """Entries that agree in everything they ask equality of."""

    __slots__ = ("_all", "_ranges", "_tried")

    def __init__(self) -> None:
        self._all: set[_Entry] = set()
        self._ranges: dict[tuple[str, str], tuple[list[Any], list[_Entry]]] = {}
        self._tried: set[_Entry] = set()

    def add(self, entry: _Entry) -> None:
        if not entry.rest:
            self._all.add(entry)
            return
        first = entry.rest[0]
        if first.lookup not in _ADMITTED:
            self._tried.add(entry)
            return
        bounds, entries = self._ranges.setdefault((first.field, first.lookup), ([], []))
        place = bisect_right(bounds, first.value)
        bounds.insert(place, first.value)
        entries.insert(place, entry)

    def discard(self, entry: _Entry) -> bool:
        """True when nothing is left."""
        if not entry.rest or entry.rest[0].lookup not in _ADMITTED:
            self._all.discard(entry)
            self._tried.discard(entry)
        else:
            first = entry.rest[0]
            bounds, entries = self._ranges[first.field, first.lookup]
            place = entries.index(entry, bisect_left(bounds, first.value))
            del bounds[place], entries[place]
            if not bounds:
                del self._ranges[first.field, first.lookup]
        return not (self._all or self._ranges or self._tried)

    def match(self, values: Values, found: set[str]) -> None:
        for entry in self._all:
            found.add(entry.channel)
        for (field, lookup), (bounds, entries) in self._ranges.items():
            value = values.get(field)
            if value is None:
                continue
            bisect, before = _ADMITTED[lookup]
            place = bisect(bounds, value)
            _try(entries[:place] if before else entries[place:], 1, values, found)
        if self._tried:
            _try(list(self._tried), 0, values, found)


def _try(entries: Sequence[_Entry], first: int, values: Values, found: set[str]) -> None:
    for entry in entries:
        if all(condition.passes(values.get(condition.field)) for condition in entry.rest[first:]):
            found.add(entry.channel)


def _split(conditions: tuple[Condition, ...]) -> tuple[Shape, list[tuple[Any, ...]], tuple[Condition, ...]]:
    """Equalities as the key of a bucket (one list of values makes several keys), then ranges, then the rest."""
    equal: dict[str, Sequence[Any]] = {}
    rest: list[Condition] = []
    several = False
    for condition in conditions:
        members = _members(condition)
        if members is None or condition.field in equal or (several and len(members) > 1):
            rest.append(condition)
        else:
            equal[condition.field] = members
            several = several or len(members) > 1
    shape = tuple(sorted(equal))
    keys: list[tuple[Any, ...]] = [()]
    for field in shape:
        keys = [(*key, member) for key in keys for member in equal[field]]
    rest.sort(key=lambda condition: condition.lookup not in _ADMITTED)
    return shape, keys, tuple(rest)


def _members(condition: Condition) -> Sequence[Any] | None:
    match condition.lookup:
        case "exact":
            return (condition.value,)
        case "in":
            members: tuple[Any, ...] = condition.value
            return members
        case "isnull" if condition.value:
            return (None,)
        case _:
            return None
