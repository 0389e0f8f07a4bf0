"""The receivers' ledger believes no server: what is lost, doubled, garbled or someone else's is named."""

from __future__ import annotations

import random

import pytest

from benchmarks.dialects import Plain, message
from benchmarks.framing import PING, PONG, TEXT, control, split
from benchmarks.ledger import Ledger, Member, Shares

ROOMS = 10


def frame(text: str) -> bytes:
    """As a server writes it: without a mask."""
    body = text.encode()
    return (bytes([0x81, len(body)]) if len(body) < 126 else b"\x81\x7e" + len(body).to_bytes(2, "big")) + body


def frames(count: int) -> list[bytes]:
    return [frame(message(number, 1.0)) for number in range(1, count + 1)]


def crowd(count: int) -> tuple[Ledger, list[Member], list[bytes]]:
    written: list[bytes] = []
    return Ledger(Plain()), [Member(number, written.append) for number in range(count)], written


def test_equal_streams_are_counted_however_they_were_cut() -> None:
    ledger, members, _ = crowd(20)
    stream = b"".join(frames(50))
    cuts = random.Random(4)
    places = [0] * len(members)
    while any(place < len(stream) for place in places):
        for number, member in enumerate(members):
            size = cuts.choice([1, 3, 100, 162, 163, 500, 4000])
            if chunk := stream[places[number] : places[number] + size]:
                ledger.take(member, chunk, 2.0)
                places[number] += size
    assert ledger.faults == []
    assert [member.done for member in members] == [50] * 20
    assert ledger.delays(ledger.log) == [1.0] * 20 * 50


@pytest.mark.parametrize("first", [True, False], ids=["by the first receiver", "by another one"])
@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        pytest.param(lambda all: all[:3] + all[4:], "lost", id="lost"),
        pytest.param(lambda all: all[:4] + all[3:], "twice", id="doubled"),
        pytest.param(lambda all: [*all[:3], all[4], all[3], *all[5:]], "lost", id="out of order"),
        pytest.param(lambda all: [*all[:3], all[3].replace(b"lamp", b"lump"), *all[4:]], "garbled", id="garbled"),
        pytest.param(lambda all: [*all[:3], all[3].replace(b'":', b'"!'), *all[4:]], "garbled", id="no JSON"),
    ],
)
def test_a_fault_is_named(spoil: object, named: str, first: bool) -> None:
    ledger, (one, other), _ = crowd(2)
    right, wrong = frames(9), spoil(frames(9))  # type: ignore[operator]
    for member, stream in ((one, wrong if first else right), (other, right if first else wrong)):
        ledger.take(member, b"".join(stream), 2.0)
    assert named in ledger.faults[0]
    assert f"receiver {0 if first else 1}, after {4 if named == 'twice' else 3} frames" in ledger.faults[0]


def test_a_frame_that_differs_from_the_others_own_is_named_even_if_it_looks_right() -> None:
    ledger, (one, other), _ = crowd(2)
    ledger.take(one, frame(message(1, 1.0)), 2.0)
    ledger.take(other, frame(message(1, 1.5)), 2.0)
    assert "another frame than others got" in ledger.faults[0]


def test_pings_between_frames_are_answered_and_disturb_nothing() -> None:
    ledger, (one, other), written = crowd(2)
    first, second = frames(2)
    ledger.take(one, first + second, 2.0)
    ledger.take(other, first[:70], 2.0)
    ledger.take(other, first[70:] + bytes([0x80 | PING, 2]) + b"hi" + second[:5], 2.0)
    ledger.take(other, second[5:], 2.0)
    assert ledger.faults == [] and other.done == 2
    assert written == [control(PONG, b"hi")]


def test_a_close_in_the_middle_is_kept() -> None:
    ledger, (one,), _ = crowd(1)
    ledger.take(one, frames(1)[0] + b"\x88\x02" + (4008).to_bytes(2, "big"), 2.0)
    assert (one.done, one.shut) == (1, 4008)


def test_whoever_has_a_room_of_his_own_gets_its_changes_only() -> None:
    shares = Shares(Plain(), ROOMS)
    member = Member(3, lambda data: None)
    for number in (3, 13, 23):
        shares.take(member, frame(message(number, 1.0, "3")), 2.0)
    assert (member.done, shares.faults) == (3, [])
    shares.take(member, frame(message(34, 1.0, "4")), 2.0)
    assert "change 34 came where 33 was due" in shares.faults[0]


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_frame_of_each_length_comes_apart_again(size: int) -> None:
    masked = control(TEXT, b"x" * size)
    # As a server sends it: no mask bit, no mask.
    head = len(masked) - size - 4
    data = bytes([masked[0], masked[1] & 0x7F]) + masked[2:head] + masked[head + 4 :]
    assert list(split(data)) == [(TEXT, 0, head, head + size)]
    assert list(split(data[:-1])) == []
