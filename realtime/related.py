"""Relations of a model by the names an instance has for them, and how a serializer shows and reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from django.core.exceptions import FieldDoesNotExist, ObjectDoesNotExist
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Field, ForeignObjectRel, ManyToManyField, ManyToManyRel, Model

from realtime.fields import publish_value, read_value
from realtime.validation import ModelValidationError, ValidationError, merge

if TYPE_CHECKING:
    from realtime.serializers import ModelSerializer


# The same words for what does not exist and for what may not be named.
NO_OBJECT = "There is no such object."


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation as seen from `model`: `name` is the attribute, `lookup` the name in queries."""

    model: type[Model]
    name: str
    lookup: str
    target: type[Model]
    many: bool
    # The model's own foreign key (location), or the other side's that points here (device on Status); for
    # many-to-many the through model stands between and both are None.
    own: Field[Any, Any] | None = None
    theirs: Field[Any, Any] | None = None
    through: type[Model] | None = None
    through_column: str = ""

    @property
    def via(self) -> str:
        """The name under which the other side knows this one; SwampDragon's object map wants it."""
        if self.theirs is not None:
            return self.theirs.name
        return self.model._meta.model_name or ""


@cache
def relation(model: type[Model], name: str) -> Relation | None:
    """The relation that instances of this model have under this name, forward or backward; None if it is none."""
    try:
        field: Any = model._meta.get_field(name)
    except FieldDoesNotExist:
        field = None
    if field is None or isinstance(field, ForeignObjectRel):
        rels = (rel for rel in model._meta.related_objects if rel.get_accessor_name() == name)
        found = next(rels, None)
        return None if found is None else _backward(model, name, found)
    if not field.is_relation or field.related_model is None:
        return None
    if isinstance(field, ManyToManyField):
        through = field.remote_field.through
        column = _column(through, field.m2m_field_name())
        return Relation(model, name, name, field.related_model, True, through=through, through_column=column)
    if field in model._meta.concrete_fields:
        return Relation(model, name, name, field.related_model, False, own=field)
    return Relation(model, name, name, field.related_model, True)


def _backward(model: type[Model], name: str, rel: Any) -> Relation:
    lookup = rel.field.related_query_name()
    if isinstance(rel, ManyToManyRel):
        column = _column(rel.through, rel.field.m2m_reverse_field_name())
        return Relation(
            model, name, lookup, rel.related_model, True, through=rel.through, through_column=column
        )  # fmt: skip
    return Relation(model, name, lookup, rel.related_model, not rel.one_to_one, theirs=rel.field)


def _column(through: Any, name: str) -> str:
    column: str = through._meta.get_field(name).column
    return column


# Out


def publish_related(
    instance: Model, found: Relation, serializer: type[ModelSerializer] | None, shown: frozenset[type[ModelSerializer]]
) -> Any:
    """The related object or objects through their serializer, or their keys where there is none or a cycle closes."""
    if serializer is not None and serializer not in shown:
        if found.many:
            others = sorted_by_default(found.target, getattr(instance, found.name).all())
            return [serializer(instance=other).publish(shown) for other in others]
        other = _one(instance, found)
        return None if other is None else serializer(instance=other).publish(shown)
    if found.many:
        # A relation has no order of its own: sorted, so that equal sets are equal on the wire.
        return [publish_value(pk) for pk in sorted(other.pk for other in getattr(instance, found.name).all())]
    if found.own is not None:
        return publish_value(getattr(instance, found.own.attname))
    other = _one(instance, found)
    return None if other is None else publish_value(other.pk)


def sorted_by_default(target: type[Model], others: Any) -> Any:
    return others if target._meta.ordering else sorted(others, key=lambda other: other.pk)


def _one(instance: Model, found: Relation) -> Any:
    try:
        return getattr(instance, found.name)
    except ObjectDoesNotExist:
        return None


# In


def read_one(serializer: ModelSerializer, found: Relation, value: Any) -> Any:
    """The object a foreign key shall point to: by key, or made anew from an object if a serializer is declared."""
    field = found.own
    assert field is not None
    if value is None:
        return read_value(field, None)
    if isinstance(value, Mapping):
        return create(serializer, found.name, value)
    target_field = getattr(field, "target_field", found.target._meta.pk)
    return _existing(serializer, found.name, target_field, [value])[0]


