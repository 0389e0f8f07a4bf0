"""Errors of validation: SwampDragon's two names for them, and Django's own turned into them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import NON_FIELD_ERRORS
from django.core.exceptions import ValidationError as DjangoValidationError

from realtime.errors import Invalid

logger = logging.getLogger("realtime.serializers")

Errors = dict[str, list[str]]


class ValidationError(Invalid):
    """What was sent is not valid."""

    def __init__(self, errors: Mapping[str, Any] | None = None) -> None:
        self.errors: Errors = {
            str(name): [said] if isinstance(said, str) else [str(each) for each in said]
            for name, said in (errors or {}).items()
        }
        super().__init__(data=self.errors)

    def get_error_dict(self) -> Errors:
        return self.errors


class ModelValidationError(ValidationError):
    """What was sent is not valid."""


def messages(name: str, error: Exception) -> Errors:
    """The messages of one field's error by the name the client used; a validator may name other fields itself."""
    if isinstance(error, ValidationError):
        return error.errors
    if isinstance(error, Invalid):
        return ValidationError(error.data if isinstance(error.data, Mapping) else {name: [str(error)]}).errors
    if isinstance(error, DjangoValidationError):
        return {name: error.messages}
    return {name: [str(error)]}


def merge(into: Errors, more: Errors, prefix: str = "") -> None:
    for name, said in more.items():
        into.setdefault(prefix + name, []).extend(said)


def of_model(error: DjangoValidationError, visible: Iterable[str]) -> Errors:
    """A model's own errors, told only about fields the client knows; the others become one line and a log record."""
    known = {*visible, NON_FIELD_ERRORS}
    told: Errors = {}
    by_field = error.error_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.error_list}
    for name, errors in by_field.items():
        for each in errors:
            together = set((each.params or {}).get("unique_check", ())) if isinstance(each.params, dict) else set()
            if name in known and together <= known:
                told.setdefault(name, []).extend(each.messages)
            else:
                logger.info("refused because of %s, which the client cannot see: %s", name, "; ".join(each.messages))
                told.setdefault(NON_FIELD_ERRORS, []).append("This cannot be saved.")
    return told
