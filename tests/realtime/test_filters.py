from __future__ import annotations

import datetime as dt
import uuid
from collections import defaultdict
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.errors import BadFilter, TooMany
from realtime.filters import ALTERNATIVES, Condition, Filter, Kind, parse_conditions, typed
from tests.realtime.core import device

EVERYTHING, NOTHING = Filter.everything(), Filter.nothing()
KINDS = {
    "location": Kind("integer"),
    "is_on": Kind("boolean"),
    "name": Kind("text"),
    "value": Kind("float"),
    "price": Kind("decimal"),
    "at": Kind("datetime"),
}
ALLOWED = {
    "location": ["exact", "in", "isnull"],
    "is_on": ["exact"],
    "name": ["exact", "in", "contains", "gt"],
    "value": ["exact", "lt", "lte", "gt", "gte"],
    "price": ["exact", "gt"],
    "at": ["gte"],
}


def asked(**args: Any) -> Filter:
    return EVERYTHING.narrowed(parse_conditions(args, ALLOWED, KINDS))


# -- what passes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lookup", "wanted", "passing", "failing"),
    [
        ("exact", False, [False], [True, None]),
        ("exact", 0, [0], [1, None]),
        ("exact", "", [""], ["a", None]),
        ("isnull", True, [None], ["", 0, False]),
        ("isnull", False, ["", 0, False], [None]),
        ("in", (1, None), [1, None], [2]),
        ("in", ("a", ""), ["a", ""], ["b", None]),
        ("lt", 5, [4], [5, 6, None]),
        ("lte", 5, [4, 5], [6, None]),
        ("gt", 5, [6], [5, 4, None]),
        ("gte", 5, [6, 5], [4, None]),
        ("contains", "am", ["lamp", "am"], ["LAMP", "", None]),
        ("contains", "", ["", "a"], [None]),
    ],
)
def test_a_condition_lets_pass(lookup: str, wanted: Any, passing: list[Any], failing: list[Any]) -> None:
    condition = Condition("field", lookup, wanted)

    assert all(condition.passes(value) for value in passing)
    assert not any(condition.passes(value) for value in failing)


def test_everything_and_nothing() -> None:
    assert EVERYTHING.passes({})
    assert not NOTHING.passes({})


def test_no_object_passes_no_filter() -> None:
    assert not EVERYTHING.passes(None)


def test_conditions_of_one_alternative_must_all_hold() -> None:
    both = asked(location=3, is_on=True)

    assert both.passes({"location": 3, "is_on": True})
    assert not both.passes({"location": 3, "is_on": False})


def test_one_of_several_contexts_is_enough() -> None:
    either = EVERYTHING.either([[Condition("location", "exact", 3)], [Condition("is_on", "exact", True)]])

    assert either.passes({"location": 3, "is_on": False})
    assert either.passes({"location": 4, "is_on": True})
    assert not either.passes({"location": 4, "is_on": False})


def test_no_context_lets_nothing_pass() -> None:
    assert EVERYTHING.either([]) == NOTHING


def test_an_empty_context_narrows_nothing() -> None:
    assert EVERYTHING.either([[], [Condition("location", "exact", 3)]]) == EVERYTHING


def test_narrowing_nothing_stays_nothing() -> None:
    assert NOTHING.narrowed([Condition("location", "exact", 3)]) == NOTHING


def test_an_empty_list_lets_nothing_pass() -> None:
    assert asked(location__in=[]) == NOTHING


def test_a_clients_wish_never_widens_what_the_router_gives() -> None:
    rights = EVERYTHING.either([[Condition("location", "exact", 3)], [Condition("location", "exact", 4)]])
    wish = rights.narrowed([Condition("location", "exact", 5)])

    assert not any(wish.passes({"location": location}) for location in (3, 4, 5))


def test_more_alternatives_than_are_worth_looking_up_are_refused() -> None:
    contexts = [[Condition("location", "exact", number)] for number in range(ALTERNATIVES + 1)]

    with pytest.raises(TooMany):
        EVERYTHING.either(contexts)