def read_many(serializer: ModelSerializer, found: Relation, value: Any) -> list[Any]:
    """What the list means: existing objects for keys; objects to be made stay as they are for `save_many`."""
    if not found.many:
        value = [] if value is None else [value]
    if not isinstance(value, list | tuple):
        raise DjangoValidationError("A list is expected.")
    made = [each for each in value if isinstance(each, Mapping)]
    if made and serializer.related_serializer(found.name) is None:
        raise DjangoValidationError("A key is expected, not an object.")
    keys = [each for each in value if not isinstance(each, Mapping)]
    existing = _existing(serializer, found.name, found.target._meta.pk, keys) if keys else []
    if found.theirs is not None and any(_owner(found, other) != serializer.instance.pk for other in existing):
        # Taking a child away from its parent is a change of the child, for the child's own router to allow.
        raise DjangoValidationError(NO_OBJECT)
    return [*existing, *made]


def save_many(serializer: ModelSerializer, found: Relation, value: list[Any]) -> None:
    """Write the other side of the saved object: many-to-many becomes the list, children are only added."""
    initial = {} if found.theirs is None else {found.theirs.name: serializer.instance}
    others = [create(serializer, found.name, each, **initial) if isinstance(each, Mapping) else each for each in value]
    if found.theirs is None:
        getattr(serializer.instance, found.name).set(others)


def create(serializer: ModelSerializer, name: str, data: Mapping[str, Any], **initial: Any) -> Model:
    """A new related object from nested input, through the serializer declared for it."""
    nested = serializer.related_serializer(name)
    if nested is None:
        raise DjangoValidationError("A key is expected, not an object.")
    try:
        made: Model = nested(data=dict(data), initial=initial, caller=serializer.caller).save()
    except ValidationError as error:
        errors: dict[str, list[str]] = {}
        merge(errors, error.errors, prefix=f"{name}.")
        raise ModelValidationError(errors) from None
    return made


def _existing(serializer: ModelSerializer, name: str, field: Any, keys: list[Any]) -> list[Any]:
    refused = DjangoValidationError(NO_OBJECT)
    try:
        read = [_target_key(field, key) for key in keys]
    except DjangoValidationError:
        raise refused from None
    others = serializer.related_queryset(name).filter(**{f"{field.name}__in": read})
    by_key = {getattr(other, field.attname): other for other in others}
    if any(key not in by_key for key in read):
        raise refused
    return [by_key[key] for key in dict.fromkeys(read)]


def _target_key(field: Any, key: Any) -> Any:
    while getattr(field, "target_field", None) is not None:
        field = field.target_field
    read = read_value(field, key)
    if read is None:
        raise DjangoValidationError("A key is expected.")
    if isinstance(read, int) and not -(2**63) <= read < 2**63:
        raise DjangoValidationError("This value is out of range.")
    return read


# Loading


def paths(serializer: type[ModelSerializer]) -> tuple[list[str], list[str]]:
    """What `select_related` and `prefetch_related` must name for the serializer to need no query of its own."""
    joined: list[str] = []
    fetched: list[str] = []
    _collect(serializer, "", True, frozenset(), joined, fetched)
    return joined, fetched


def _collect(
    serializer: type[ModelSerializer],
    prefix: str,
    joinable: bool,
    shown: frozenset[type[ModelSerializer]],
    joined: list[str],
    fetched: list[str],
) -> None:
    shown = shown | {serializer}
    for name in serializer.opts.publish_fields:
        found = relation(serializer.opts.model, name)
        path = prefix + name
        if found is None:
            if above := dotted_relations(serializer.opts.model, name):
                (joined if joinable else fetched).append(prefix + "__".join(each.name for each in above))
            continue
        nested = serializer.related_serializer(name)
        nested = None if nested in shown else nested
        if found.own is not None and nested is None:
            continue
        join = joinable and found.own is not None
        (joined if join else fetched).append(path)
        if nested is not None:
            _collect(nested, f"{path}__", join, shown, joined, fetched)


def dotted_relations(model: type[Model], name: str) -> list[Relation]:
    """The relations that a dotted source (`location.name`) walks through, nearest first."""
    walked: list[Relation] = []
    for part in name.replace("__", ".").split(".")[:-1]:
        found = relation(model, part)
        if found is None or found.many:
            break
        walked.append(found)
        model = found.target
    return walked


def _owner(found: Relation, other: Any) -> Any:
    assert found.theirs is not None
    return getattr(other, found.theirs.attname)
