"""Intervals that hold a value, against trying each."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.intervals import Bound, Intervals

bounds = st.tuples(st.integers(0, 20), st.sampled_from((-1, 0, 1)))
steps = st.lists(st.tuples(st.booleans(), st.integers(0, 15), bounds, bounds), max_size=60)


@settings(max_examples=300)
@given(steps)
def test_it_finds_what_trying_each_finds_whatever_came_and_went(steps: list[tuple[bool, int, Bound, Bound]]) -> None:
    intervals: Intervals[int] = Intervals()
    kept: dict[int, tuple[Bound, Bound]] = {}
    for adding, item, low, high in steps:
        if not adding:
            intervals.discard(item)
            kept.pop(item, None)
        elif item not in kept:
            intervals.add(low, high, item)
            kept[item] = low, high
        assert bool(intervals) is bool(kept)
        for value in range(-1, 22):
            wanted = sorted(item for item, (low, high) in kept.items() if low <= (value, 0) <= high)
            assert sorted(intervals.at(value)) == wanted


def test_many_with_one_beginning_are_told_apart() -> None:
    intervals: Intervals[str] = Intervals()
    for name in "abc":
        intervals.add((1, 0), (5, 0), name)
    intervals.discard("b")
    assert sorted(intervals.at(5)) == ["a", "c"]
    intervals.discard("b")
    intervals.discard("a")
    intervals.discard("c")
    assert not intervals
    assert list(intervals.at(5)) == []
