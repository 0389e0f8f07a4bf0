"""Frames against the RFC's own examples and against what an independent client writes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame as PeerFrame
from websockets.frames import Opcode as PeerOpcode

from realtime.framing import Closing, Fault, Opcode, Ping, Pong, Reader, Text, close_frame, frame, text_frame

LIMIT = 1000


def peer(opcode: int, data: bytes, final: bool = True) -> bytes:
    return PeerFrame(PeerOpcode(opcode), data, fin=final).serialize(mask=True)


def received(data: bytes) -> list[object]:
    return list(Reader(LIMIT).receive(data))


def test_the_masked_hello_of_the_rfc_is_read() -> None:
    assert received(bytes.fromhex("818537fa213d7f9f4d5158")) == [Text("Hello")]


def test_the_unmasked_hello_of_the_rfc_is_written() -> None:
    assert text_frame(b"Hello") == bytes.fromhex("810548656c6c6f")


@pytest.mark.parametrize("size", [0, 125, 126, 0xFFFF, 0x10000])
def test_every_form_of_length_is_written_as_the_peer_writes_it(size: int) -> None:
    assert text_frame(b"x" * size) == PeerFrame(PeerOpcode.TEXT, b"x" * size).serialize(mask=False)


@given(st.lists(st.text(max_size=60), max_size=5), st.integers(1, 20))
def test_messages_are_the_same_whole_or_in_crumbs(texts: list[str], crumb: int) -> None:
    data = b"".join(peer(1, text.encode()) for text in texts)
    reader = Reader(LIMIT)
    found = [m for i in range(0, len(data), crumb) for m in reader.receive(data[i : i + crumb])]
    assert found == [Text(text) for text in texts]


def test_fragments_become_one_message_with_a_ping_between() -> None:
    data = peer(1, "grü".encode()[:3], final=False) + peer(9, b"?") + peer(0, "grün".encode()[3:])
    assert received(data) == [Ping(b"?"), Text("grün")]


def test_pong_and_goodbye_are_told() -> None:
    assert received(peer(10, b"7") + peer(8, b"\x03\xe8bye")) == [Pong(b"7"), Closing(1000, "bye")]
    assert received(peer(8, b"")) == [Closing(1005, "")]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (bytes.fromhex("810548656c6c6f"), 1002),  # not masked
        (bytes((0xC1, 0x80, 0, 0, 0, 0)), 1002),  # reserved bit: compression was not agreed
        (bytes((0x83, 0x80, 0, 0, 0, 0)), 1002),  # opcode 3
        (peer(2, b"binary"), 1003),
        (peer(0, b"continues nothing"), 1002),
        (peer(1, b"a", final=False) + peer(1, b"b"), 1002),
        (peer(1, b"\xff"), 1007),
        (bytes((0x09, 0x80, 0, 0, 0, 0)), 1002),  # fragmented ping
        (bytes((0x89, 0xFE, 0, 126)), 1002),  # long ping
        (bytes((0x81, 0xFE, 0, 5)), 1002),  # five bytes have a shorter form
        (bytes((0x81, 0xFF)) + (200).to_bytes(8, "big"), 1002),
        (peer(8, b"\x03"), 1002),
        (peer(8, (1006).to_bytes(2, "big")), 1002),
        (peer(8, (999).to_bytes(2, "big")), 1002),
        (peer(8, b"\x03\xe8\xff"), 1007),
        (bytes((0x81, 0xFF)) + (1 << 40).to_bytes(8, "big"), 1009),  # 1 TiB announced
        (peer(1, b"x" * (LIMIT + 1)), 1009),
        (peer(1, b"x" * 600, final=False) + peer(0, b"x" * 600), 1009),
    ],
    ids=lambda value: "frame" if isinstance(value, bytes) else None,  # masks are random, and names should stay
)
def test_a_broken_peer_is_told_with_the_right_code(data: bytes, code: int) -> None:
    with pytest.raises(Fault) as caught:
        received(data)
    assert caught.value.code == code


def test_nothing_behind_a_goodbye_is_read() -> None:
    assert received(peer(8, b"\x03\xe8") + peer(1, b"late") + b"\xff" * 50) == [Closing(1000, "")]


def test_frames_that_are_no_messages_are_counted() -> None:
    reader = Reader(LIMIT)
    reader.receive(peer(1, b"whole") + peer(9, b"") + peer(10, b"") + peer(1, b"a", final=False) + peer(0, b""))
    assert reader.small == 3


def test_a_long_close_reason_is_cut_between_characters() -> None:
    data = close_frame(4001, "ü" * 100)
    assert data[:4] == bytes((0x88, 124)) + (4001).to_bytes(2, "big")
    assert data[4:].decode() == "ü" * 61


def test_pings_are_short_control_frames() -> None:
    assert frame(Opcode.PING, b"1") == bytes((0x89, 1)) + b"1"
