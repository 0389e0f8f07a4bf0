"""Saving writes only what this instance changed."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterable
from copy import deepcopy
from types import NoneType
from typing import Any, Self

from django.db import models


class ChangedOnly(models.Model):
    """A form that was open for minutes, or a task that looked first, must not put back what others wrote meanwhile.

    `save()` of a loaded instance is `save(update_fields=…)` with the fields that differ from what was loaded; none: no
    query at all. Whoever names `update_fields` or forces a statement gets just that.
    """

    class Meta:
        abstract = True

    _loaded: dict[str, Any]

    def save(
        self,
        *args: Any,
        force_insert: Any = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        known = not self._state.adding and using in (None, self._state.db)
        if update_fields is None and known and not (args or force_insert or force_update):
            update_fields = self._changed()
        super().save(
            *args, force_insert=force_insert, force_update=force_update, using=using, update_fields=update_fields
        )
        self._remember(update_fields)

    @classmethod
    def from_db(cls, db: str | None, field_names: Collection[str], values: Collection[Any], **kwargs: Any) -> Self:
        instance = super().from_db(db, field_names, values, **kwargs)
        instance._remember()
        return instance

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        super().refresh_from_db(*args, **kwargs)
        fields = kwargs.get("fields") or (args[1] if len(args) > 1 else None)
        self._remember(fields)

    def _changed(self) -> list[str]:
        before = getattr(self, "_loaded", {})
        return [
            field.name
            for field in self._meta.concrete_fields
            if field.attname in self.__dict__
            and not (field.attname in before and _equal(before[field.attname], self.__dict__[field.attname]))
        ]

    def _remember(self, fields: Iterable[str] | None = None) -> None:
        names = None if fields is None else set(fields)
        loaded = getattr(self, "_loaded", {}) if names is not None else {}
        for field in self._meta.concrete_fields:
            if field.attname in self.__dict__ and (names is None or {field.name, field.attname} & names):
                loaded[field.attname] = _copy(self.__dict__[field.attname])
        self._loaded = loaded


def _copy(value: Any) -> Any:
    """As `deepcopy`, which takes longer than reading the row."""
    if type(value) is dict:
        return {key: _copy(item) for key, item in value.items()}
    if type(value) is list:
        return [_copy(item) for item in value]
    return value if type(value) in _UNCHANGING else deepcopy(value)


_UNCHANGING = frozenset((NoneType, bool, int, float, str, datetime.datetime))


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, dict | list):
        return repr(one) == repr(other)  # in JSON true is not 1, and Python's == says it is
    return type(one) is type(other) and bool(one == other)