# -- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filter", "name"),
    [
        (EVERYTHING, "device|"),
        (NOTHING, "device|none"),
        (asked(location=3), "device|location:3"),
        (asked(location=3, is_on=False), "device|is_on:false|location:3"),
        (asked(location=None), "device|location__isnull:true"),
        (asked(name="null"), "device|name:null"),
        (asked(name=""), "device|name:"),
        (asked(name="kitchen lamp|is_on:true, 💡"), "device|name:kitchen%20lamp%7Cis_on:true%2C%20%F0%9F%92%A1"),
        (asked(name__in=["b", "a", "b", None]), "device|name__in:!null,a,b"),
        (asked(name__in=["!null", ""]), "device|name__in:,%21null"),
        (asked(location__in=[4]), "device|location:4"),
        (asked(value__gt=-0.0), "device|value__gt:0.0"),
        (asked(price="1.50"), "device|price:1.5"),
        (asked(price="1E+3".replace("E+3", "000")), "device|price:1000"),
        (asked(at__gte="2026-01-02T05:00:00+02:00"), "device|at__gte:2026-01-02T03:00:00+00:00"),
        (
            EVERYTHING.either([[Condition("location", "exact", 4)], [Condition("location", "exact", 3)]]),
            "device|location:3||location:4",
        ),
    ],
)
def test_a_channel_is_named_after_its_filter(filter: Filter, name: str) -> None:
    assert filter.name("device") == name


def test_the_order_of_conditions_does_not_matter() -> None:
    assert asked(location=3, is_on=True) == asked(is_on=True, location=3)


def test_equal_values_have_one_name() -> None:
    assert asked(price="1.0") == asked(price="1.00") == asked(price=1)


def test_a_long_name_becomes_a_digest() -> None:
    one = asked(name__in=[f"device number {number}" for number in range(100)])
    other = asked(name__in=[f"device number {number}" for number in range(99)])

    assert len(one.name("device")) < 100
    assert one.name("device") != other.name("device")


values = {
    "integer": st.integers(-3, 3),
    "text": st.text("a|,:_!~%n ", max_size=3) | st.sampled_from(["null", "!null", "true", "1", "a__in:b", "||"]),
    "boolean": st.booleans(),
}


def conditions(field: str, kind: str) -> st.SearchStrategy[Condition]:
    value = values[kind]
    members = st.lists(st.none() | value, max_size=3).map(tuple)
    choices = [
        value.map(lambda value: Condition(field, "exact", value)),
        members.map(lambda members: Condition(field, "in", members)),
        st.booleans().map(lambda null: Condition(field, "isnull", null)),
    ]
    if kind == "integer":
        choices.append(
            st.tuples(st.sampled_from(["lt", "lte", "gt", "gte"]), value).map(lambda pair: Condition(field, *pair))
        )
    if kind == "text":
        choices.append(value.map(lambda value: Condition(field, "contains", value)))
    return st.one_of(choices)


any_condition = conditions("i", "integer") | conditions("t", "text") | conditions("b", "boolean")
filters = st.lists(st.lists(any_condition, max_size=3), max_size=3).map(EVERYTHING.either)
objects = st.fixed_dictionaries(
    {
        "i": st.none() | values["integer"],
        "t": st.none() | values["text"],
        "b": st.none() | values["boolean"],
    }
)


@given(filters, filters)
def test_only_equal_filters_share_a_channel(one: Filter, other: Filter) -> None:
    assert (one.name("s") == other.name("s")) == (one == other)


@given(st.lists(st.lists(any_condition, max_size=3), max_size=3), objects)
def test_making_a_filter_canonical_does_not_change_what_passes(
    contexts: list[list[Condition]], values: dict[str, Any]
) -> None:
    plain = any(all(member.passes(values[member.field]) for member in context) for context in contexts)

    assert EVERYTHING.either(contexts).passes(values) == plain


@given(filters, st.lists(any_condition, max_size=2), objects)
def test_narrowing_is_and(filter: Filter, more: list[Condition], values: dict[str, Any]) -> None:
    expected = filter.passes(values) and all(member.passes(values[member.field]) for member in more)

    assert filter.narrowed(more).passes(values) == expected


