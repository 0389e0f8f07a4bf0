from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.errors import TooSlow
from realtime.outbox import Outbox


def test_frames_come_out_in_the_order_they_came_in() -> None:
    outbox = Outbox(100)
    for frame in (b"a", b"b", b"c"):
        outbox.put(frame)

    assert outbox.take(100) == [b"a", b"b", b"c"]
    assert outbox.empty


def test_a_newer_frame_of_an_object_goes_to_the_end_and_the_older_away() -> None:
    outbox = Outbox(100)
    outbox.put(b"lamp off", "lamp")
    outbox.put(b"heartbeat")
    outbox.put(b"lamp on", "lamp")

    assert outbox.take(100) == [b"heartbeat", b"lamp on"]


def test_what_waits_and_what_is_in_flight_count_together() -> None:
    outbox = Outbox(10)
    outbox.in_flight = 6
    outbox.put(b"1234")
    with pytest.raises(TooSlow):
        outbox.put(b"5")


def test_a_frame_that_replaces_a_longer_one_never_overflows() -> None:
    outbox = Outbox(10)
    outbox.put(b"1234567890", "lamp")
    outbox.put(b"0987654321", "lamp")

    assert outbox.size == 10


def test_taking_stops_before_too_much_but_gives_at_least_one() -> None:
    outbox = Outbox(100)
    for frame in (b"12345678", b"1234", b"1234", b"1"):
        outbox.put(frame)

    assert outbox.take(4) == [b"12345678"]
    assert outbox.take(8) == [b"1234", b"1234"]
    assert outbox.take(8) == [b"1"]
    assert outbox.take(8) == []


def test_taken_frames_are_not_replaced() -> None:
    outbox = Outbox(100)
    outbox.put(b"lamp off", "lamp")
    outbox.take(100)
    outbox.put(b"lamp on", "lamp")

    assert outbox.take(100) == [b"lamp on"]


def test_it_is_not_empty_while_something_is_in_flight() -> None:
    outbox = Outbox(100)
    outbox.in_flight = 1

    assert not outbox.empty


def test_clearing_drops_what_waits() -> None:
    outbox = Outbox(100)
    outbox.put(b"1234")
    outbox.clear()

    assert outbox.size == 0
    assert outbox.take(100) == []


@given(
    st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.binary(min_size=1, max_size=5)) | st.integers(0, 9))
)
def test_its_size_is_what_is_in_it(steps: list[tuple[str | None, bytes] | int]) -> None:
    outbox = Outbox(10_000)
    expected: list[tuple[str | None, bytes]] = []
    for step in steps:
        if isinstance(step, int):
            taken = outbox.take(step)
            assert taken == [frame for _, frame in expected[: len(taken)]]
            del expected[: len(taken)]
        else:
            outbox.put(step[1], step[0])
            expected = [entry for entry in expected if entry[0] is None or entry[0] != step[0]] + [step]
        assert outbox.size == sum(len(frame) for _, frame in expected)

    assert outbox.take(100_000) == [frame for _, frame in expected]
