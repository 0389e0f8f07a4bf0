"""Which objects a subscription wants: a list of alternatives, each a list of conditions, and its name, the channel.

The same filter is a query on the database side (`routers.queryset_for`); both must say the same of every row.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import operator
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from operator import is_
from typing import Any
from urllib.parse import quote

from .change import Change, State
from .errors import BadFilter, TooMany
from .kinds import STRANGE, Kind
from .protocol import duration_text

__all__ = ["LOOKUPS", "Condition", "Filter", "Kind", "parse_conditions", "typed"]

LOOKUPS = ("exact", "in", "lt", "lte", "gt", "gte", "contains", "isnull")
# Longer names become a digest: every frame of the channel carries its name.
NAME_LENGTH = 200
# An OR of more than this belongs into one `in` list, which costs one dictionary entry per value.
ALTERNATIVES = 1000

_RANGES = {"lt": operator.lt, "lte": operator.le, "gt": operator.gt, "gte": operator.ge}


@dataclass(frozen=True, slots=True)
class Condition:
    """`value` is already comparable (`Kind.parse`); of "in" a tuple, which may hold None: null is an ordinary value."""

    field: str
    lookup: str
    value: Any

    def passes(self, value: Any) -> bool:
        match self.lookup:
            case "exact":
                return value is not None and bool(value == self.value)
            case "in":
                return value in self.value
            case "isnull":
                return (value is None) is self.value
            case "contains":
                return value is not None and self.value in value
            case _:
                return value is not None and bool(_RANGES[self.lookup](value, self.value))

    @property
    def name(self) -> str:
        match self.lookup:
            case "exact":
                return f"{self.field}:{_text(self.value)}"
            case "in":
                return f"{self.field}__in:{','.join(_text(member) for member in self.value)}"
            case _:
                return f"{self.field}__{self.lookup}:{_text(self.value)}"

    def canonical(self) -> Condition:
        """One form for each meaning, so that equal filters share a channel: null is isnull, a list is sorted and holds
        nothing twice, a list of one is equality."""
        if self.lookup == "exact" and self.value is None:
            return Condition(self.field, "isnull", True)
        if self.lookup == "in":
            members = tuple(sorted(set(self.value), key=_text))
            if len(members) == 1:
                return Condition(self.field, "exact", members[0]).canonical()
            return Condition(self.field, "in", members)
        return self


@dataclass(frozen=True)
class Filter:
    """An OR of ANDs. ((),) lets everything pass, () nothing. Build it from these two; the methods keep it canonical."""

    alternatives: tuple[tuple[Condition, ...], ...]

    @classmethod
    def everything(cls) -> Filter:
        return cls(((),))

    @classmethod
    def nothing(cls) -> Filter:
        return cls(())

    def narrowed(self, conditions: Iterable[Condition]) -> Filter:
        """What passes this filter and all of these conditions."""
        more = tuple(conditions)
        return self.either([more]) if more else self

    def either(self, contexts: Iterable[Iterable[Condition]]) -> Filter:
        """What passes this filter and at least one of these contexts; no context at all lets nothing pass.

        TooMany if that has more alternatives than are worth looking up.
        """
        more = [tuple(context) for context in contexts]
        if len(self.alternatives) * len(more) > ALTERNATIVES:
            raise TooMany(f"A filter may have {ALTERNATIVES} alternatives.")
        return Filter(_canonical(old + new for old in self.alternatives for new in more))

    def name(self, stream: str) -> str:
        """The channel: equal for equal filters, different for different ones."""
        if not self.alternatives:
            return f"{stream}|none"
        name = f"{stream}|{self._name}"
        if len(name) > NAME_LENGTH:
            # "~" begins no field's name, so a digest is never taken for a filter.
            return f"{stream}|~{hashlib.sha256(self._name.encode()).hexdigest()[:40]}"
        return name

    @cached_property
    def _name(self) -> str:
        return "||".join(_alternative_name(alternative) for alternative in self.alternatives)

    def passes(self, values: State) -> bool:
        """Whether an object with these values (see `typed`) is wanted; None, no object, never is."""
        if values is None:
            return False
        return any(
            all(condition.passes(values.get(condition.field)) for condition in alternative)
            for alternative in self.alternatives
        )


def parse_conditions(
    args: Mapping[str, Any],
    allowed: Mapping[str, Sequence[str]],
    kinds: Mapping[str, Kind],
    *,
    limit: int = 100,
) -> tuple[Condition, ...]:
    """What a client asked for, `{"location": 3, "value__gt": 5}`, as conditions. Arguments the wire reserves are left
    out; anything else that is not allowed is BadFilter, which tells nothing about the fields there are."""
    return tuple(
        _parse(name, value, allowed, kinds, limit)
        for name, value in args.items()
        if name != "channel" and not name.startswith("_")
    )


def typed(change: Change, kinds: Mapping[str, Kind]) -> Change:
    """The change with comparable values in `now` and `before`. ValueError if they are not of these kinds, as when two
    versions of a program share a bus: the reader then takes the stream anew."""
    raw = change.now
    now = _typed(raw, kinds)
    # Most changes touch no filter's field: then what was before is what is now, and stays the same object.
    before = [now if state is raw else _typed(state, kinds) for state in change.before]
    if now is raw and all(map(is_, before, change.before)):
        return change
    return Change(
        change.stream,
        change.key,
        change.revision,
        change.action,
        change.data,
        now,
        tuple(before),
        change.id,
        change.type,
    )


def _typed(state: State, kinds: Mapping[str, Kind]) -> State:
    """The same object if all its values are comparable as they travel."""
    if state is None:
        return None
    found = state
    try:
        for name, kind in kinds.items():
            value = state[name]
            if value is not None and (parsed := kind.parser(kind, value)) is not value:
                if found is state:
                    found = dict(state)
                found[name] = parsed
    except KeyError:
        raise ValueError(f"no value for {name}") from None
    except STRANGE as error:
        raise ValueError(f"not a value of kind {kind.name}") from error
    return found if len(state) == len(kinds) else {name: found[name] for name in kinds}


def _parse(
    name: str, value: Any, allowed: Mapping[str, Sequence[str]], kinds: Mapping[str, Kind], limit: int
) -> Condition:
    field, lookup = name, "exact"
    if name not in allowed:
        field, _, lookup = name.rpartition("__")
        if lookup == "eq":
            # SwampDragon's word.
            lookup = "exact"
    if field not in allowed or lookup not in allowed[field] or lookup not in LOOKUPS:
        raise BadFilter
    kind = kinds[field]
    if lookup not in kind.lookups:
        raise BadFilter
    try:
        if lookup == "isnull":
            if not isinstance(value, bool):
                raise ValueError("not true or false")
            return Condition(field, lookup, value)
        if lookup == "in":
            if not isinstance(value, list | tuple):
                raise ValueError("not a list")
            if len(value) > limit:
                raise TooMany(f"A list in a filter may have {limit} values.")
            members = tuple(None if member is None else kind.parse(member) for member in value)
            return Condition(field, lookup, members).canonical()
        if lookup == "exact" and value is None:
            return Condition(field, lookup, None).canonical()
        return Condition(field, lookup, kind.parse(value))
    except ValueError:
        raise BadFilter("A value of this filter is not of its field's type.") from None


def _canonical(alternatives: Iterable[tuple[Condition, ...]]) -> tuple[tuple[Condition, ...], ...]:
    found: dict[str, tuple[Condition, ...]] = {}
    for alternative in alternatives:
        by_name = {condition.name: condition for condition in (member.canonical() for member in alternative)}
        if any(condition.lookup == "in" and not condition.value for condition in by_name.values()):
            # In an empty list is nothing.
            continue
        if not by_name:
            return ((),)
        conditions = tuple(by_name[name] for name in sorted(by_name))
        found[_alternative_name(conditions)] = conditions
    return tuple(found[name] for name in sorted(found))


def _alternative_name(conditions: tuple[Condition, ...]) -> str:
    return "|".join(condition.name for condition in conditions)


def _text(value: Any) -> str:
    """Quoted, so that no value can pretend to be a separator, a second condition, or null."""
    match value:
        case None:
            return "!null"
        case bool():
            return "true" if value else "false"
        case int():
            return int.__str__(value)  # nothing in it wants quoting
        case str():
            text = value
        case Decimal():
            # 1.0 and 1.00 are equal, so they have one name.
            text = format(value.normalize() if value else Decimal(0), "f")
        case dt.datetime():
            text = value.astimezone(dt.UTC).isoformat()
        case dt.date() | dt.time():
            text = value.isoformat()
        case dt.timedelta():
            text = duration_text(value)
        case float() | uuid.UUID():
            text = str(value)
        case _:
            raise TypeError(f"{type(value).__name__} is no value of a filter")
    return quote(text, safe=":+")
