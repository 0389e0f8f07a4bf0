"""Calls and frames against the golden ones of tests/wire, which the other sides read too."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime import errors
from realtime.limits import Limits
from realtime.protocol import (
    Beat,
    Call,
    Raw,
    change,
    data_message,
    decode,
    dumps,
    duration_text,
    heartbeat,
    reply,
    resync,
)
from realtime.settings import Settings
from tests.wire import FRAMES, frame, names

CHANNEL = "device|location:3"
LAMP = {"id": 17, "_type": "device", "name": "lamp", "is_on": True}
FAN = {"id": 18, "_type": "device", "name": "fan", "is_on": False}
MAP = [
    {
        "parent_type": "device",
        "child_type": "status",
        "via": "device",
        "prop_name": "statuses",
        "is_collection": True,
    }
]
SUBSCRIBE = Call("subscribe", "device", {}, "c7")
AGAIN = Call("subscribe", "device", {}, "c9")
UPDATE = Call("update", "device", {}, "c8")
AT = {CHANNEL: ("k3f9", 1041)}


def named(local: str, remote: list[str], action: str = "subscribe") -> dict[str, Any]:
    return {"local_channel": local, "remote_channels": remote, "action": action}


DEVICES = named("devices", [CHANNEL])

BUILT: dict[str, Callable[[], str]] = {
    "snapshot in one part": lambda: reply(
        SUBSCRIBE, [LAMP], position=AT, object_map=[], part=1, more=False, channel_data=DEVICES
    ),
    "first part of a snapshot": lambda: reply(
        SUBSCRIBE, Raw(dumps([LAMP])), position=AT, object_map=[], part=1, more=True, channel_data=DEVICES
    ),
    "last part of a snapshot": lambda: reply(SUBSCRIBE, [FAN], part=2, more=False, channel_data=DEVICES),
    "snapshot without a position": lambda: reply(
        SUBSCRIBE, [], object_map=[], part=1, more=False, channel_data=DEVICES
    ),
    "recovered": lambda: reply(
        AGAIN, [], position={CHANNEL: ("k3f9", 1044)}, recovered=True, object_map=[], channel_data=DEVICES
    ),
    "not recovered": lambda: reply(
        AGAIN,
        [LAMP],
        position={CHANNEL: ("p0x2", 7)},
        recovered=False,
        object_map=[],
        part=1,
        more=False,
        channel_data=DEVICES,
    ),
    "subscribed without a snapshot": lambda: reply(
        SUBSCRIBE,
        MAP,
        position={"device|": ("k3f9", 1041)},
        object_map=MAP,
        channel_data=named("devices", ["device|"]),
    ),
    "subscribed to events": lambda: reply(
        Call("subscribe", "chat", {}, "c13"),
        "subscribed",
        position={"room-r1": ("k3f9", 12)},
        channel_data=named("chat", ["room-r1"]),
    ),
    "unsubscribed": lambda: reply(
        Call("unsubscribe", "device", {}, "c10"),
        "unsubscribed",
        channel_data=named("devices", [CHANNEL], "unsubscribe"),
    ),
    "page": lambda: reply(
        Call("get_list", "status", {}, "c11"),
        [{"id": 1, "_type": "status", "is_on": True}],
        page={"page": 2, "page_count": 3, "has_next": True, "has_previous": True},
    ),
    "values": lambda: reply(
        Call("get_single", "sample", {}, "c14"),
        {
            "id": 2**53 + 1,
            "_type": "sample",
            "on": False,
            "price": Decimal("12.50"),
            "at": dt.datetime(2026, 1, 2, 3, 4, 5, 6, dt.UTC),
            "day": dt.date(2026, 1, 2),
            "clock": dt.time(3, 4, 5),
            "takes": dt.timedelta(days=1, hours=2, minutes=3, seconds=4),
            "uid": uuid.UUID("0a0b0c0d-0001-4002-8003-0123456789ab"),
            "note": "lamp 💡",
            "nothing": None,
        },
    ),
    "whoami": lambda: reply(
        Call("whoami", "session", {}, "c1"),
        {
            "user": {"id": 1, "username": "operator", "name": "", "is_staff": False},
            "time": dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC),
            "protocol": 1,
            "limits": {
                "message_bytes": Limits().message_bytes,
                "subscriptions": Limits().subscriptions,
                "calls_per_second": Limits().calls_per_second,
                "filter_values": Limits().filter_values,
                "verb_seconds": Settings.VERB_SECONDS.value,
                "heartbeat_seconds": Settings.HEARTBEAT_SECONDS.value,
                "heartbeat_hidden_seconds": Settings.HEARTBEAT_HIDDEN_SECONDS.value,
            },
        },
    ),
    "not allowed": lambda: reply(UPDATE, None, error=errors.NotAllowed()),
    "invalid": lambda: reply(UPDATE, None, error=errors.Invalid(data={"desired.on": ["Must be true or false."]})),
    "login required": lambda: reply(UPDATE, None, error=errors.LoginRequired()),
    "internal": lambda: reply(UPDATE, None, error=errors.Internal()),
    "one entry of a list fails": lambda: reply(
        AGAIN, None, error=errors.BadFilter(), channel_data=named("devices", [])
    ),
    "no call": lambda: reply(None, None, error=errors.BadCall("A call is a JSON object.")),
    "created": lambda: change(CHANNEL, "created", FAN, 1042),
    "updated": lambda: change(CHANNEL, "updated", Raw(dumps(LAMP)), 1043),
    "deleted": lambda: change(CHANNEL, "deleted", {"id": 17, "_type": "device"}, 1044, gone=True),
    "left the filter": lambda: change(CHANNEL, "deleted", {"id": 17, "_type": "device"}, 1045, gone=False),
    "an event": lambda: data_message("room-r1", {"hello": "world"}, 13),
    "the stream began anew": lambda: resync(CHANNEL, ("p0x2", 0)),
    "rights have changed": lambda: resync(CHANNEL),
    "heartbeat": lambda: heartbeat(),
    "heartbeat with positions": lambda: heartbeat({CHANNEL: ("k3f9", 2210)}),
}


# -- to the client --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names("reply", "error", "change", "data", "resync", "heartbeat"))
def test_the_server_sends_the_golden_frame(name: str) -> None:
    assert json.loads(BUILT[name]()) == frame(name)


def test_nothing_is_built_that_is_not_golden() -> None:
    assert BUILT.keys() == set(names("reply", "error", "change", "data", "resync", "heartbeat"))


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        Decimal("NaN"),
        Decimal("Infinity"),
        dt.datetime(2026, 1, 2),
        b"bytes",
        object(),
        "half \ud83d",
        {"\udc00": 1},
    ],
)
def test_what_has_no_form_on_the_wire_is_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        dumps({"value": value})


def test_what_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(ValueError):
        dumps(endless)


def test_a_decimal_is_written_without_an_exponent() -> None:
    assert dumps(Decimal("1E+3")) == '"1000"'


@given(st.timedeltas())
def test_durations_have_the_form_that_django_gives_them(length: dt.timedelta) -> None:
    from django.utils.duration import duration_iso_string

    assert duration_text(length) == duration_iso_string(length)


# -- from the client ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", names("call"))
def test_a_golden_call_is_read(name: str) -> None:
    golden = frame(name)
    read = decode(json.dumps(golden))

    assert read == Call(golden["verb"], golden["route"], golden.get("args", {}), golden.get("callbackname"))


@pytest.mark.parametrize("name", names("call"))
def test_a_golden_call_is_read_from_bytes(name: str) -> None:
    assert decode(json.dumps(frame(name), ensure_ascii=False).encode()) == decode(json.dumps(frame(name)))


def test_a_clients_heartbeat_is_read() -> None:
    assert decode(json.dumps(frame("client heartbeat"))) == Beat()


@pytest.mark.parametrize("name", names("refused"))
def test_nonsense_is_refused(name: str) -> None:
    golden = FRAMES[name]

    with pytest.raises(errors.RealtimeError) as refused:
        decode(golden["text"])

    assert refused.value.code == golden["code"]
    assert getattr(refused.value, "callbackname", None) == golden.get("callbackname")


def test_bytes_that_are_no_utf8_are_refused() -> None:
    with pytest.raises(errors.BadCall):
        decode(b'{"verb":"\xff"}')


def test_a_message_is_counted_in_bytes() -> None:
    text = json.dumps({"verb": "a", "route": "é" * 50}, ensure_ascii=False)

    with pytest.raises(errors.TooLarge):
        decode(text, Limits(message_bytes=len(text)))
    assert isinstance(decode(text, Limits(message_bytes=len(text.encode()))), Call)


def nested(depth: int) -> str:
    return '{"verb":"a","route":"b","args":{"x":' + "[" * depth + "]" * depth + "}}"


def test_nesting_is_bounded() -> None:
    decode(nested(30))
    with pytest.raises(errors.BadCall):
        decode(nested(31))


def test_nesting_that_python_gives_up_on_is_refused_too() -> None:
    with pytest.raises(errors.BadCall):
        decode(nested(20_000))


def test_what_is_said_of_nonsense_quotes_nothing_of_it() -> None:
    with pytest.raises(errors.BadCall) as refused:
        decode('{"verb": "secret')

    assert "secret" not in refused.value.message


@given(st.text() | st.binary())
def test_any_text_is_a_call_or_refused(text: str | bytes) -> None:
    with suppress(errors.BadCall, errors.TooLarge):
        assert isinstance(decode(text), Call | Beat)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc_"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc_", min_size=1), values))
def test_what_one_side_writes_the_other_reads(args: dict[str, Any]) -> None:
    read = decode(dumps({"verb": "update", "route": "device", "args": args}))

    assert isinstance(read, Call)
    assert read.args == args
