"""What else published objects show, and what rights depend on: rows of other models whose change must be noticed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db.models import Model

from realtime.related import Relation, relation

if TYPE_CHECKING:
    from realtime.serializers import ModelSerializer


@dataclass(frozen=True, slots=True)
class Shown:
    """A changed row of `source` marks those objects of `model` whose `lookup` holds one of its keys.

    The keys are the rows' own, or, with `column`, what that column of theirs held and holds: a child that went to
    another parent changes both. `on` names the columns whose change counts (None: any).
    """

    model: type[Model]
    source: type[Model]
    lookup: str
    column: str | None = None
    on: tuple[str, ...] | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of `source` whose old values are needed."""
        return () if self.column is None else (self.column,)

    def pks(self, keys: Iterable[Any], before: Iterable[Mapping[str, Any] | None] = ()) -> set[Any]:
        """Keys of the objects to mark, for changed rows with these keys and these old values, read now."""
        found: set[Any] = set(keys)
        if self.column is not None:
            field = next(f for f in self.source._meta.concrete_fields if f.column == self.column)
            rows = self.source._base_manager.filter(pk__in=found)
            found = set(rows.values_list(field.attname, flat=True))
            found |= {state[self.column] for state in before if state is not None}
            found.discard(None)
        if not found:
            return set()
        return set(self.model._base_manager.filter(**{f"{self.lookup}__in": found}).values_list("pk", flat=True))


@dataclass(frozen=True, slots=True)
class Rights:
    """A changed row of `source` makes the subscriptions of the users in `column` be judged anew."""

    source: type[Model]
    column: str


def shown(model: type[Model], serializer: type[ModelSerializer]) -> Iterator[Shown]:
    """All that this serializer's objects show of other rows: declared in `shows`, and lists of keys, which say so
    themselves. What cannot be followed is skipped here and named by `declarations`."""
    found: dict[Shown, None] = {}
    for path in serializer.shows:
        found.update(dict.fromkeys(follow(model, path) or ()))
    found.update(dict.fromkeys(_key_lists(model, serializer, "pk", frozenset())))
    # Where any change of a row counts, a wish for one column of it adds nothing.
    whole = {(item.source, item.lookup, item.column) for item in found if item.on is None}
    yield from (item for item in found if item.on is None or (item.source, item.lookup, item.column) not in whole)


def _key_lists(
    model: type[Model], serializer: type[ModelSerializer], lookup: str, above: frozenset[type[ModelSerializer]]
) -> Iterator[Shown]:
    above = above | {serializer}
    for name in serializer.opts.publish_fields:
        step = relation(serializer.opts.model, name)
        if step is None:
            continue
        if step.own is None:
            yield from _links(model, step, lookup, rows=False)
        nested = serializer.related_serializer(name)
        if nested is not None and nested not in above:
            yield from _key_lists(model, nested, _join(lookup, step), above)


def follow(model: type[Model], path: str) -> list[Shown] | None:
    """Every row on the way of a path (`location__owner`); None if a step of it is no relation that can be followed."""
    found: list[Shown] = []
    here, lookup = model, "pk"
    for part in path.replace(".", "__").split("__"):
        step = relation(here, part)
        if step is None or not followable(step):
            return None
        links = _links(model, step, lookup, rows=True)
        found += links
        here, lookup = step.target, _join(lookup, step)
    return found


def followable(step: Relation) -> bool:
    """Generic relations name their other side in a row, not in the schema: nothing here can find it."""
    return step.own is not None or step.theirs is not None or step.through is not None


def _links(model: type[Model], step: Relation, lookup: str, *, rows: bool) -> list[Shown]:
    """What changes when the link of one step does, and with `rows` when the rows it leads to do."""
    found: list[Shown] = []
    if step.theirs is not None and step.theirs.column is not None:
        column = step.theirs.column
        found.append(Shown(model, step.target, lookup, column, on=None if rows else (column,)))
    elif step.through is not None:
        found.append(Shown(model, step.through, lookup, step.through_column))
    if rows and step.theirs is None:
        found.append(Shown(model, step.target, _join(lookup, step)))
    return found


def _join(lookup: str, step: Relation) -> str:
    return step.lookup if lookup == "pk" else f"{lookup}__{step.lookup}"


def resolve(source: type[Model] | str) -> type[Model]:
    return apps.get_model(source) if isinstance(source, str) else source
