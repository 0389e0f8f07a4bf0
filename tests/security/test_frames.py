"""Bytes that no honest client sends, over real sockets: the connection is closed with the code of the RFC, little
memory is spent, and nobody else notices."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator

import pytest

from tests.realtime.serving import Peer, Program, Served, peer, person, processes, served, token_of
from tests.security.stranger import (
    BINARY,
    CLOSE,
    FIRST,
    LAST,
    MORE,
    PING,
    PONG,
    TEXT,
    Stranger,
    answered,
    frame,
    handshake,
    rss,
)  # fmt: skip

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = 64 * 1024
CALL = json.dumps({"verb": "ping", "route": "room", "callbackname": "c1"}).encode()


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as found:
        yield found


@pytest.fixture
def canary(server: Served) -> Iterator[Peer]:
    with peer(server.port) as client:
        yield client


def ends(server: Served, canary: Peer, cases: dict[str, bytes], code: int) -> None:
    """Each of these is the end of its connection, and of nothing else."""
    for name, data in cases.items():
        with Stranger.inside(server.port) as stranger:
            stranger.send(data)
            assert stranger.close_code() == code, name
    answered(canary)


def stays(server: Served, cases: dict[str, bytes], data: str = "pong") -> None:
    for name, sent in cases.items():
        with Stranger.inside(server.port) as stranger:
            stranger.send(sent)
            answer = next(payload for first, payload in stranger.frames() if first == TEXT)
            assert json.loads(answer)["data"] == data, name


# -- 30: frames that break the rules -----------------------------------------------------------------------------------


def test_30_frames_that_are_not_masked_are_a_protocol_error(server: Served, canary: Peer) -> None:
    ends(server, canary, {
        "text": frame(TEXT, CALL, mask=None),
        "empty": frame(TEXT, b"", mask=None),
        "ping": frame(PING, b"?", mask=None),
        "close": frame(CLOSE, (1000).to_bytes(2, "big"), mask=None),
        "the second of two": frame(TEXT, CALL) + frame(TEXT, CALL, mask=None),
        "the second fragment": frame(FIRST, b"{") + frame(LAST, b"}", mask=None),
    }, 1002)  # fmt: skip
    # A mask of noughts is one.
    stays(server, {"masked with noughts": frame(TEXT, CALL, mask=b"\0\0\0\0")})


def test_30_reserved_bits_and_opcodes_are_a_protocol_error(server: Served, canary: Peer) -> None:
    bits = {f"bit {bit:#x} of {kind:#x}": frame(kind | bit, b"x")
            for bit in (0x40, 0x20, 0x10, 0x70) for kind in (TEXT, PING, CLOSE, MORE)}  # fmt: skip
    opcodes = {f"opcode {code}": frame(0x80 | code, b"x") for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)}
    ends(server, canary, bits | opcodes, 1002)


def test_30_control_frames_are_short_and_whole(server: Served, canary: Peer) -> None:
    long = {f"{kind:#x} of {size}": frame(kind, b"x" * size)
            for kind in (PING, PONG, CLOSE) for size in (126, 1000, 70_000)}  # fmt: skip
    parts = {f"{kind:#x} in parts": frame(kind & 0x7F, b"x") for kind in (PING, PONG, CLOSE)}
    ends(server, canary, long | parts, 1002)
    with Stranger.inside(server.port) as stranger:
        stranger.send(frame(PING, b"x" * 125))
        assert next(stranger.frames()) == (PONG, b"x" * 125)


def test_30_a_length_has_one_form(server: Served, canary: Peer) -> None:
    ends(server, canary, {
        "a short one in 16 bits": frame(TEXT, CALL, form=16),
        "a short one in 64 bits": frame(TEXT, CALL, form=64),
        "nothing in 64 bits": frame(TEXT, b"", form=64),
        "a middling one in 64 bits": frame(TEXT, b" " * 200 + CALL, form=64),
    }, 1002)  # fmt: skip


def test_30_fragments_come_in_order(server: Served, canary: Peer) -> None:
    ends(server, canary, {
        "what continues nothing": frame(MORE, b"x"),
        "what ends nothing": frame(LAST, b"x"),
        "a message within a message": frame(FIRST, b"x") + frame(TEXT, CALL),
        "a beginning within a message": frame(FIRST, b"x") + frame(FIRST, b"x"),
        "what continues after the end": frame(FIRST, b"x") + frame(LAST, b"") + frame(LAST, b"x"),
    }, 1002)  # fmt: skip
    crumbs = b"".join(frame(FIRST if place == 0 else MORE, CALL[place : place + 1]) for place in range(len(CALL)))
    stays(server, {
        "a letter each, with pings and goodbyes of others between": crumbs + frame(PING, b"?") + frame(LAST),
        "empty ones between": frame(FIRST) + frame(MORE) + frame(MORE, CALL) + frame(MORE) + frame(LAST),
        "with the handshake, before its answer": frame(TEXT, CALL),
    })  # fmt: skip


def test_30_close_codes_that_nobody_may_send_are_a_protocol_error(server: Served, canary: Peer) -> None:
    for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 1999, 2000, 2999, 5000, 65535):
        said = code.to_bytes(2, "big")
        ends(server, canary, {f"{code}": frame(CLOSE, said), f"{code} and why": frame(CLOSE, said + b"x")}, 1002)


def test_30_other_goodbyes_are_answered_in_kind(server: Served, canary: Peer) -> None:
    # 1012 to 1014 are in the registry since; 3000 and above belong to libraries and applications.
    for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999):
        ends(server, canary, {str(code): frame(CLOSE, code.to_bytes(2, "big") + b"bye")}, code)
    ends(server, canary, {"without a code": frame(CLOSE)}, 1000)
    ends(server, canary, {"a code of one byte": frame(CLOSE, b"\x03"), "two goodbyes": frame(CLOSE, b"\0")}, 1002)
    with Stranger.inside(server.port) as stranger:
        stranger.send(frame(CLOSE, b"\x03\xe8") + frame(TEXT, CALL) + b"\xff" * 1000)
        assert stranger.close_code() == 1000


def test_30_text_is_utf_8_also_across_fragments(server: Served, canary: Peer) -> None:
    letter = "😀".encode()
    wrong = [b"\xff", b"\xc0\xaf", b"\xe0\x80\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", letter[:3], b"a\xc3"]
    ends(server, canary, {
        **{f"{data!r} whole": frame(TEXT, data) for data in wrong},
        **{f"{data!r} in parts": frame(FIRST, data[:1]) + frame(LAST, data[1:]) for data in wrong},
        "in a reason": frame(CLOSE, b"\x03\xe8\xff"),
        "half a letter in a reason": frame(CLOSE, b"\x03\xe8" + letter[:2]),
    }, 1007)  # fmt: skip
    text = json.dumps({"verb": "echo", "route": "room", "args": {"text": "😀"}}, ensure_ascii=False).encode()
    place = text.index(letter)
    for cut in range(5):
        data = frame(FIRST, text[: place + cut]) + frame(PING, b"?") + frame(LAST, text[place + cut :])
        with Stranger.inside(server.port) as stranger:
            stranger.send(data)
            answer = next(payload for first, payload in stranger.frames() if first == TEXT)
            assert json.loads(answer)["data"]["text"] == "😀"


def test_30_binary_is_not_spoken(server: Served, canary: Peer) -> None:
    ends(server, canary, {"a call": frame(BINARY, CALL), "nothing": frame(BINARY), "a part": frame(0x02, b"x")}, 1003)


def test_30_rubbish_instead_of_frames_ends_the_connection(server: Served, canary: Peer) -> None:
    for data in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00", b"\0" * 100, b"\xff" * 100, b"\r\n" * 50):
        with Stranger.inside(server.port) as stranger:
            stranger.send(data)
            assert stranger.close_code() in (1002, 1007), data
    answered(canary)


# -- 28, 29: what is too large -----------------------------------------------------------------------------------------


def test_28_what_is_announced_too_large_is_refused_before_it_comes(server: Served, canary: Peer) -> None:
    announced = {
        f"{size} announced": bytes([TEXT, 0xFF]) + size.to_bytes(8, "big")
        for size in (LIMIT + 1, 2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
    }
    ends(server, canary, announced, 1009)
    ends(server, canary, {
        "one byte too long": frame(TEXT, b" " * (LIMIT + 1)),
        "in two parts": frame(FIRST, b" " * LIMIT) + frame(LAST, b" "),
        "announced in the second part": frame(FIRST, b" " * 10) + bytes([LAST, 0xFF]) + (2**40).to_bytes(8, "big"),
    }, 1009)  # fmt: skip
    stays(server, {"as long as may be": frame(TEXT, CALL + b" " * (LIMIT - len(CALL)))})


HASTY = {"REALTIME_FLOOD_SECONDS": "1.0", "REALTIME_FRAMES_PER_SECOND": "2000.0"}


@pytest.fixture
def program() -> Iterator[Program]:
    with processes(1, DJANGO_SETTINGS_MODULE="tests.security.settings_hostile", **HASTY) as (found,):
        yield found


def test_28_many_large_and_endless_messages_cost_three_times_the_limit_each_at_most(program: Program) -> None:
    many = 40
    pid = program.process.pid
    with peer(program.port) as canary:
        for round in range(2):  # the first one warms the server up
            before = rss(pid)
            strangers = [Stranger.inside(program.port, token_of(person(f"s{round}-{n}"))) for n in range(many)]
            for stranger in strangers:
                # As much as may be, and never the end of it.
                stranger.send(frame(FIRST, b"x" * (LIMIT - 1000)))
            answered(canary)
            most = rss(pid)
            for stranger in strangers:
                stranger.send(frame(MORE, b"x" * 2000))
                assert stranger.close_code() == 1009
                stranger.socket.close()
        answered(canary)
    # Of this, each connection itself has a few KiB.
    assert most - before < many * (3 * LIMIT + 16 * 1024), f"{(most - before) // many} bytes each"


def test_28_33_a_flood_behind_the_handshake_is_not_read_before_it_was_answered(program: Program) -> None:
    pid = program.process.pid
    with peer(program.port) as canary:
        answered(canary)
        before = rss(pid)
        for data in (frame(MORE) * 5000, frame(TEXT, b" " * 60_000), b"GET /ws HTTP/1.1\r\n\r\n" * 3000):
            with Stranger(program.port) as stranger:
                stranger.send(handshake() + data)
                stranger.push(data, 1.0)
                answered(canary)
        assert rss(pid) - before < 4 * 1024 * 1024


def test_28_31_floods_of_small_frames_are_slowed_down_and_then_cut(program: Program) -> None:
    floods = {
        "empty fragments": frame(MORE) * 2000,
        "fragments of one byte": frame(MORE, b" ") * 2000,
        "pings": frame(PING, b"?" * 125) * 500,
        "pongs": frame(PONG, b"") * 2000,
    }
    pid, token = program.process.pid, token_of(person())
    with peer(program.port) as canary, contextlib.ExitStack() as stack:
        answered(canary)
        before = rss(pid)
        strangers = {kind: stack.enter_context(Stranger.inside(program.port, token)) for kind in floods}
        for stranger in strangers.values():
            stranger.send(frame(FIRST))
        for _ in range(4):
            for kind, stranger in strangers.items():
                stranger.push(floods[kind], 0.15)
            answered(canary)
        for kind, stranger in strangers.items():
            assert stranger.close_code() in (4029, 1006), kind
        answered(canary)
        # Hundreds of megabytes were offered; Python keeps a little of what it was given.
        assert rss(pid) - before < 8 * 1024 * 1024
    closed = [line for line in program.log.splitlines() if "ERROR" in line or "Traceback" in line]
    assert not closed


def test_29_compression_is_never_agreed_to_so_nothing_can_explode(server: Served, canary: Peer) -> None:
    for offer in ("permessage-deflate", "permessage-deflate; client_max_window_bits", "x-webkit-deflate-frame",
                  "permessage-deflate; server_no_context_takeover; permessage-bzip2"):  # fmt: skip
        with Stranger.inside(server.port, Sec_WebSocket_Extensions=offer) as stranger:
            assert b"extensions" not in stranger.head.lower()
            packer = zlib.compressobj(9, wbits=-15)
            bomb = packer.compress(b" " * (10 * 1024 * 1024)) + packer.flush(zlib.Z_SYNC_FLUSH)
            assert len(bomb) < LIMIT
            stranger.send(frame(TEXT | 0x40, bomb))
            assert stranger.close_code() == 1002
    answered(canary)
