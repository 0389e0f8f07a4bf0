from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.change import Change, Event
from realtime.limits import Limits
from realtime.streams import Stream, Taken
from tests.realtime.core import Clock, device

LIMITS = Limits(history_changes=4, history_bytes=1000, history_seconds=300)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def stream(clock: Clock) -> Stream:
    stream = Stream("device", clock, LIMITS)
    stream.adopt("e1", 10)
    return stream


def offsets(found: list[tuple[int, Any]] | None) -> list[int] | None:
    return None if found is None else [offset for offset, _ in found]


def test_a_new_stream_knows_no_epoch(clock: Clock) -> None:
    stream = Stream("device", clock)

    assert stream.position is None
    assert stream.take("e1", 5, device(1, 1), 10) is Taken.NEW_EPOCH
    assert stream.since(("e1", 4)) is None


def test_the_next_one_is_delivered(stream: Stream) -> None:
    assert stream.take("e1", 11, device(1, 1), 10) is Taken.DELIVER
    assert stream.position == ("e1", 11)


@pytest.mark.parametrize(
    ("epoch", "offset", "taken"),
    [("e1", 10, Taken.DROP), ("e1", 3, Taken.DROP), ("e1", 12, Taken.GAP), ("e2", 11, Taken.NEW_EPOCH)],
)
def test_anything_else_changes_nothing(stream: Stream, epoch: str, offset: int, taken: Taken) -> None:
    assert stream.take(epoch, offset, device(1, 1), 10) is taken
    assert stream.position == ("e1", 10)
    assert stream.since(("e1", 10)) == []


def test_a_position_continues_with_what_came_after_it(stream: Stream) -> None:
    for number in (1, 2, 3):
        stream.take("e1", 10 + number, device(number, number), 10)

    assert offsets(stream.since(("e1", 11))) == [12, 13]


def test_the_head_has_nothing_after_it(stream: Stream) -> None:
    assert stream.since(("e1", 10)) == []


@pytest.mark.parametrize("position", [("e0", 10), ("e1", 9), ("e1", 11)])
def test_what_was_never_or_is_no_longer_known_cannot_be_continued(stream: Stream, position: tuple[str, int]) -> None:
    assert stream.since(position) is None


def test_of_each_object_only_the_newest_change_with_all_earlier_states(stream: Stream) -> None:
    stream.take("e1", 11, device(1, 1, location=4, before=(3,)), 10)
    stream.take("e1", 12, device(2, 2), 10)
    stream.take("e1", 13, device(1, 3, location=5, before=(4,)), 10)
    found = stream.since(("e1", 10))

    assert offsets(found) == [12, 13]
    assert found is not None
    newest = found[1][1]
    assert isinstance(newest, Change)
    assert newest.revision == 3
    assert {state["location"] for state in newest.before if state} == {3, 4}


def test_events_are_all_there(stream: Stream) -> None:
    for offset in (11, 12):
        stream.take("e1", offset, Event("room", {"text": "hi"}), 10)

    assert offsets(stream.since(("e1", 10))) == [11, 12]


def test_the_number_of_changes_kept_is_bounded(stream: Stream) -> None:
    for offset in range(11, 17):
        stream.take("e1", offset, device(offset, offset), 10)

    assert stream.since(("e1", 11)) is None
    assert offsets(stream.since(("e1", 12))) == [13, 14, 15, 16]


def test_the_bytes_kept_are_bounded(stream: Stream) -> None:
    stream.take("e1", 11, device(1, 1), 600)
    stream.take("e1", 12, device(2, 2), 600)

    assert stream.since(("e1", 10)) is None
    assert offsets(stream.since(("e1", 11))) == [12]


def test_a_change_larger_than_the_whole_history_is_delivered_and_not_kept(stream: Stream) -> None:
    assert stream.take("e1", 11, device(1, 1), 2000) is Taken.DELIVER
    assert stream.since(("e1", 10)) is None
    assert stream.since(("e1", 11)) == []


def test_what_is_too_old_is_forgotten_without_anything_new(stream: Stream, clock: Clock) -> None:
    stream.take("e1", 11, device(1, 1), 10)
    clock.now += 299
    assert offsets(stream.since(("e1", 10))) == [11]
    clock.now += 2
    assert stream.since(("e1", 10)) is None


def test_adopting_a_head_forgets_everything_before_it(stream: Stream) -> None:
    stream.take("e1", 11, device(1, 1), 10)
    stream.adopt("e2", 5)

    assert stream.since(("e1", 10)) is None
    assert stream.since(("e2", 4)) is None
    assert stream.since(("e2", 5)) == []
    assert stream.take("e2", 6, device(1, 2), 10) is Taken.DELIVER


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 3)), max_size=12), st.integers(0, 12))
def test_continuing_shows_what_everything_in_turn_would_have_shown(moves: list[tuple[int, int]], cut: int) -> None:
    """A client follows location 1, is cut after some changes and continues: place 0 means deleted."""
    stream = Stream("device", lambda: 0.0)
    stream.adopt("e", 0)
    places: dict[int, int] = {}
    view: set[int] = set()
    for offset, (key, place) in enumerate(moves, 1):
        change = device(key, offset, place or None, (places.get(key, 0) or None,))
        stream.take("e", offset, change, 1)
        places[key] = place
        if offset <= cut:
            view = view | {key} if place == 1 else view - {key}

    for _, item in stream.since(("e", min(cut, len(moves)))) or []:
        assert isinstance(item, Change)
        key = item.id
        if item.now == {"location": 1}:
            view.add(key)
        elif {"location": 1} in item.before:
            view.discard(key)

    assert view == {key for key, place in places.items() if place == 1}


def test_a_dirty_row_whose_change_has_come_is_not_waited_for(stream: Stream) -> None:
    stream.take("e1", 11, device(1, 5), 10)
    read = {"1": (5, True), "2": (6, True), "3": (4, False)}
    assert stream.yet_to_come(read) == {**read, "1": (5, False)}
    assert stream.yet_to_come({"1": (7, True)}) == {"1": (7, True)}
    stream.adopt("e2", 0)
    assert stream.yet_to_come(read) == read


def test_what_is_forgotten_may_still_come() -> None:
    stream = Stream("device", Clock(), Limits(history_changes=1))
    stream.adopt("e1", 0)
    stream.take("e1", 1, device(1, 1), 10)
    stream.take("e1", 2, device(2, 2), 10)
    assert stream.yet_to_come({"1": (1, True), "2": (2, True)}) == {"1": (1, True), "2": (2, False)}
