"""Filters on the database's side: which kind of value a model field holds, and a filter as a query.

A row must pass `query` exactly when its values pass `Filter.passes`; a property test compares them on each database.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from django.core.exceptions import ImproperlyConfigured
from django.db import connections, router
from django.db.models import F, Field, Model, Q, Value
from django.db.models.functions import StrIndex
from django.db.models.lookups import GreaterThan

from realtime import registry, settings
from realtime.fields import publish_value
from realtime.filters import LOOKUPS, Condition, Filter, parse_conditions
from realtime.kinds import Kind

# Text columns without a length; what SQLite holds may be longer than the column says, too.
_ENDLESS = 2**31

_KINDS = {
    "BooleanField": "boolean",
    "FloatField": "float",
    "DecimalField": "decimal",
    "CharField": "text",
    "SlugField": "text",
    "TextField": "text",
    "FilePathField": "text",
    "DateTimeField": "datetime",
    "DateField": "date",
    "TimeField": "time",
    "DurationField": "duration",
    "UUIDField": "uuid",
} | dict.fromkeys(
    (
        "AutoField", "BigAutoField", "SmallAutoField", "IntegerField", "BigIntegerField", "SmallIntegerField",
        "PositiveIntegerField", "PositiveBigIntegerField", "PositiveSmallIntegerField",
    ),
    "integer",
)  # fmt: skip

# A scope is written by the server itself, so only its cost bounds it: one dictionary entry per value.
SCOPE_VALUES = 10_000


def kind_of(field: Field[Any, Any]) -> Kind | None:
    """The kind of a field's values, bounded as its column is; None for types that filters do not know."""
    field = target(field)
    internal = field.get_internal_type()
    name = _KINDS.get(internal)
    if name is None:
        return None
    if name == "integer":
        ops = connections[router.db_for_read(field.model)].ops
        minimum, maximum = ops.integer_field_range(_integer(internal))
        return Kind(name, -(2**63) if minimum is None else minimum, 2**63 - 1 if maximum is None else maximum)
    if name == "decimal":
        places: Any = getattr(field, "decimal_places", None)
        digits: Any = getattr(field, "max_digits", None)
        most = 10 ** (digits - places)
        return Kind(name, -most, most, places=places)
    if name == "duration":
        # Microseconds: what SQLite keeps them as, and 292,000 years.
        return Kind(name, -(2**63), 2**63 - 1)
    return Kind(name, length=field.max_length) if name == "text" else Kind(name)


def kinds(model: type[Model]) -> dict[str, Kind]:
    """Kind by field name of every filter column, for values that are stored: without bounds, since a database may hold
    more than the field allows, and such a row must not stop the stream."""
    found: dict[str, Kind] = {}
    for column in registry.filter_columns(model):
        field = next(f for f in model._meta.concrete_fields if f.column == column)
        kind = kind_of(field)
        if kind is not None:
            length = _ENDLESS if kind.name == "text" else None
            found[field.name] = replace(kind, minimum=None, maximum=None, places=None, length=length)
    return found


class _Columns(NamedTuple):
    """By the names under which they are published: what the model calls them, and the kinds of those that can be
    filtered by."""

    names: Mapping[str, str]
    kinds: Mapping[str, Kind]


@lru_cache(maxsize=1000)
def _columns(model: type[Model], id_field: str, published: tuple[str, ...], using: str) -> _Columns:
    """Asked for every subscription of every client that comes back; columns do not change while we run."""
    fields = {name: _field(model, name, id_field) for name in published}
    kinds = {name: kind for name, field in fields.items() if (kind := kind_of(field)) is not None}
    return _Columns({name: field.name for name, field in fields.items()}, kinds)


def conditions(
    model: type[Model],
    args: Mapping[str, Any],
    allowed: Mapping[str, Iterable[str]],
    *,
    id_field: str,
    limit: int | None = None,
) -> tuple[Condition, ...]:
    """A client's arguments as conditions on fields, named as the model names them. BadFilter, TooMany."""
    columns = _columns(model, id_field, tuple(allowed), router.db_for_read(model))
    known = {name: tuple(lookups) for name, lookups in allowed.items() if name in columns.kinds}
    most = settings.limit("filter_values") if limit is None else limit
    found = parse_conditions(args, known, columns.kinds, limit=most)
    return tuple(
        condition if condition.field == columns.names[condition.field]
        else replace(condition, field=columns.names[condition.field])
        for condition in found
    )  # fmt: skip


def scope_conditions(
    model: type[Model], context: Mapping[str, Any], names: Iterable[str], *, id_field: str
) -> tuple[Condition, ...]:
    """A router's own context as conditions. ImproperlyConfigured for a field whose old values nobody keeps; BadFilter
    for a value, since it may have come from the client."""
    allowed = dict.fromkeys(names, LOOKUPS)
    for name in context:
        field, _, lookup = (name, "", "exact") if name in allowed else name.rpartition("__")
        if field not in allowed or lookup not in (*LOOKUPS, "eq") or kind_of(_field(model, field, id_field)) is None:
            raise ImproperlyConfigured(
                f"A subscription context of {model.__name__} uses {name!r}; it may use fields of the model's own table "
                "that stand in filter_fields or scope_fields, each with one lookup."
            )
    values = {name: publish_value(value) for name, value in context.items()}
    return conditions(model, values, allowed, id_field=id_field, limit=SCOPE_VALUES)


def query(wanted: Filter) -> Q:
    """The filter for `QuerySet.filter`."""
    if not wanted.alternatives:
        return Q(pk__in=[])
    found = Q()
    for alternative in wanted.alternatives:
        if not alternative:
            return Q()
        both = Q()
        for condition in alternative:
            both &= _query(condition)
        found |= both
    return found


def _query(condition: Condition) -> Q:
    field, value = condition.field, condition.value
    if condition.lookup == "in":
        # SQL's IN knows no null.
        some = Q(**{f"{field}__in": [member for member in value if member is not None]})
        return some | Q(**{f"{field}__isnull": True}) if None in value else some
    if condition.lookup == "contains":
        if value == "":
            return Q(**{f"{field}__isnull": False})
        # LIKE ignores case on SQLite and not on PostgreSQL; the position of a text within a text is one thing on both.
        return Q(GreaterThan(StrIndex(F(field), Value(value)), 0))
    return Q(**{f"{field}__{condition.lookup}": value})


def _field(model: type[Model], name: str, id_field: str) -> Field[Any, Any]:
    field = registry.column_field(model, name, id_field)
    if field is None:
        raise ImproperlyConfigured(f"{model.__name__} has no column {name!r}; filters use the model's own table.")
    return field


def target(field: Any) -> Any:
    while getattr(field, "remote_field", None) is not None and hasattr(field, "target_field"):
        field = field.target_field
    return field


def _integer(internal: str) -> str:
    return {"AutoField": "IntegerField", "BigAutoField": "BigIntegerField", "SmallAutoField": "SmallIntegerField"}.get(
        internal, internal
    )