# -- what a client asks for -----------------------------------------------------------------------------------------


def test_reserved_arguments_are_no_filters() -> None:
    assert parse_conditions({"channel": "devices", "_snapshot": True, "_page": 1}, ALLOWED, KINDS) == ()


def test_the_word_of_swampdragon_for_equal_is_understood() -> None:
    assert asked(location__eq=3) == asked(location=3)


@pytest.mark.parametrize(
    "args",
    [
        {"password": "a"},
        {"password__startswith": "a"},
        {"location__gt": 3},
        {"location__regex": "."},
        {"location__owner__password": "a"},
        {"is_on__isnull": True},
        {"name__gt": "a"},
        {"": 1},
        {"location__": 1},
        {"location": "3"},
        {"location": True},
        {"location": 2.0},
        {"location": [3]},
        {"location": {"a": 1}},
        {"location__in": 3},
        {"location__in": "345"},
        {"location__in": [[3]]},
        {"location__isnull": 1},
        {"value__gt": None},
        {"value__gt": float("nan")},
        {"name__contains": None},
        {"is_on": "True"},
        {"at__gte": "2026-01-02"},
    ],
)
def test_anything_not_allowed_is_a_bad_filter_that_names_no_field(args: dict[str, Any]) -> None:
    with pytest.raises(BadFilter) as refused:
        parse_conditions(args, ALLOWED, KINDS)

    assert not any(name in refused.value.message for name in ("location", "is_on", "price", "password"))


def test_what_exists_and_is_not_allowed_sounds_like_what_does_not_exist() -> None:
    messages = set()
    for name in ("secret", "no_such_field"):
        with pytest.raises(BadFilter) as refused:
            parse_conditions({name: 1}, ALLOWED, {**KINDS, "secret": Kind("integer")})
        messages.add(refused.value.message)

    assert len(messages) == 1


def test_a_list_has_a_limit() -> None:
    parse_conditions({"location__in": list(range(100))}, ALLOWED, KINDS)
    with pytest.raises(TooMany):
        parse_conditions({"location__in": list(range(101))}, ALLOWED, KINDS)


@given(st.dictionaries(st.text("location_is_on_name__in__gt", max_size=14), st.none() | st.integers() | st.text()))
def test_whatever_is_asked_is_a_filter_or_refused(args: dict[str, Any]) -> None:
    try:
        found = parse_conditions(args, ALLOWED, KINDS)
    except BadFilter:
        return
    assert all(condition.field in ALLOWED for condition in found)


# -- values of a change ---------------------------------------------------------------------------------------------


def test_the_values_of_a_change_become_comparable() -> None:
    change = device(1, 2, location=3, before=(4, None))
    kinds = {"location": Kind("integer")}

    assert typed(change, kinds).now == {"location": 3}
    assert typed(change, kinds).before == ({"location": 4}, None)


@pytest.mark.parametrize("kinds", [{"location": Kind("text")}, {"location": Kind("integer"), "owner": Kind("text")}])
def test_values_of_another_program_version_are_an_error(kinds: dict[str, Kind]) -> None:
    with pytest.raises(ValueError):
        typed(device(1, 2), kinds)


@pytest.mark.parametrize(
    "value",
    [
        True,
        3,
        2.5,
        "text",
        Decimal("1.5"),
        dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
        dt.date(2026, 1, 2),
        dt.time(3),
        dt.timedelta(hours=1),
        uuid.UUID(int=5),
    ],
)
def test_every_kind_of_value_has_a_name(value: Any) -> None:
    named = defaultdict(list)
    for other in (value, None):
        named[EVERYTHING.narrowed([Condition("f", "exact", other)]).name("s")].append(other)

    assert len(named) == 2


def test_a_value_of_no_kind_is_a_mistake_of_the_program() -> None:
    with pytest.raises(TypeError):
        EVERYTHING.narrowed([Condition("f", "exact", b"bytes")]).name("s")
