"""What a type of device can report and be asked for: keys, their kinds and bounds. Pure.

A schema is `{key: {"kind": "bool" | "number" | "enum" | "text", …}}` with, where they make sense:
`label`, `unit`, `min`, `max`, `step`, `decimals`, `options` (enum), `words` (bool: what false and true are called),
`writable`, `main` (the value shown large; one at most), `record` (seconds between kept readings; 0: every change;
absent: none are kept).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Mapping[str, Any]]
Values = dict[str, Any]
Errors = dict[str, list[str]]

KINDS = ("bool", "number", "enum", "text")
# Keys stand in URLs, topics and on displays of boards.
KEY = re.compile(r"[a-z][a-z0-9_]{0,31}")
KEYS = 32
# Of one text value, and of one label or option.
TEXT = 200
# Of the JSON of a schema, of what is wanted and of what is reported: all of it travels with every change of a device.
SCHEMA_BYTES = 16_384
VALUES_BYTES = 4_096

_TEXTS = ("label", "unit")
_NUMBERS = ("min", "max", "step", "decimals", "record")
_FLAGS = ("writable", "main")
_LISTS = ("options", "words")


# Schemas


def problems(schema: Any) -> list[str]:
    """What is wrong with a schema, in sentences; nothing: it can be used."""
    if not isinstance(schema, dict):
        return ["A schema is an object of keys."]
    if len(schema) > KEYS or size(schema) > SCHEMA_BYTES:
        return ["This schema is too large."]
    found: list[str] = []
    for key, spec in schema.items():
        if not KEY.fullmatch(key):
            found.append(f"{key!r}: a key is lower case letters, digits and _, beginning with a letter.")
        elif not isinstance(spec, dict):
            found.append(f"{key}: an object is expected.")
        else:
            found += (f"{key}: {said}" for said in _of_spec(spec))
    if sum(isinstance(spec, dict) and spec.get("main") is True for spec in schema.values()) > 1:
        found.append("Only one key can be the main one.")
    return found


def _of_spec(spec: dict[str, Any]) -> list[str]:
    kind = spec.get("kind")
    if kind not in KINDS:
        return [f"kind is one of {', '.join(KINDS)}."]
    found = [f"there is no {name!r}." for name in spec if name not in ("kind", *_TEXTS, *_NUMBERS, *_FLAGS, *_LISTS)]
    found += [f"{name} is a short text." for name in _TEXTS if name in spec and not _is_text(spec[name])]
    found += [f"{name} is a number." for name in _NUMBERS if name in spec and not is_number(spec[name])]
    found += [f"{name} is true or false." for name in _FLAGS if name in spec and not isinstance(spec[name], bool)]
    found += [
        f"{name} is a list of different short texts." for name in _LISTS if name in spec and not _texts(spec[name])
    ]
    if found:
        return found
    if kind == "enum" and not spec.get("options"):
        found.append("an enum needs options.")
    if len(spec.get("words", ("", ""))) != 2:
        found.append("words are two: for false and for true.")
    if spec.get("min", -math.inf) > spec.get("max", math.inf):
        found.append("min is above max.")
    if spec.get("step", 1) <= 0:
        found.append("step is above 0.")
    if spec.get("record", 0) < 0 or not 0 <= spec.get("decimals", 0) <= 6:
        found.append("record is at least 0, decimals from 0 to 6.")
    return found


# Values


def check_wish(schema: Schema, values: Any) -> Errors:
    """Why these values cannot be asked for, by key."""
    if not isinstance(values, dict) or not values:
        return {"__all__": ["An object with at least one key is expected."]}
    if len(values) > KEYS:
        return {"__all__": ["These are too many keys."]}
    errors: Errors = {}
    for key, value in values.items():
        spec = schema.get(key)
        if spec is None:
            errors[_short(key)] = ["This device has no such key."]
        elif not spec.get("writable"):
            errors[key] = ["This cannot be set."]
        elif said := _of_value(spec, value, bounded=True):
            errors[key] = [said]
    return errors


def check_report(schema: Schema, values: Any) -> Errors:
    """Why these values cannot have been measured, by key. Keys that the schema does not know may be reported, too."""
    if not isinstance(values, dict):
        return {"__all__": ["An object is expected."]}
    if len(values) > KEYS:
        return {"__all__": ["These are too many keys."]}
    errors: Errors = {}
    for key, value in values.items():
        if not isinstance(key, str) or not KEY.fullmatch(key):
            errors[_short(key)] = ["This is no key."]
        elif key in schema:
            # Out of bounds is a finding, not a mistake: a freezer at +20 °C must be shown.
            if said := _of_value(schema[key], value, bounded=False):
                errors[key] = [said]
        elif not (value is None or isinstance(value, bool) or is_number(value) or _is_text(value)):
            errors[key] = ["A number, a short text, true, false or null is expected."]
    return errors


def _of_value(spec: Mapping[str, Any], value: Any, *, bounded: bool) -> str | None:
    kind = spec["kind"]
    if kind == "bool":
        return None if isinstance(value, bool) else "True or false is expected."
    if kind == "number":
        if not is_number(value):
            return "A number is expected."
        low, high = spec.get("min", -math.inf), spec.get("max", math.inf)
        if bounded and not low <= value <= high:
            return f"From {low} to {high} is possible." if math.isfinite(low + high) else "This is out of range."
        return None
    if kind == "enum":
        options = spec["options"]
        return None if isinstance(value, str) and value in options else f"One of {', '.join(options)} is expected."
    return None if _is_text(value) else "A short text is expected."


def satisfied(spec: Mapping[str, Any] | None, wanted: Any, reported: Any) -> bool:
    """Whether a report is what was wanted: numbers to within half a step, as a device can set them."""
    if is_number(wanted) and is_number(reported):
        half = (spec or {}).get("step", 0) / 2
        return bool(abs(wanted - reported) <= max(half, 1e-9 * abs(wanted)))
    return same(wanted, reported)


def same(one: Any, other: Any) -> bool:
    """Equal as JSON. Python's own == takes true for 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def size(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass"))


def is_number(value: Any) -> bool:
    """A finite number of a size that every client can hold."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 2**53


def _is_text(value: Any) -> bool:
    """Short, and nothing in it that a database or a terminal stumbles over."""
    return (
        isinstance(value, str) and len(value) <= TEXT and not any(c < " " or "\ud800" <= c <= "\udfff" for c in value)
    )


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(_is_text(each) for each in value) and len(set(value)) == len(value) <= KEYS


def _short(key: Any) -> str:
    """A key that nobody checked, as a name in an answer."""
    return str(key)[:40].encode("ascii", "backslashreplace").decode().replace("\x00", "\\x00")
