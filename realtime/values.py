"""Old column values, as the triggers kept them, made equal to what the ORM would have shown.

Both ways end in wire form (`fields.publish_value`), so that a filter judges the past and the present alike. What the
databases keep differs: SQLite has booleans as 1, UUIDs without dashes, naive UTC, reals as text, durations in
microseconds; PostgreSQL has what `to_jsonb` writes. Field types that are not in `KINDS` may neither be filtered by nor
be a key.
"""

from __future__ import annotations

import datetime
import decimal
import json
import math
import uuid
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cache
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.models import Field, ForeignKey, JSONField, Model
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime, parse_duration, parse_time

from realtime.fields import publish_value

# SQLite keeps decimals as floating point, of which Django too believes 15 digits.
_SQLITE_DECIMAL = decimal.Context(prec=15)


def to_wire(model: type[Model], state: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A state from the journal (column → kept value) by field name, in wire form; None stays None.

    Columns that the model no longer has are left out: a migration since then has made the stream resync anyway.
    """
    if state is None:
        return None
    by_column = _columns(model)
    return {
        by_column[column].name: _wire(_kept(by_column[column], raw))
        for column, raw in state.items()
        if column in by_column
    }


def wire_values(instance: Model, columns: Iterable[str]) -> dict[str, Any]:
    """The same fields of an instance, by field name, in the same form."""
    by_column = _columns(type(instance))
    return {by_column[c].name: _wire(_present(by_column[c], instance)) for c in columns if c in by_column}


@cache
def _columns(model: type[Model]) -> dict[str, Field[Any, Any]]:
    return {str(field.column): field for field in model._meta.concrete_fields}


def key_value(model: type[Model], raw: Any) -> Any:
    """The primary key, as Python, that a row of the journal means."""
    return _kept(model._meta.pk, raw)


def key_text(model: type[Model], raw: Any) -> str:
    """The key as all parts of the program write it; the databases write UUIDs differently."""
    return str(key_value(model, raw))


def unsupported(field: Field[Any, Any]) -> str | None:
    """Why old values of this field cannot be compared with new ones; None if they can."""
    target = _target(field)
    if _kind(target) not in KINDS:
        return (
            f"{_kind(target) or type(target).__name__} is not among the field types whose old values can be read back"
        )
    if hasattr(target, "from_db_value") and not isinstance(target, JSONField):
        return f"{type(target).__name__} converts what the database holds in its own way"
    return None


# From the journal


def _kept(field: Field[Any, Any], raw: Any) -> Any:
    target = _target(field)
    if raw is None:
        return None
    try:
        return KINDS[_kind(target)](target, raw)
    except (ValueError, TypeError, ArithmeticError, KeyError):
        # A value that only raw SQL can write, such as a date at infinity. No filter ever matched it.
        return None


def _decimal(field: Any, raw: Any) -> Decimal | None:
    if isinstance(raw, str) or _sqlite():
        number = _SQLITE_DECIMAL.create_decimal_from_float(float(raw))
    else:
        number = Decimal(raw)
    return _scaled(field, number)


def _scaled(field: Any, number: Decimal) -> Decimal:
    return number.quantize(Decimal(1).scaleb(-field.decimal_places), context=field.context)


def _datetime(field: Any, raw: Any) -> datetime.datetime | None:
    value = parse_datetime(str(raw))
    if value is not None and settings.USE_TZ and timezone.is_naive(value):
        # Naive here means the connection's zone (UTC); the field's own `to_python` would take it for local time.
        value = timezone.make_aware(value, connections["default"].timezone)
    return value


def _duration(field: Any, raw: Any) -> datetime.timedelta | None:
    return datetime.timedelta(microseconds=raw) if isinstance(raw, int) else parse_duration(raw)


def _json(field: Any, raw: Any) -> Any:
    if _sqlite():
        return json.loads(raw, cls=field.decoder)
    return json.loads(json.dumps(raw, default=float), cls=field.decoder)


def _address(field: Any, raw: Any) -> str:
    return str(raw).split("/")[0]


def _integer(field: Any, raw: Any) -> int:
    return int(raw)


def _text(field: Any, raw: Any) -> str:
    return str(raw)


KINDS: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(
        (
            "AutoField", "BigAutoField", "SmallAutoField", "IntegerField", "BigIntegerField", "SmallIntegerField",
            "PositiveIntegerField", "PositiveBigIntegerField", "PositiveSmallIntegerField",
        ),
        _integer,
    ),
    **dict.fromkeys(("CharField", "TextField", "SlugField", "FilePathField"), _text),
    "BooleanField": lambda field, raw: bool(raw),
    "FloatField": lambda field, raw: float(raw),
    "DecimalField": _decimal,
    "UUIDField": lambda field, raw: uuid.UUID(raw),
    "DateTimeField": _datetime,
    "DateField": lambda field, raw: parse_date(str(raw)),
    "TimeField": lambda field, raw: parse_time(str(raw)),
    "DurationField": _duration,
    "GenericIPAddressField": _address,
    "JSONField": _json,
}  # fmt: skip

# A key must be told from its text alone, exactly.
KEY_KINDS = frozenset(kind for kind, read in KINDS.items() if read in (_integer, _text)) | {"UUIDField"}


def key_unsupported(field: Field[Any, Any]) -> str | None:
    """Why this field cannot be the key of a model that publishes; None if it can."""
    kind = _kind(_target(field))
    return unsupported(field) if kind in KEY_KINDS else f"{kind or type(field).__name__} is no number, text or UUID"


# From an instance


def _present(field: Field[Any, Any], instance: Model) -> Any:
    target = _target(field)
    value = target.to_python(field.value_from_object(instance))
    if isinstance(value, Decimal) and value.is_finite():
        return _scaled(target, value)
    return value


# Both


def _wire(value: Any) -> Any:
    if isinstance(value, float | Decimal) and not math.isfinite(value):
        return None  # JSON cannot say it, and no filter can ask for it
    return publish_value(value)


def _target(field: Field[Any, Any]) -> Field[Any, Any]:
    while isinstance(field, ForeignKey):
        field = field.target_field
    return field


def _kind(field: Field[Any, Any]) -> str:
    return field.get_internal_type() or ""


def _sqlite() -> bool:
    return connections["default"].vendor == "sqlite"
