from __future__ import annotations

from typing import Any

import pytest

from devices import schema
from tests.devices.base import DIMMER

NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "value",
    [
        {"on": True},
        {"level": 0},
        {"level": 100},
        {"level": 55.5},
        {"mode": "night"},
        {"label": "Grünlicht 🌱"},
        {"on": False, "level": 10, "mode": "day"},
    ],
)
def test_values_within_the_schema_can_be_asked_for(value: Any) -> None:
    assert schema.check_wish(DIMMER, value) == {}


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ({"on": 1}, "on"),
        ({"on": "true"}, "on"),
        ({"on": None}, "on"),
        ({"level": True}, "level"),
        ({"level": "50"}, "level"),
        ({"level": -1}, "level"),
        ({"level": 100.1}, "level"),
        ({"level": NAN}, "level"),
        ({"level": INF}, "level"),
        ({"level": 10**5000}, "level"),
        ({"level": []}, "level"),
        ({"mode": "dusk"}, "mode"),
        ({"mode": ["day"]}, "mode"),
        ({"label": "x" * 201}, "label"),
        ({"label": "a\x00b"}, "label"),
        ({"label": "\ud800"}, "label"),
        ({"power": 3}, "power"),
        ({"colour": "red"}, "colour"),
        ({}, "__all__"),
        ([], "__all__"),
        (None, "__all__"),
        ("on", "__all__"),
        ({str(n): 1 for n in range(33)}, "__all__"),
    ],
)
def test_anything_else_cannot_be_asked_for(value: Any, key: str) -> None:
    assert list(schema.check_wish(DIMMER, value)) == [key]


def test_a_name_that_nobody_checked_is_shortened_in_the_answer() -> None:
    assert list(schema.check_wish(DIMMER, {"\x00\ud800" + "x" * 90: 1})) == ["\\x00\\ud800" + "x" * 38]


@pytest.mark.parametrize("value", [{"power": 99.5}, {"level": 140}, {"rssi": -60}, {"fw": "1.2"}, {"door": None}, {}])
def test_a_report_may_be_out_of_bounds_and_know_more_keys(value: Any) -> None:
    assert schema.check_report(DIMMER, value) == {}


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ({"power": NAN}, "power"),
        ({"power": "3"}, "power"),
        ({"on": 0}, "on"),
        ({"extra": {"a": 1}}, "extra"),
        ({"extra": INF}, "extra"),
        ({"Bad Key": 1}, "Bad Key"),
        ({"extra": "x" * 500}, "extra"),
        ([1], "__all__"),
    ],
)
def test_a_report_is_refused_when_it_cannot_be_stored_or_shown(value: Any, key: str) -> None:
    assert list(schema.check_report(DIMMER, value)) == [key]


@pytest.mark.parametrize(
    ("key", "wanted", "reported", "expected"),
    [
        ("on", True, True, True),
        ("on", True, 1, False),
        ("level", 60, 60.4, True),
        ("level", 60, 61, False),
        ("power", 0.1 + 0.2, 0.3, True),
        ("mode", "day", "night", False),
        ("unknown", 5, 5, True),
    ],
)
def test_numbers_are_reached_within_half_a_step(key: str, wanted: Any, reported: Any, expected: bool) -> None:
    assert schema.satisfied(DIMMER.get(key), wanted, reported) is expected


def test_the_schema_used_in_these_tests_is_in_order() -> None:
    assert schema.problems(DIMMER) == []


@pytest.mark.parametrize(
    "broken",
    [
        [],
        {"On": {"kind": "bool"}},
        {"on": "bool"},
        {"on": {}},
        {"on": {"kind": "colour"}},
        {"on": {"kind": "bool", "colour": 1}},
        {"on": {"kind": "bool", "writable": 1}},
        {"on": {"kind": "bool", "words": ["Off"]}},
        {"on": {"kind": "bool", "words": "no"}},
        {"mode": {"kind": "enum"}},
        {"mode": {"kind": "enum", "options": ["a", "a"]}},
        {"mode": {"kind": "enum", "options": [1]}},
        {"level": {"kind": "number", "min": "0"}},
        {"level": {"kind": "number", "min": NAN}},
        {"level": {"kind": "number", "min": 2, "max": 1}},
        {"level": {"kind": "number", "step": 0}},
        {"level": {"kind": "number", "record": -1}},
        {"level": {"kind": "number", "decimals": 9}},
        {"level": {"kind": "number", "unit": 5}},
        {"a": {"kind": "bool", "main": True}, "b": {"kind": "bool", "main": True}},
        {f"k{n}": {"kind": "bool"} for n in range(33)},
        {"a": {"kind": "enum", "options": ["x" * 201]}},
    ],
)
def test_a_schema_that_makes_no_sense_is_named(broken: Any) -> None:
    assert schema.problems(broken)
