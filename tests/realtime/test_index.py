from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.filters import Condition, Filter
from realtime.index import FilterIndex
from tests.realtime.test_filters import filters, objects

EVERYTHING = Filter.everything()


@settings(max_examples=300)
@given(st.lists(filters, max_size=12), st.lists(st.booleans(), min_size=12, max_size=12), st.lists(objects, max_size=5))
def test_the_index_finds_what_trying_every_filter_finds(
    wishes: list[Filter], stay: list[bool], values: list[dict[str, Any]]
) -> None:
    channels = {wish.name("s"): wish for wish in wishes}
    index = FilterIndex()
    for name, wish in channels.items():
        index.add(name, wish)
    for (name, _), keep in zip(list(channels.items()), stay, strict=False):
        if not keep:
            index.remove(name)
            del channels[name]

    for each in values:
        assert index.match(each) == {name for name, wish in channels.items() if wish.passes(each)}


def test_no_object_is_in_no_channel() -> None:
    index = FilterIndex()
    index.add("s|", EVERYTHING)

    assert index.match(None) == set()
    assert index.match({}) == {"s|"}


def test_adding_a_channel_twice_and_removing_it_once_leaves_nothing() -> None:
    index = FilterIndex()
    index.add("s|", EVERYTHING)
    index.add("s|", EVERYTHING)
    index.remove("s|")

    assert index.match({}) == set()


def test_removing_what_is_not_there_changes_nothing() -> None:
    index = FilterIndex()
    index.remove("s|")

    assert index.match({}) == set()


class Counted:
    """A value that counts how often it is compared or hashed."""

    count = 0

    def __init__(self, value: int) -> None:
        self.value = value

    def __hash__(self) -> int:
        Counted.count += 1
        return hash(self.value)

    def __eq__(self, other: object) -> bool:
        Counted.count += 1
        return isinstance(other, Counted) and self.value == other.value

    def __lt__(self, other: Counted) -> bool:
        Counted.count += 1
        return self.value < other.value

    def __gt__(self, other: Counted) -> bool:
        Counted.count += 1
        return self.value > other.value

    def __le__(self, other: Counted) -> bool:
        Counted.count += 1
        return self.value <= other.value


def cost(lookup: str, channels: int, value: int) -> tuple[int, int]:
    """How many channels were found, and how often values were compared for it."""
    index = FilterIndex()
    for number in range(channels):
        index.add(f"s|{number}", Filter(((Condition("f", lookup, Counted(number)),),)))
    asked = {"f": Counted(value)}
    Counted.count = 0
    return len(index.match(asked)), Counted.count


@pytest.mark.parametrize("lookup", ["exact"])
def test_the_cost_does_not_grow_with_equalities_that_do_not_match(lookup: str) -> None:
    assert cost(lookup, 10, 5)[1] == cost(lookup, 5000, 5)[1]


@pytest.mark.parametrize(("lookup", "value"), [("gt", 1), ("lt", 4999)])
def test_the_cost_of_ranges_that_do_not_match_grows_with_their_logarithm(lookup: str, value: int) -> None:
    found, compared = cost(lookup, 5000, value)

    assert found <= 1
    assert compared <= 15


def span(low: int, high: int) -> tuple[Condition, ...]:
    return Condition("f", "gte", Counted(low)), Condition("f", "lt", Counted(high))


@pytest.mark.parametrize(
    ("name", "spans"),
    [
        ("one beside the other", [(n, n + 1) for n in range(5000)]),
        ("one in the other", [(n, 10_000 - n) for n in range(5000)]),
        ("all before", [(-5001 + n, -1 - n % 7) for n in range(5000)]),
        ("all behind", [(20_000 + n, 20_001 + 2 * n) for n in range(5000)]),
    ],
)
def test_the_cost_of_two_sided_ranges_that_do_not_match_grows_with_their_logarithm(
    name: str, spans: list[tuple[int, int]]
) -> None:
    index = FilterIndex()
    for low, high in spans:
        index.add(f"s|{low}-{high}", Filter((span(low, high),)))
    for value in (-1, 0, 4999, 5001, 9999, 30_001):
        wanted = {f"s|{low}-{high}" for low, high in spans if low <= value < high}
        asked = {"f": Counted(value)}
        Counted.count = 0
        found = index.match(asked)
        # Three comparisons a node, of pairs: equal, then less. Trees of 5,000 are rarely deeper than 35.
        assert (found, Counted.count <= 6 * 35 + 12 * len(wanted)) == (wanted, True), (value, Counted.count)


def test_two_sided_ranges_of_one_object_cost_their_logarithm_too() -> None:
    index = FilterIndex()
    for number in range(5000):
        conditions = (Condition("device", "exact", 7), *span(2 * number, 2 * number + 1))
        index.add(f"s|{number}", Filter((conditions,)))
    asked = {"device": 7, "f": Counted(6001)}
    Counted.count = 0

    assert index.match(asked) == set()
    assert Counted.count <= 6 * 35


def test_the_cost_does_not_grow_with_lists_that_do_not_match() -> None:
    def compared(channels: int) -> int:
        index = FilterIndex()
        for number in range(channels):
            members = tuple(Counted(3 * number + k) for k in range(3))
            index.add(f"s|{number}", Filter(((Condition("f", "in", members),),)))
        asked = {"f": Counted(-1)}
        Counted.count = 0
        assert index.match(asked) == set()
        return Counted.count

    assert compared(5000) <= compared(10) + 1


def test_thresholds_of_one_object_are_bisected_too() -> None:
    index = FilterIndex()
    for number in range(2000):
        conditions = (Condition("device", "exact", 7), Condition("value", "gt", Counted(number)))
        index.add(f"s|{number}", Filter((conditions,)))
    asked = {"device": 7, "value": Counted(3)}
    Counted.count = 0

    assert len(index.match(asked)) == 3
    assert Counted.count <= 15
