"""Values between Python and the wire: what a field's value looks like to a client, and what a client's value means.

Neither direction lets through what JSON or a database cannot carry: NaN and infinities, NUL, lone surrogates.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import math
import re
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db.models import Field, FileField, Model
from django.db.models.fields.files import FieldFile
from django.utils import timezone
from django.utils.functional import Promise

from realtime.protocol import duration_text

# Bounds the recursion over JSON fields; the wire's own limit for what comes in is the same.
DEPTH = 32

# Half of a surrogate pair: Python's texts may hold it, UTF-8 cannot.
_HALF = re.compile("[\ud800-\udfff]")

_INTEGERS = {
    "AutoField", "BigAutoField", "SmallAutoField", "IntegerField", "BigIntegerField", "SmallIntegerField",
    "PositiveIntegerField", "PositiveBigIntegerField", "PositiveSmallIntegerField",
}  # fmt: skip
_TEXTS = {
    "CharField", "TextField", "SlugField", "EmailField", "URLField", "UUIDField", "DateField", "DateTimeField",
    "TimeField", "DurationField", "GenericIPAddressField", "IPAddressField", "FilePathField",
}  # fmt: skip


# Out


def publish_value(value: Any, depth: int = 0) -> Any:
    """The value as JSON knows it; ValueError for what JSON cannot say, TypeError for what nobody defined."""
    kind = type(value)
    # Nearly every value there is; the exact types, as subclasses may say anything of themselves.
    if kind is str:
        return check_text(value)
    if kind is int or kind is bool or value is None:
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return _finite(float(value))
    if isinstance(value, str | Promise):
        return check_text(str(value))
    if isinstance(value, Decimal):
        return format(_finite(value), "f")
    if isinstance(value, uuid.UUID):
        return str(value)
    if isinstance(value, datetime.datetime):
        return _aware(value).astimezone(datetime.UTC).isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return duration_text(value)
    if isinstance(value, FieldFile):
        return value.url if value else None
    if isinstance(value, bytes | memoryview | bytearray):
        return base64.b64encode(bytes(value)).decode()
    if isinstance(value, Model):
        return publish_value(value.pk)
    if depth >= DEPTH:
        raise ValueError("The value is nested too deeply.")
    if isinstance(value, Mapping):
        return {_key(key): publish_value(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [publish_value(item, depth + 1) for item in value]
    if hasattr(value, "all") or hasattr(value, "iterator"):
        return [publish_value(item, depth + 1) for item in (value.all() if hasattr(value, "all") else value)]
    raise TypeError(f"A value of type {type(value).__name__} has no form on the wire; use serialize_<name>.")


def check_text(text: str) -> str:
    """The same text; ValueError if a database or a client could not take it."""
    if "\x00" in text:
        raise ValueError("Null characters are not allowed.")
    if not text.isascii() and _HALF.search(text):
        raise ValueError("The text is not valid Unicode.")
    return text


# In


def read_value(field: Field[Any, Any], value: Any) -> Any:
    """What the client's value means to the field, as Python; ValidationError when it means nothing to it."""
    try:
        publish_value(value)
    except (ValueError, TypeError) as error:
        raise ValidationError(str(error)) from None
    kind = field.get_internal_type()
    if isinstance(field, FileField):
        return _cleared(field, value)
    if value is None:
        if not field.null:
            raise ValidationError("This field cannot be null.")
        return None
    if kind == "JSONField":
        return value
    if kind == "BinaryField":
        return _bytes(value)
    if isinstance(value, dict | list) and type(field).__module__.startswith("django.db.models"):
        raise ValidationError("A single value is expected.")
    if kind in _INTEGERS or kind in ("FloatField", "DecimalField"):
        value = _number(kind, value)
    elif kind in _TEXTS and not isinstance(value, str):
        raise ValidationError("Text is expected.")
    try:
        read = field.to_python(value)
        if isinstance(read, datetime.datetime) and settings.USE_TZ:
            # Far from the epoch an offset can lead out of the calendar, which would only show while saving.
            read = _aware(read).astimezone(datetime.UTC)
        elif isinstance(read, float | Decimal):
            _finite(read)
    except (OverflowError, ValueError, TypeError, ArithmeticError):
        raise ValidationError("This value is out of range.") from None
    return read


def _number(kind: str, value: Any) -> Any:
    if isinstance(value, bool):
        raise ValidationError("A number is expected.")
    if isinstance(value, float):
        if kind == "DecimalField":
            return repr(value)
        if kind in _INTEGERS:
            if not value.is_integer():
                raise ValidationError("A whole number is expected.")
            return int(value)
    return value


def _cleared(field: FileField, value: Any) -> str:
    # A name sent by a client would let it point the row at any stored file.
    if value in (None, "") and field.blank:
        return ""
    raise ValidationError("A file cannot be set by its name.")


def _bytes(value: Any) -> bytes:
    try:
        if not isinstance(value, str):
            raise ValueError
        return base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        raise ValidationError("Base64 text is expected.") from None


def _finite(number: Any) -> Any:
    if not math.isfinite(number):
        raise ValueError("The number is not finite.")
    return number


def _aware(moment: datetime.datetime) -> datetime.datetime:
    return timezone.make_aware(moment) if timezone.is_naive(moment) else moment


def _key(key: Any) -> str:
    return check_text(key) if isinstance(key, str) else str(publish_value(key))
