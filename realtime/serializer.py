"""A serializer that belongs to no model: named values, checked one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError

from realtime.errors import Invalid
from realtime.fields import publish_value
from realtime.validation import Errors, ValidationError, merge, messages


class Serializer:
    """Checks named values that belong to no model; `save()` answers them as a dictionary."""

    class Meta:
        publish_fields: Any = ()
        update_fields: Any = ()

    def __init__(self, data: Mapping[str, Any] | None = None, initial: Mapping[str, Any] | None = None) -> None:
        self.data = dict(data or {})
        self.initial = dict(initial or {})
        self.clean_data: dict[str, Any] = {}

    def deserialize(self) -> dict[str, Any]:
        errors: Errors = {}
        allowed = self.Meta.update_fields
        allowed = (allowed,) if isinstance(allowed, str) else tuple(allowed)
        self.clean_data = dict(self.initial)
        for name, value in self.data.items():
            try:
                refuse_unless(name in allowed)
                publish_value(value)
                run_validator(self, name, value)
                self.clean_data[name] = value
            except (Invalid, DjangoValidationError, ValueError) as error:
                merge(errors, messages(name, error))
        if errors:
            raise ValidationError(errors)
        return self.clean_data

    def save(self) -> dict[str, Any]:
        return self.deserialize()


def run_validator(serializer: object, name: str, value: Any) -> None:
    validate = getattr(serializer, f"validate_{name}", None)
    if validate is not None:
        validate(value)


def refuse_unless(allowed: bool) -> None:
    if not allowed:
        raise DjangoValidationError("This cannot be set.")
