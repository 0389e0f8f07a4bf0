"""What travels on the bus: changes of objects, events, and word that somebody's rights must be judged anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .protocol import Raw, dumps

CREATED = "created"
UPDATED = "updated"
DELETED = "deleted"

# Streams that belong to no model. No model's stream begins with "!".
DATA_STREAM = "!data"
CONTROL_STREAM = "!control"

State = dict[str, Any] | None


# Not frozen, though nobody changes one: to make a frozen one takes five times as long.
@dataclass(slots=True)
class Change:
    """One object, as it was at `revision`.

    `now` and `before` are the values of the fields that filters use, by public field name, in wire form
    (`filters.typed` makes them comparable); None means "did not exist". `before` holds every state since the
    revision published last, so it decides who must be told that the object left; it never reaches a client.
    `data` is what clients get: the published fields, on the way from the bus as the JSON text they travel as.
    """

    stream: str
    key: str
    revision: int
    action: str
    data: dict[str, Any] | Raw | None
    now: State
    before: tuple[State, ...]
    id: Any = None
    type: str = ""

    @property
    def gone(self) -> bool:
        """Whether nobody can see the object any more: deleted, or hidden by its serializer."""
        return self.now is None or self.data is None

    @property
    def action_for_now(self) -> str:
        """What those are told in whose channel the object is now: `created` only if it is published the first time."""
        return CREATED if len(self.before) == self.before.count(None) > 0 else UPDATED


@dataclass(frozen=True, slots=True)
class Event:
    """`publish_data`: something that happened. Events are never merged."""

    channel: str
    data: Any


@dataclass(frozen=True, slots=True)
class Control:
    """Rights or identity of these users (None: of all) must be judged anew, before anything published later."""

    users: tuple[Any, ...] | None
    reason: str


_STREAMS: dict[type, str] = {Event: DATA_STREAM, Control: CONTROL_STREAM}


def encode(item: Change | Event | Control) -> str:
    """ValueError if a value has no form on the wire.

    A change is two JSON texts on two lines: what servers read, and the data, which they only pass on. A state of before
    that is the state of now is written as true.
    """
    match item:
        case Change():
            now = item.now
            head = {
                "change": [item.stream, item.key, item.revision, item.action, item.id, item.type],
                "now": now,
                "before": [True if state is not None and state == now else state for state in item.before],
            }
            return f"{dumps(head)}\n{dumps(item.data)}"
        case Event():
            return dumps({"event": item.channel, "data": item.data})
        case Control():
            return dumps({"control": item.reason, "users": item.users})


def decode(body: str, on: str | None = None, *, raw: bool = False) -> Change | Event | Control:
    """ValueError on anything that `encode` did not write, or not for the stream `on`: the reader then takes the whole
    stream anew. With `raw`, the data of a change stays the text that it is, unread, for who only passes it on."""
    item = _decode(body, raw)
    if on is not None and on != (item.stream if type(item) is Change else _STREAMS[type(item)]):
        raise ValueError("this belongs to another stream")
    return item


# Without the look for blanks around a value: `encode` writes none.
_read = json.JSONDecoder().raw_decode
_STATES = {dict, type(None)}


def _decode(body: str, raw: bool) -> Change | Event | Control:
    try:
        value, end = _read(body)
        if "change" in value:
            stream, key, revision, action, id_, type_ = value["change"]
            now = value["now"]
            before = tuple([now if state is True else state for state in value["before"]])
            if body[end : end + 1] != "\n":
                raise ValueError("a change without data")
            data: dict[str, Any] | Raw | None = _raw(body[end + 1 :]) if raw else json.loads(body[end + 1 :])
            # The classes themselves are asked for: a union or a generator takes longer than all the rest.
            if not (
                type(stream) is type(key) is type(action) is type(type_) is str
                and type(revision) is int
                and (data is None or type(data) is dict or type(data) is Raw)
                and {type(now), *map(type, before)} <= _STATES
            ):
                raise ValueError("a change with values of other types")
            return Change(stream, key, revision, action, data, now, before, id_, type_)
        if end != len(body):
            raise ValueError("more than was encoded")
        if "event" in value:
            return Event(str(value["event"]), value["data"])
        users = value["users"]
        return Control(None if users is None else tuple(users), str(value["control"]))
    except (TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"this is no message of ours: {error!r}") from error


def _raw(text: str) -> Raw | None:
    if text == "null":
        return None
    if text[:1] != "{" or text[-1:] != "}":
        raise ValueError("a change without data")
    return Raw(text)
