from __future__ import annotations

import pytest

from realtime.rate import Bucket
from tests.realtime.core import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bucket(clock: Clock) -> Bucket:
    return Bucket(20, 40, 10, clock)


def test_a_burst_is_read_at_once(bucket: Bucket) -> None:
    assert [bucket.take() for _ in range(40)] == [0.0] * 40


def test_after_the_burst_calls_are_read_later(bucket: Bucket) -> None:
    for _ in range(40):
        bucket.take()

    assert bucket.take() == pytest.approx(0.05)
    assert bucket.take() == pytest.approx(0.10)


def test_who_calls_in_time_never_waits(bucket: Bucket, clock: Clock) -> None:
    for _ in range(1000):
        clock.now += 0.05
        assert bucket.take() == 0.0


def test_who_waits_as_told_and_then_rests_does_not_flood(bucket: Bucket, clock: Clock) -> None:
    for _ in range(10):
        for _ in range(60):
            clock.now += bucket.take()
        assert not bucket.flooding
        clock.now += 2.0


def test_who_keeps_the_bucket_empty_for_ten_seconds_floods(bucket: Bucket, clock: Clock) -> None:
    begin = clock.now
    while not bucket.flooding:
        clock.now += bucket.take()
        assert clock.now - begin < 20

    assert 10 <= clock.now - begin < 13


def test_one_call_after_a_long_silence_is_no_flood(bucket: Bucket, clock: Clock) -> None:
    for _ in range(60):
        bucket.take()
    clock.now += 3600
    bucket.take()

    assert not bucket.flooding


def test_many_may_come_at_once(bucket: Bucket) -> None:
    assert bucket.take(40) == 0.0
    assert bucket.take(10) == pytest.approx(0.5)
