"""What a filter's values may be: one kind per type of model field, from the wire's form to something comparable."""

from __future__ import annotations

import datetime as dt
import math
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

EQUALITY = ("exact", "in", "isnull")
RANGES = ("lt", "lte", "gt", "gte")

# Databases order text by a collation and Python by code points, so ranges are for numbers and times only.
LOOKUPS_BY_KIND: dict[str, tuple[str, ...]] = {
    "boolean": EQUALITY,
    "integer": EQUALITY + RANGES,
    "float": EQUALITY + RANGES,
    "decimal": EQUALITY + RANGES,
    "text": (*EQUALITY, "contains"),
    "datetime": EQUALITY + RANGES,
    "date": EQUALITY + RANGES,
    "time": EQUALITY + RANGES,
    "duration": EQUALITY + RANGES,
    "uuid": EQUALITY,
}

# A filter's text is part of a channel's name and of every comparison; nobody types more into a search box.
TEXT_LENGTH = 1000

# What a value of another kind may come to.
STRANGE = (TypeError, OverflowError, InvalidOperation)

_DURATION = re.compile(r"([-+]?)P(?:(\d{1,9})D)?(?:T(?:(\d{1,9})H)?(?:(\d{1,9})M)?(?:(\d{1,9})(?:\.(\d{1,6}))?S)?)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_TIME = re.compile(r"\d\d:\d\d(:\d\d(\.\d{1,6})?)?")
_DATETIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d:?\d\d(:\d\d)?)")
_UUID = re.compile(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")
_NUMBER = re.compile(r"[-+]?\d{1,100}(\.\d{1,100})?")


@dataclass(frozen=True)
class Kind:
    """The type of one filter field, with the bounds of its column (of durations in microseconds): a value outside them
    cannot be there, and a database driver may stumble over it."""

    name: str
    minimum: int | None = None
    maximum: int | None = None
    # Decimal columns: places behind the point.
    places: int | None = None
    # Text columns: the longest value.
    length: int | None = None
    # `parse` without its care for errors, looked up once: every change of a model has a value for each of its kinds.
    # Raises what is in `STRANGE` besides ValueError.
    parser: Callable[[Kind, Any], Any] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.name not in _PARSERS:
            raise ValueError(f"there is no kind {self.name!r}")
        object.__setattr__(self, "parser", _PARSERS[self.name])

    @property
    def lookups(self) -> tuple[str, ...]:
        return LOOKUPS_BY_KIND[self.name]

    def parse(self, value: Any) -> Any:
        """A comparable, hashable value; ValueError if this is not one of this kind. Null is no value of any kind."""
        try:
            return self.parser(self, value)
        except STRANGE as error:
            raise ValueError(f"not a value of kind {self.name}") from error


def _boolean(kind: Kind, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("not true or false")
    return value


def _integer(kind: Kind, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("not an integer")
    _bound(kind, value)
    return value


def _float(kind: Kind, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a number")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    _bound(kind, number)
    # Minus zero equals zero, so it gets the same name.
    return number + 0.0


def _decimal(kind: Kind, value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise ValueError("not a number")
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise ValueError("not a decimal number")
    number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise ValueError("not a finite number")
    if kind.places is not None and number != round(number, kind.places):
        # A database rounds such a value to its column's places, and Python does not: they would disagree.
        raise ValueError("too many places")
    _bound(kind, number)
    return number


def _bound(kind: Kind, number: int | float | Decimal) -> None:
    if (kind.minimum is not None and number < kind.minimum) or (kind.maximum is not None and number > kind.maximum):
        raise ValueError("out of bounds")


def _text(kind: Kind, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")
    if len(value) > (kind.length or TEXT_LENGTH):
        raise ValueError("too long")
    if "\0" in value:
        raise ValueError("holds NUL")
    value.encode()
    return value


def _datetime(kind: Kind, value: Any) -> dt.datetime:
    moment = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(_shaped(_DATETIME, value))
    if moment.utcoffset() is None:
        raise ValueError("a date-time needs an offset")
    return moment.astimezone(dt.UTC)


def _date(kind: Kind, value: Any) -> dt.date:
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    return dt.date.fromisoformat(_shaped(_DATE, value))


def _time(kind: Kind, value: Any) -> dt.time:
    moment = value if isinstance(value, dt.time) else dt.time.fromisoformat(_shaped(_TIME, value))
    if moment.tzinfo is not None:
        raise ValueError("a time of day has no offset")
    return moment


def _duration(kind: Kind, value: Any) -> dt.timedelta:
    if isinstance(value, dt.timedelta):
        return _bounded(kind, value)
    found = _DURATION.fullmatch(value)
    if found is None or value[-1] in "PT":
        raise ValueError("not an ISO 8601 duration")
    sign, days, hours, minutes, seconds, fraction = found.groups("0")
    length = dt.timedelta(
        days=int(days),
        hours=int(hours),
        minutes=int(minutes),
        seconds=int(seconds),
        microseconds=int(fraction.ljust(6, "0")),
    )
    return _bounded(kind, -length if sign == "-" else length)


def _bounded(kind: Kind, length: dt.timedelta) -> dt.timedelta:
    _bound(kind, length // dt.timedelta(microseconds=1))
    return length


def _uuid(kind: Kind, value: Any) -> uuid.UUID:
    return value if isinstance(value, uuid.UUID) else uuid.UUID(_shaped(_UUID, value))


def _shaped(shape: re.Pattern[str], value: Any) -> str:
    """Python's own parsers take more forms than the wire has."""
    if not isinstance(value, str) or not shape.fullmatch(value):
        raise ValueError("not in the form of this kind")
    return value


_PARSERS: dict[str, Callable[[Kind, Any], Any]] = {
    "boolean": _boolean,
    "integer": _integer,
    "float": _float,
    "decimal": _decimal,
    "text": _text,
    "datetime": _datetime,
    "date": _date,
    "time": _time,
    "duration": _duration,
    "uuid": _uuid,
}
