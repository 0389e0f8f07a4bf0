"""Calls, replies, changes ↔ text: one JSON object per frame, as docs/wire.md says. Text in, values out, and back."""

from __future__ import annotations

import datetime as dt
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from .errors import BadCall, LoginRequired, RealtimeError, TooLarge
from .limits import DEFAULT_LIMITS, Limits

PROTOCOL_VERSION = 1
# Longest route, verb and callback name: each is echoed or logged, none is written by a person.
NAME_LENGTH = 200
# 2**64 has 20 digits; longer ones fit no database column and cost quadratic time to parse.
INTEGER_DIGITS = 20

Position = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Call:
    verb: str
    route: str
    args: dict[str, Any]
    callbackname: str | None = None


@dataclass(frozen=True, slots=True)
class Beat:
    """A client asks whether the server is still there; it gets one heartbeat back."""


@dataclass(slots=True, unsafe_hash=True)
class Raw:
    """JSON text made earlier, for example in a worker thread, to be put into a frame as it is."""

    text: str


# -- from the client ------------------------------------------------------------------------------------------------


def decode(text: str | bytes, limits: Limits = DEFAULT_LIMITS) -> Call | Beat:
    """BadCall or TooLarge if this is neither call nor heartbeat; whatever else is in the frame is ignored."""
    value = _parse(text, limits)
    if not isinstance(value, dict):
        raise BadCall("A call is a JSON object.")
    if "verb" not in value and "heartbeat" in value:
        return Beat()
    callbackname = value.get("callbackname")
    if callbackname is not None and not _is_name(callbackname):
        raise BadCall("callbackname is a short text or null.")
    for field in ("verb", "route"):
        if not _is_name(value.get(field)):
            raise BadCall(f"{field} is a short text.", callbackname=callbackname)
    args = value.get("args")
    if args is None:
        args = {}
    if not isinstance(args, dict):
        raise BadCall("args is an object.", callbackname=callbackname)
    return Call(value["verb"], value["route"], args, callbackname)


def _parse(text: str | bytes, limits: Limits) -> Any:
    try:
        raw = text.encode() if isinstance(text, str) else text
        if len(raw) > limits.message_bytes:
            raise TooLarge(f"A message may have {limits.message_bytes} bytes.")
        value = json.loads(
            raw.decode(),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_float=_finite,
            parse_constant=_no_constant,
        )
        _check(value, limits.json_depth)
    except (ValueError, RecursionError) as error:
        # json's own messages name positions and quote nothing of the peer's text.
        raise BadCall(f"This is not JSON as agreed: {error}" if isinstance(error, ValueError) else None) from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return result


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > INTEGER_DIGITS:
        raise ValueError("an integer is too long")
    return int(text)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return number


def _no_constant(text: str) -> NoReturn:
    raise ValueError("NaN and Infinity are no numbers")


def _check(value: Any, depth: int) -> None:
    """Neither databases nor other clients can hold NUL or half a surrogate pair, and nobody nests that deep."""
    if isinstance(value, str):
        if "\0" in value:
            raise ValueError("a text holds NUL")
        if not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise ValueError("a text holds half a surrogate pair") from None
    elif isinstance(value, dict | list):
        if depth == 0:
            raise ValueError("this is nested too deep")
        if isinstance(value, dict):
            for key, member in value.items():
                _check(key, depth - 1)
                _check(member, depth - 1)
        else:
            for member in value:
                _check(member, depth - 1)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= NAME_LENGTH


# -- to the client --------------------------------------------------------------------------------------------------


