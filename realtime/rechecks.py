"""Which of a model's checks an update can have made fail: those whose fields were not touched, the stored row passes.

Each of these checks is a query, and two for one with a condition; the database itself upholds them anyway.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any

from django.db.models import BaseConstraint, CheckConstraint, Model, Q, UniqueConstraint

# Of values that can be changed where they are, nobody can tell whether they were.
_MUTABLE = (list, dict, set, bytearray)


def touched(instance: Model, before: Mapping[str, Any], named: Collection[str]) -> set[str]:
    """The fields that were given, by name or column, or whose value is another object than in `before`, the
    instance's attributes as they were."""
    now = instance.__dict__
    return {
        field.name
        for field in instance._meta.concrete_fields
        if field.name in named
        or field.attname in named
        or now.get(field.attname) is not before.get(field.attname)
        or isinstance(now.get(field.attname), _MUTABLE)
    }


def uniqueness(model: type[Model], fields: Collection[str]) -> bool:
    """Whether `validate_unique` may find something new after these fields changed."""
    return model.validate_unique is not Model.validate_unique or not _unique(model).isdisjoint(fields)


def constraints(model: type[Model], fields: Collection[str]) -> bool:
    """Whether `validate_constraints` may."""
    if model.validate_constraints is not Model.validate_constraints:
        return True
    known = _constrained(model)
    return known is None or not known.isdisjoint(fields)


@cache
def _unique(model: type[Model]) -> frozenset[str]:
    found: set[str] = set()
    for part in _tables(model):
        for names in part._meta.unique_together:
            found.update(names)
        field: Any
        for field in part._meta.fields:
            dates = (field.unique_for_date, field.unique_for_month, field.unique_for_year)
            if field.unique or any(dates):
                found.update((field.name, *filter(None, dates)))
    return frozenset(found)


@cache
def _constrained(model: type[Model]) -> frozenset[str] | None:
    """The fields of all constraints; None if some of them cannot be told."""
    found: set[str] = set()
    for part in _tables(model):
        for constraint in part._meta.constraints:
            for name in _fields(constraint):
                field: Any = part._meta.pk if name == "pk" else name and part._meta.get_field(name)
                if not field or field.generated:
                    return None
                found.add(field.name)
    return frozenset(found)


def _tables(model: type[Model]) -> Iterator[type[Model]]:
    yield model
    yield from model._meta.all_parents


def _fields(constraint: BaseConstraint) -> Iterator[str | None]:
    if type(constraint) is UniqueConstraint and not constraint.expressions:
        yield from constraint.fields
        yield from () if constraint.condition is None else _named(constraint.condition)
    elif type(constraint) is CheckConstraint:
        yield from _named(constraint.condition)
    else:
        yield None


def _named(condition: Any) -> Iterator[str | None]:
    """What plain conditions compare with plain values; None for anything else."""
    for child in condition.children if isinstance(condition, Q) else (None,):
        if isinstance(child, Q):
            yield from _named(child)
        elif isinstance(child, tuple) and not hasattr(child[1], "resolve_expression"):
            yield child[0].split("__", 1)[0]
        else:
            yield None
