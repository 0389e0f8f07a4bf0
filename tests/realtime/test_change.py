from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.change import Change, Control, Event, decode, encode
from realtime.protocol import Raw
from tests.realtime.core import device

ITEMS = [
    device(17, 5, name="lamp 💡"),
    device(17, 6, location=None, before=(None, 3, 4)),
    Change("tag", "0a0b", 7, "created", {"id": "0a0b"}, {}, (None,), "0a0b", "tag"),
    Event("room-r1", {"text": "hi", "n": [1, 2.5, None]}),
    Control((3, 4), "membership"),
    Control(None, "permissions"),
]


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(item).__name__)
def test_what_is_encoded_is_decoded_equal(item: Change | Event | Control) -> None:
    assert decode(encode(item)) == item


def test_data_that_is_only_passed_on_stays_the_text_that_it_is() -> None:
    data = {"id": 17, "name": "a\n\u2028💡", "big": 2**70}
    change = Change("device", "17", 1, "updated", data, {"on": True}, ({"on": True},), 17, "device")
    found = decode(encode(change), raw=True)
    assert isinstance(found, Change) and isinstance(found.data, Raw)
    assert json.loads(found.data.text) == data
    # One object, which the hub knows by being the same.
    assert found.before[0] is found.now


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("rest", ["", "\n", "\n[]", "\ntrue", "\n1", " ", ',{"id":1}', "\n{", "\n}"])
def test_a_change_without_its_data_is_a_value_error(rest: str, raw: bool) -> None:
    head = encode(device(17, 5)).partition("\n")[0]
    with pytest.raises(ValueError):
        decode(head + rest, raw=raw)


def test_a_value_without_a_form_on_the_wire_is_not_encoded() -> None:
    with pytest.raises(ValueError):
        encode(Event("room", float("nan")))


@pytest.mark.parametrize(
    "body",
    [
        "",
        "no json",
        "[]",
        "3",
        "{}",
        '{"change": 1}',
        '{"change": ["device"]}',
        '{"event": "a"}',
        '{"users": 3, "control": "x"}',
        json.dumps({"change": ["device", 17, 1, "updated", 17, "device"], "data": {}, "now": {}, "before": []}),
        json.dumps({"change": ["device", "17", 1, "updated", 17, "device"], "data": 1, "now": {}, "before": []}),
        json.dumps({"change": ["device", "17", 1, "updated", 17, "device"], "data": {}, "now": {}, "before": [1]}),
        json.dumps({"change": ["device", "17", "1", "updated", 17, "device"], "data": {}, "now": {}, "before": []}),
    ],
)
def test_a_body_of_anybody_else_is_a_value_error(body: str) -> None:
    with pytest.raises(ValueError):
        decode(body)


@given(st.text())
def test_any_text_is_decoded_or_a_value_error(body: str) -> None:
    with pytest.raises(ValueError):
        decode(body)


@pytest.mark.parametrize(
    ("before", "action"),
    [
        ((None,), "created"),
        ((None, None), "created"),
        ((None, {"location": 3}), "updated"),
        (({"location": 3},), "updated"),
        # Nothing known of before: `updated`, because an old client would ignore a second `created`.
        ((), "updated"),
    ],
)
def test_only_what_never_was_is_created(before: tuple[Any, ...], action: str) -> None:
    item = Change("device", "1", 1, "updated", {"id": 1}, {"location": 3}, before, 1, "device")

    assert item.action_for_now == action


def test_an_object_without_data_is_gone() -> None:
    assert Change("device", "1", 1, "updated", None, {"location": 3}, (), 1, "device").gone
    assert device(1, 1, location=None).gone
    assert not device(1, 1).gone
