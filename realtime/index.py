"""Which channels does an object with these values belong to? Looked up, so a change costs what it matches.

Alternatives that ask for equality are found in dictionaries (one per set of fields asked for), then those with a
range of one field by bisection or, with both ends, in a tree. Only conditions beyond these are tried, on what is left:
a range of a second field, `contains`, and "is not null".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from .filters import Condition, Filter
from .intervals import Bound, Intervals

C = TypeVar("C", bound=Hashable)
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


class FilterIndex(Generic[C]):
    """Of whatever stands for a channel: its name, or the channel itself."""

    def __init__(self) -> None:
        self._shapes: dict[Shape, dict[tuple[Any, ...], _Bucket[C]]] = {}
        self._places: dict[C, list[tuple[Shape, tuple[Any, ...], _Entry[C]]]] = {}

    def add(self, channel: C, filter: Filter) -> None:
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

    def remove(self, channel: C) -> None:
        for shape, key, entry in self._places.pop(channel, ()):
            buckets = self._shapes[shape]
            if buckets[key].discard(entry):
                del buckets[key]
                if not buckets:
                    del self._shapes[shape]

    def match(self, values: Values | None) -> set[C]:
        """The channels whose filter these values pass; none for None."""
        found: set[C] = set()
        if values is not None:
            for shape, buckets in self._shapes.items():
                bucket = buckets.get(tuple([values.get(field) for field in shape]))
                if bucket is not None:
                    for entry in bucket.plain:
                        found.add(entry.channel)
                    if bucket.conditional:
                        bucket.conditional.match(values, found)
        return found


class _Entry(Generic[C]):
    """One alternative: `bounds` are how a range of `field` is looked up, `rest` is tried on whatever was found."""

    __slots__ = ("channel", "field", "high", "low", "rest")

    def __init__(self, channel: C, conditions: tuple[Condition, ...]) -> None:
        self.channel = channel
        self.field, self.low, self.high = _range(conditions)
        looked_up = (self.low, self.high)
        self.rest = tuple(condition for condition in conditions if condition not in looked_up)


class _Bucket(Generic[C]):
    """Entries that agree in everything they ask equality of. Most ask nothing else."""

    __slots__ = ("conditional", "plain")

    def __init__(self) -> None:
        self.plain: set[_Entry[C]] = set()
        self.conditional: _Conditional[C] | None = None

    def add(self, entry: _Entry[C]) -> None:
        if not (entry.low or entry.high or entry.rest):
            self.plain.add(entry)
        else:
            if self.conditional is None:
                self.conditional = _Conditional()
            self.conditional.add(entry)

    def discard(self, entry: _Entry[C]) -> bool:
        """True when nothing is left."""
        if entry in self.plain:
            self.plain.discard(entry)
        elif self.conditional is not None and self.conditional.discard(entry):
            self.conditional = None
        return not self.plain and self.conditional is None


class _Conditional(Generic[C]):
    __slots__ = ("_intervals", "_sides", "_tried")

    def __init__(self) -> None:
        self._sides: dict[tuple[str, str], tuple[list[Any], list[_Entry[C]]]] = {}
        self._intervals: dict[str, Intervals[_Entry[C]]] = {}
        self._tried: set[_Entry[C]] = set()

    def add(self, entry: _Entry[C]) -> None:
        if entry.low and entry.high:
            intervals = self._intervals.setdefault(entry.field, Intervals())
            intervals.add(_bound(entry.low), _bound(entry.high), entry)
        elif side := entry.low or entry.high:
            bounds, entries = self._sides.setdefault((side.field, side.lookup), ([], []))
            place = bisect_right(bounds, side.value)
            bounds.insert(place, side.value)
            entries.insert(place, entry)
        else:
            self._tried.add(entry)

    def discard(self, entry: _Entry[C]) -> bool:
        """True when nothing is left."""
        if entry.low and entry.high:
            self._intervals[entry.field].discard(entry)
            if not self._intervals[entry.field]:
                del self._intervals[entry.field]
        elif side := entry.low or entry.high:
            bounds, entries = self._sides[side.field, side.lookup]
            place = entries.index(entry, bisect_left(bounds, side.value))
            del bounds[place], entries[place]
            if not bounds:
                del self._sides[side.field, side.lookup]
        else:
            self._tried.discard(entry)
        return not (self._sides or self._intervals or self._tried)

    def match(self, values: Values, found: set[C]) -> None:
        for (field, lookup), (bounds, entries) in self._sides.items():
            value = values.get(field)
            if value is not None:
                bisect, before = _ADMITTED[lookup]
                place = bisect(bounds, value)
                _try(entries[:place] if before else entries[place:], values, found)
        for field, intervals in self._intervals.items():
            value = values.get(field)
            if value is not None:
                _try(intervals.at(value), values, found)
        if self._tried:
            _try(self._tried, values, found)


def _try(entries: Iterable[_Entry[C]], values: Values, found: set[C]) -> None:
    for entry in entries:
        if not entry.rest or all(condition.passes(values.get(condition.field)) for condition in entry.rest):
            found.add(entry.channel)


def _range(conditions: Iterable[Condition]) -> tuple[str, Condition | None, Condition | None]:
    """The field by whose range these are looked up, with its lower and upper bound; one with both, if there is any."""
    lows = {condition.field: condition for condition in conditions if condition.lookup in ("gt", "gte")}
    highs = {condition.field: condition for condition in conditions if condition.lookup in ("lt", "lte")}
    field = next(iter([*(lows.keys() & highs.keys()), *lows, *highs]), "")
    return field, lows.get(field), highs.get(field)


def _bound(condition: Condition) -> Bound:
    return condition.value, {"gt": 1, "lt": -1}.get(condition.lookup, 0)


def _split(conditions: tuple[Condition, ...]) -> tuple[Shape, list[tuple[Any, ...]], tuple[Condition, ...]]:
    """Equalities as the key of a bucket (one list of values makes several keys), and the rest."""
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