def reply(
    call: Call | None,
    data: Any,
    *,
    state: str = "success",
    error: RealtimeError | None = None,
    position: Mapping[str, Position] | None = None,
    recovered: bool | None = None,
    object_map: Sequence[Any] | None = None,
    part: int | None = None,
    more: bool | None = None,
    page: Mapping[str, Any] | None = None,
    client_context: Mapping[str, Any] | None = None,
    channel_data: Mapping[str, Any] | None = None,
) -> str:
    """The answer to `call`; None for what could not be read as one. With `error`, state and data come from it."""
    callbackname = call.callbackname if call else getattr(error, "callbackname", None)
    if error is not None:
        state = "login_required" if isinstance(error, LoginRequired) else "error"
        data = error.data
    context: dict[str, Any] = {
        "client_callback_name": callbackname,
        "verb": call.verb if call else None,
        "state": state,
    }
    if error is not None:
        context["error"] = {"code": error.code, "message": error.message, "temporary": error.temporary}
    if page is not None:
        # SwampDragon's clients read the number here and the rest in client_context.
        context["page"] = page.get("page")
        client_context = {**(client_context or {}), "page": page}
    for name, value in (
        ("position", position),
        ("recovered", recovered),
        ("object_map", object_map),
        ("part", part),
        ("more", more),
        ("client_context", client_context),
    ):
        if value is not None:
            context[name] = value
    tail = f',"channel_data":{dumps(channel_data)}' if channel_data is not None else ""
    return f'{{"type":"reply","data":{text_of(data)},"context":{dumps(context)}{tail}}}'


def change(channel: str | Raw, action: str, data: Any, offset: int, *, gone: bool | None = None) -> str:
    """`gone` goes with "deleted": False when the object only left this filter."""
    tail = "" if gone is None else ',"gone":true' if gone else ',"gone":false'
    return (
        f'{{"type":"change","action":"{action}","channel":{text_of(channel)},'
        f'"data":{text_of(data)}{tail},"offset":{offset}}}'
    )


def data_message(channel: str | Raw, data: Any, offset: int | None = None) -> str:
    tail = "" if offset is None else f',"offset":{offset}'
    return f'{{"type":"data","channel":{text_of(channel)},"data":{text_of(data)}{tail}}}'


def resync(channel: str, position: Position | None = None) -> str:
    """Take a new snapshot of this channel; no earlier position of it can be continued."""
    message: dict[str, Any] = {"type": "resync", "action": "resync", "channel": channel}
    if position is not None:
        message["position"] = {channel: position}
    return dumps(message)


def heartbeat(positions: Mapping[str, Position] | None = None) -> str:
    message: dict[str, Any] = {"type": "heartbeat", "heartbeat": "1"}
    if positions:
        message["position"] = positions
    return dumps(message)


def health(
    behind: bool,
    saving: bool,
    complete: bool,
    since: dt.datetime | None = None,
    parts: Mapping[str, dt.datetime] | None = None,
) -> str:
    """How far what is shown can be trusted now; `parts`, broken since when, are for those who may know."""
    message: dict[str, Any] = {"type": "health", "behind": behind, "saving": saving, "complete": complete}
    if since is not None:
        message["since"] = since
    if parts is not None:
        message["parts"] = [{"part": part, "since": began} for part, began in parts.items()]
    return dumps(message)


def text_of(value: Any) -> str:
    """As `dumps`, but `Raw` is taken as it is."""
    return value.text if isinstance(value, Raw) else dumps(value)


# -- values ---------------------------------------------------------------------------------------------------------


def dumps(value: Any) -> str:
    """Strict JSON. ValueError for NaN, infinities, date-times without offset, half surrogate pairs, unknown types."""
    try:
        text = _ENCODER.encode(value)
        if not text.isascii():
            text.encode()
    except (TypeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    return text


def duration_text(value: dt.timedelta) -> str:
    """ISO 8601, with days as the largest unit: -P1DT02H03M04.500000S."""
    sign = ""
    if value < dt.timedelta(0):
        sign, value = "-", -value
    minutes, seconds = divmod(value.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{value.microseconds:06d}" if value.microseconds else ""
    return f"{sign}P{value.days}DT{hours:02d}H{minutes:02d}M{seconds:02d}{fraction}S"


def _default(value: Any) -> Any:
    if isinstance(value, Raw):
        return json.loads(value.text)
    if isinstance(value, Decimal):
        if not value.is_finite():
            raise ValueError("NaN and infinities are no values")
        return format(value, "f")
    if isinstance(value, dt.datetime):
        if value.utcoffset() is None:
            raise ValueError("a date-time needs an offset")
        return value.isoformat()
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, dt.timedelta):
        return duration_text(value)
    if isinstance(value, uuid.UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no form on the wire")


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_default)
