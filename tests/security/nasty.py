"""What an attacker puts where a value belongs, and valid messages to put it into."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

# As JSON text, because some of it only exists as text: what Python or JavaScript would say of it differs.
NASTY: dict[str, str] = {
    "null": "null",
    "true": "true",
    "false": "false",
    "nought": "0",
    "minus one": "-1",
    "2^31": str(2**31),
    "2^63": str(2**63),
    "below -2^63": str(-(2**63) - 1),
    "2^64": str(2**64),
    "a fraction": "1.5",
    "minus nought": "-0.0",
    "1e308": "1e308",
    "1e400": "1e400",
    "NaN": "NaN",
    "-Infinity": "-Infinity",
    "5000 digits": "9" * 5000,
    "empty": '""',
    "a blank": '" "',
    "null as text": '"null"',
    "5000 letters": json.dumps("x" * 5000),
    "emoji": '"💡👨\u200d👩\u200d👧"',
    "right to left": '"\u202eabc"',
    "NUL": '"a\\u0000b"',
    "half a pair": '"\\ud83d"',
    "a quote": json.dumps("' OR 1=1 --"),
    "LIKE": '"%_\\\\"',
    "a dunder": '"__class__"',
    "a path": '"../../etc/passwd"',
    "a template": '"{0.__class__}%(x)s${7*7}{{7*7}}"',
    "a regex": '"(a+)+$"',
    "empty list": "[]",
    "list of null": "[null]",
    "list of everything": '[0, "", false, [], {}]',
    "empty object": "{}",
    "prototype": '{"__proto__": {"polluted": true}, "constructor": {}}',
    "operators": '{"$gt": "", "__in": [1]}',
    "a key": '{"id": 1}',
    "a key twice": '{"a": 1, "a": 2}',
    "deep": "[" * 40 + "]" * 40,
    "very deep": "[" * 20_000 + "]" * 20_000,
}
REMOVED = "removed"

_PLACE = "the place where it goes"


def spoiled(message: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(what was done to it, its text) for each leaf, each object and each list of the message with each nasty value in
    its place, and without it."""
    for path in _paths(message):
        name = ".".join(map(str, path))
        yield f"{name} {REMOVED}", json.dumps(_without(message, path))
        template = json.dumps(_with(message, path, _PLACE), ensure_ascii=False)
        for value, text in NASTY.items():
            yield f"{name} = {value}", template.replace(json.dumps(_PLACE), text)


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    members: Iterator[tuple[str | int, Any]] = iter(())
    if isinstance(value, dict):
        members = iter(value.items())
    elif isinstance(value, list):
        members = iter(enumerate(value))
    for key, member in members:
        yield from _paths(member, (*path, key))


def _with(message: Any, path: tuple[str | int, ...], value: Any) -> Any:
    changed = copy.deepcopy(message)
    _parent(changed, path)[path[-1]] = value
    return changed


def _without(message: Any, path: tuple[str | int, ...]) -> Any:
    changed = copy.deepcopy(message)
    del _parent(changed, path)[path[-1]]
    return changed


def _parent(message: Any, path: tuple[str | int, ...]) -> Any:
    for key in path[:-1]:
        message = message[key]
    return message
