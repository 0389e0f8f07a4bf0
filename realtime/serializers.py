"""Serializers: which fields of a model clients see, which they may set, and what must hold before a row is saved."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from typing import Any, ClassVar

from django.core.exceptions import FieldDoesNotExist, ImproperlyConfigured
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import router, transaction
from django.db.models import Model, QuerySet

from realtime import object_map, rechecks, related
from realtime.errors import Invalid
from realtime.fields import publish_value, read_value
from realtime.names import resolve_serializer
from realtime.options import ReadOptions
from realtime.serializer import Serializer, refuse_unless, run_validator
from realtime.validation import Errors, ModelValidationError, ValidationError, merge, messages, of_model

__all__ = ["Invalid", "ModelSerializer", "ModelValidationError", "Serializer", "ValidationError", "resolve_serializer"]

logger = logging.getLogger("realtime.serializers")

_Shown = frozenset[type["ModelSerializer"]]


class ModelSerializer:
    """The published form of a model: `serialize()` shows an instance, `save()` makes or changes one from `data`.

    A class attribute named as a relation, with a serializer (or its name) as value, shows the related objects.
    `serialize_<name>(self, obj)` adds a value, `validate_<name>(self, value)` raises ModelValidationError.
    """

    opts = ReadOptions()
    # What else is shown: relation path → model, so that a change there publishes the objects that show it.
    shows: ClassVar[Mapping[str, Any]] = {}

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        instance: Any = None,
        initial: Mapping[str, Any] | None = None,
        caller: Any = None,
    ) -> None:
        if data is not None and not isinstance(data, Mapping):
            raise ModelValidationError({"__all__": ["An object is expected."]})
        self.data = dict(data or {})
        self.initial = dict(initial or {})
        self.instance = instance
        self.caller = caller

    # What clients see

    @classmethod
    def stream(cls) -> str:
        return cls.opts.base_channel

    @classmethod
    def get_base_channel(cls) -> str:
        return f"{cls.opts.base_channel}|"

    @classmethod
    def get_queryset(cls) -> QuerySet[Any]:
        """The rows that exist for clients, as the relay and snapshots read them; related rows come along.

        A row that this hides counts as deleted.
        """
        model = cls.opts.model
        return cls.prefetched(model._base_manager.using(router.db_for_write(model)))

    @classmethod
    def prefetched(cls, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The queryset with everything that `serialize` will look at, in a fixed number of queries."""
        joined, fetched = related.paths(cls)
        return (
            queryset.select_related(*joined).prefetch_related(*fetched)
            if joined
            else (queryset.prefetch_related(*fetched))
        )

    def serialize(
        self, fields: Iterable[str] | None = None, ignore_serializers: Iterable[type[ModelSerializer]] | None = None
    ) -> dict[str, Any] | None:
        """Published fields, or those of them in `fields`, and every `serialize_*`; None without an instance.

        ModelValidationError if a stored value cannot be said in JSON.
        """
        if self.instance is None:
            return None
        return self.publish(frozenset(ignore_serializers or ()), fields)

    def publish(self, shown: _Shown = frozenset(), fields: Iterable[str] | None = None) -> dict[str, Any]:
        """As `serialize`, inside objects that `shown` serializers show already: a cycle ends in keys."""
        shown = shown | {type(self)}
        wanted = set(fields or self.opts.publish_fields)
        own_values = {name: getattr(self, f"serialize_{name}") for name in self._own_names()}
        published = self.get_object_map_data()
        for name in self.opts.publish_fields:
            if name in wanted and name not in own_values:
                published[name] = self._publish_one(name, shown)
        for name, method in own_values.items():
            serializer = self.related_serializer(name)
            value = method(self.instance) if serializer is None else method(self.instance, serializer)
            published[name] = self._sayable(name, value)
        return published

    @classmethod
    def publish_all(cls, rows: Iterable[Any]) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Each row with its published form. One that fails is logged and left out: the others are wanted anyway."""
        failed = 0
        for row in rows:
            try:
                yield row, cls(instance=row).publish()
            except Exception:
                failed += 1
                if failed == 1:
                    logger.exception("%s %s cannot be published", cls.opts.model._meta.label, row.pk)
        if failed > 1:
            logger.error("%d more of %s cannot be published", failed - 1, cls.opts.model._meta.label)

    def get_object_map_data(self) -> dict[str, Any]:
        return {
            "id": self._sayable("id", getattr(self.instance, self.opts.id_field)),
            "_type": self.opts.type,
        }

    @classmethod
    def get_object_map(
        cls, include_serializers: object = None, ignore_serializers: object = None
    ) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] | None = cls.__dict__.get("_object_map")
        if found is None:
            found = cls._object_map = object_map.get_object_map(cls)  # type: ignore[attr-defined]
        return [dict(entry) for entry in found]  # every subscription asks, and may change its own

    @classmethod
    def get_related_serializers(cls) -> list[tuple[type[ModelSerializer], str]]:
        """Each related serializer with the name of its relation."""
        names = dict.fromkeys(name for base in reversed(cls.__mro__) for name in vars(base) if not name.startswith("_"))
        found = ((cls.related_serializer(name), name) for name in names)
        return [(serializer, name) for serializer, name in found if serializer is not None]

    @classmethod
    def related_serializer(cls, name: str) -> type[ModelSerializer] | None:
        declared = getattr(cls, name, None)
        if isinstance(declared, type) and issubclass(declared, ModelSerializer):
            return declared
        if isinstance(declared, str) and not name.startswith("_"):
            return resolve_serializer(declared, cls.__module__)
        return None

    @classmethod
    def _own_names(cls) -> tuple[str, ...]:
        names: tuple[str, ...] | None = cls.__dict__.get("_names_of_own_values")
        if names is None:
            names = tuple(name.removeprefix("serialize_") for name in dir(cls) if name.startswith("serialize_"))
            cls._names_of_own_values = names  # type: ignore[attr-defined]
        return names

    # What clients may set

    def related_queryset(self, name: str) -> QuerySet[Any]:
        """The objects that a client may name in the relation `name`; override it to narrow to `self.caller`."""
        found = related.relation(self.opts.model, name)
        if found is None:
            raise ImproperlyConfigured(f"{self.opts.model.__name__}.{name} is not a relation.")
        queryset: QuerySet[Any] = found.target._default_manager.all()
        return queryset

    def deserialize(self) -> Any:
        """The instance with `initial` and `data` applied and checked, not saved; ModelValidationError otherwise."""
        errors: Errors = {}
        if self.instance is None:
            self.instance = self.opts.model()
        creating = self.instance._state.adding
        before = dict(self.instance.__dict__)
        for name, value in self.initial.items():
            setattr(self.instance, name, value)
        self._many: list[tuple[related.Relation, Any]] = []
        for name, value in self.data.items():
            if name == "_type":
                continue
            try:
                refuse_unless(name in self.opts.update_fields)
                publish_value(value)
                self._validate(name, value, creating)
                self._read(name, value, creating)
            except (Invalid, DjangoValidationError, ValueError) as error:
                merge(errors, messages(name, error))
        self._clean(errors, before, None if creating else {*self.data, *self.initial})
        if errors:
            raise ModelValidationError(errors)
        return self.instance

    def save(self) -> Any:
        """The saved instance, written once, with its related objects, in one transaction."""
        with transaction.atomic(using=router.db_for_write(self.opts.model)):
            instance = self.deserialize()
            chosen = self.opts.model._meta.pk.name in self.data and instance._state.adding
            # With a key that the client chose, Django would otherwise overwrite the row that has it.
            instance.save(**({"force_insert": True} if chosen else {}))
            for found, value in self._many:
                related.save_many(self, found, value)
        return instance

    # Private

    def _validate(self, name: str, value: Any, creating: bool) -> None:
        """An app's validator gets what the client sent. If it stumbles over a value that its field does not take
        either, the client is told what the field says; otherwise it is the app's fault."""
        try:
            run_validator(self, name, value)
        except (Invalid, DjangoValidationError, ValueError):
            raise
        except Exception:
            self._read(name, value, creating)
            raise

    def _read(self, name: str, value: Any, creating: bool) -> None:
        found = related.relation(self.opts.model, name)
        if found is not None and found.own is not None:
            setattr(self.instance, name, related.read_one(self, found, value))
        elif found is not None:
            self._many.append((found, related.read_many(self, found, value)))
        else:
            field: Any = self.opts.model._meta.get_field(name)
            read = read_value(field, value)
            if field.primary_key and not creating and read != self.instance.pk:
                raise DjangoValidationError("The key of an object cannot change.")
            setattr(self.instance, field.attname, read)

    def _clean(self, errors: Errors, before: Mapping[str, Any], touched: set[str] | None) -> None:
        """Add what the model says against the instance; on an update only `touched` fields are looked at alone, and
        together with others where they are not what they were `before`."""
        model = type(self.instance)
        fields = {field.name for field in self.opts.model._meta.fields}
        skipped = {name for name in fields if name in errors or (touched is not None and name not in touched)}
        visible = (*self.opts.update_fields, *self.opts.publish_fields)
        checks: tuple[Callable[[], None], ...] = (
            lambda: self.instance.clean_fields(exclude=skipped),
            lambda: self.instance.clean(),
            lambda: self.instance.validate_unique(exclude=fields & errors.keys()),
            lambda: self.instance.validate_constraints(exclude=fields & errors.keys()),
        )
        needed = (None, None, rechecks.uniqueness, rechecks.constraints)
        for check, needs in zip(checks, needed, strict=True):
            # Looked at as late as this, because the model's own `clean` may change what it looks at.
            if needs and touched is not None and not needs(model, rechecks.touched(self.instance, before, touched)):
                continue
            try:
                check()
            except DjangoValidationError as error:
                merge(errors, of_model(error, visible))

    def _publish_one(self, name: str, shown: _Shown) -> Any:
        found = related.relation(self.opts.model, name)
        if found is not None:
            return related.publish_related(self.instance, found, self.related_serializer(name), shown)
        if _is_field(self.opts.model, name):
            value = getattr(self.instance, name)
        else:
            value = self.instance
            for part in name.replace("__", ".").split("."):
                value = None if value is None else getattr(value, part)
        return self._sayable(name, value() if callable(value) and not hasattr(value, "all") else value)

    @staticmethod
    def _sayable(name: str, value: Any) -> Any:
        try:
            return publish_value(value)
        except ValueError as error:
            raise ModelValidationError({name: [str(error)]}) from error


@cache
def _is_field(model: type[Model], name: str) -> bool:
    try:
        model._meta.get_field(name)
    except FieldDoesNotExist:
        return False
    return True
