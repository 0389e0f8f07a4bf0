"""What a client may use up, and what is left of it: floods, readers that do not read, half handshakes, crowds, piles of
subscriptions. A server of its own each time, since its memory, descriptors and threads are counted."""

from __future__ import annotations

import contextlib
import json
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import transaction

from realtime import publish_data
from tests.library.models import Book, Shelf
from tests.promise.installation import SCALE
from tests.realtime.serving import LIMIT, Program, peer, person, processes, token_of, until
from tests.security.effort import LONG
from tests.security.stranger import (
    FIRST,
    PING,
    TEXT,
    Stranger,
    answered,
    descriptors,
    frame,
    handshake,
    rss,
    threads,
)  # fmt: skip

pytestmark = pytest.mark.django_db(transaction=True)

MIB = 1024 * 1024
# Connects of one round; a long run has rounds of a thousand.
ROUND = 1000 if LONG else 160


@contextlib.contextmanager
def program(*, level: str = "INFO", **settings: object) -> Iterator[Program]:
    """A server with these settings; whatever it did, it has no error to tell afterwards."""
    changed = {f"REALTIME_{name}": repr(value) for name, value in settings.items()}
    changed["LOG_LEVEL"] = level
    with processes(1, DJANGO_SETTINGS_MODULE="tests.security.settings_hostile", **changed) as (found,):
        yield found
        assert found.process.poll() is None
        wrong = [line for line in found.log.splitlines() if " ERROR " in line or "Traceback" in line]
        assert not wrong, wrong


@pytest.fixture
def staff() -> str:
    return token_of(person(is_staff=True))


def call(verb: str, route: str, **args: Any) -> bytes:
    return frame(TEXT, json.dumps({"verb": verb, "route": route, "args": args, "callbackname": "c"}).encode())


def texts(stranger: Stranger) -> Iterator[dict[str, Any]]:
    for first, payload in stranger.frames():
        if first == TEXT:
            yield json.loads(payload)


# -- 31: floods --------------------------------------------------------------------------------------------------------


def test_31_a_flood_of_calls_slows_the_flooder_down_and_nobody_else(staff: str) -> None:
    limits = {"FLOOD_SECONDS": 1.0, "CALLS_PER_SECOND": 200.0}
    with program(**limits) as server, peer(server.port) as canary, contextlib.ExitStack() as stack:
        answered(canary)
        before = rss(server.process.pid)
        flooders = [stack.enter_context(Stranger.inside(server.port, staff)) for _ in range(5)]
        flood = call("ping", "room") * 200 + frame(TEXT, b"{") * 200
        for _ in range(5):
            for flooder in flooders:
                flooder.push(flood, 0.1)
            answered(canary)
        # They may have sent thousands; each was answered what its rate allows, and then sent away.
        for flooder in flooders:
            assert flooder.close_code() in (4029, 1006)
        answered(canary)
        assert rss(server.process.pid) - before < 20 * MIB


def test_31_a_flood_of_the_largest_snapshot_there_is_leaves_room_for_others(staff: str) -> None:
    shelf = Shelf.objects.create(name="one")
    Book.objects.bulk_create(Book(title=f"book {number}", shelf=shelf, extra={"x": "y" * 200}) for number in range(500))
    with program() as server, peer(server.port) as canary, contextlib.ExitStack() as stack:
        flooders = [stack.enter_context(Stranger.inside(server.port, staff)) for _ in range(6)]
        for flooder in flooders:
            flooder.send(b"".join(call("subscribe", "book", channel=f"s{n}", _snapshot=True) for n in range(30)))
        stop = threading.Event()
        readers = [threading.Thread(target=_read, args=(flooder, stop), daemon=True) for flooder in flooders]
        for reader in readers:
            reader.start()
        for _ in range(8):
            answered(canary)
            time.sleep(0.1)
        stop.set()
        for reader in readers:
            reader.join(LIMIT)


def _read(stranger: Stranger, stop: threading.Event) -> None:
    with contextlib.suppress(OSError, TimeoutError):
        for _ in stranger.frames():
            if stop.is_set():
                return


# -- 32: who never reads -----------------------------------------------------------------------------------------------


def test_32_clients_that_never_read_are_closed_at_their_outbox_and_cost_no_more(staff: str) -> None:
    many, outbox = 10, 256 * 1024
    limits = {"OUTBOX_BYTES": outbox, "PONG_SECONDS": 60.0, "HISTORY_BYTES": MIB}
    with program(level="DEBUG", **limits) as server, contextlib.ExitStack() as stack:
        other = stack.enter_context(peer(server.port, token=staff))
        other.call("subscribe", "room", channel="s", room="one")
        before = rss(server.process.pid)
        deaf = [stack.enter_context(Stranger.inside(server.port, staff, receive_buffer=4096)) for _ in range(many)]
        for stranger in deaf:
            stranger.send(call("subscribe", "room", channel="s", room="one"))
            next(texts(stranger))
        most = told = 0
        # The kernel takes megabytes for each before anything of ours waits.
        while _connections(server) > 1 and told < 2000:
            with transaction.atomic():
                for _ in range(10):
                    told += 1
                    publish_data("room-one", {"number": told, "text": "x" * 30_000})
            while other.change()["data"]["number"] != told:
                pass
            most = max(most, rss(server.process.pid))
        assert _connections(server) == 1, "they are still there"
        assert most - before < 1.5 * many * outbox + 16 * MIB, f"{(most - before) // many} bytes each"
        # The reason stands behind what they never read; some of them find it there.
        assert {stranger.close_code() for stranger in deaf} <= {4008, 1006}
        assert server.log.count("closed: 4008") == many


def test_32_a_client_that_does_not_read_for_a_while_is_told_of_each_object_once(staff: str) -> None:
    """Whatever happens meanwhile, what waits for it is the newest of each: it is neither closed nor flooded."""
    shelf = Shelf.objects.create(name="one")
    Book.objects.bulk_create(
        Book(title=f"book {number}", shelf=shelf, extra={"x": "y" * 20_000}) for number in range(5)
    )
    with program(OUTBOX_BYTES=256 * 1024) as server, peer(server.port, token=staff) as other:
        other.subscribe("book")
        with Stranger.inside(server.port, staff, receive_buffer=4096) as deaf:
            deaf.send(call("subscribe", "book", channel="s", _snapshot=True))
            answers = texts(deaf)
            while next(answers)["context"]["more"]:
                pass
            for number in range(100, 200):
                Book.objects.update(pages=number)
                while other.change()["data"]["pages"] != number:
                    pass
            seen: dict[int, list[int]] = {}
            while len([pages for pages in seen.values() if pages[-1] == 199]) < 5:
                message = next(answers)
                if message["type"] == "change":
                    seen.setdefault(message["data"]["id"], []).append(message["data"]["pages"])
        assert all(pages == sorted(pages) for pages in seen.values())
        assert sum(map(len, seen.values())) < 500


def _connections(server: Program) -> int:
    """Sockets that clients hold: those of the server's own port."""
    port = f":{server.port:04X}"
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in table]
    return sum(1 for row in rows if row[1].endswith(port) and row[3] == "01")


# -- 33, 34: who never finishes ----------------------------------------------------------------------------------------


def test_33_whoever_does_not_finish_is_hung_up_on(staff: str) -> None:
    with program(HANDSHAKE_SECONDS=1.0) as server, peer(server.port) as canary:
        head = handshake()
        post = (b"POST /accounts/login/ HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Length: 1000\r\n"
                b"Content-Type: application/x-www-form-urlencoded\r\n\r\n")  # fmt: skip
        unfinished = {
            "silence": b"", "a letter": b"G", "half a line": head[:20], "half a head": head[:-4],
            "no end of headers": head[:-2] + b"".join(b"X-%d: y\r\n" % n for n in range(100)),
            "a body that never comes": post, "half a body": post + b"a" * 500,
        }  # fmt: skip
        begun = time.monotonic()
        with contextlib.ExitStack() as stack:
            strangers = {what: stack.enter_context(Stranger(server.port)) for what in unfinished}
            for what, stranger in strangers.items():
                stranger.send(unfinished[what])
            dripping = stack.enter_context(Stranger(server.port))
            drip = threading.Thread(target=_drip, args=(dripping, post), daemon=True)
            drip.start()
            answered(canary)
            for what, stranger in strangers.items():
                assert stranger.ended(), what
            drip.join(LIMIT)
            assert not drip.is_alive(), "a body in drops is taken for ever"
        # Bodies have three times as long as heads.
        assert time.monotonic() - begun < 3 * 1.0 + 3 * SCALE
        answered(canary)


def _drip(stranger: Stranger, head: bytes) -> None:
    with contextlib.suppress(OSError):
        stranger.send(head)
        while True:
            stranger.send(b"a")
            time.sleep(0.1)


def test_33_heads_and_bodies_that_are_too_large_are_refused(staff: str) -> None:
    with program(BODY_BYTES=100_000) as server, peer(server.port) as canary:
        before = rss(server.process.pid)
        huge: dict[str, bytes] = {
            "a line": b"GET /" + b"a" * 5_000_000,
            "a header": handshake(X_Filler="a" * 5_000_000),
            "many headers": handshake()[:-2] + b"".join(b"X-%d: y\r\n" % n for n in range(200_000)),
            "a body": b"POST / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nContent-Length: 5000000\r\n\r\n" + b"a" * 5_000_000,
            "a body of no end": b"POST / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"10000\r\n" + b"a" * 65536 + b"\r\n",
            "a length of no end": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
        }  # fmt: skip
        for what, data in huge.items():
            with Stranger(server.port) as stranger:
                with contextlib.suppress(OSError):
                    stranger.send(data)
                    if "no end" in what:
                        stranger.push(b"10000\r\n" + b"a" * 65536 + b"\r\n", 0.5)
                assert stranger.ended(), what
            answered(canary)
        assert rss(server.process.pid) - before < 20 * MIB


def test_34_peers_that_are_gone_without_a_word_are_noticed(staff: str) -> None:
    with program(PONG_SECONDS=1.0) as server, contextlib.ExitStack() as stack:
        gone = [stack.enter_context(Stranger.inside(server.port, staff)) for _ in range(5)]
        # One reads and answers nothing, one was in the middle of a message, one had asked for everything.
        gone[1].send(frame(FIRST, b"{"))
        gone[2].send(call("subscribe", "book", channel="s", _snapshot=True))
        gone[3].send(frame(PING, b"?"))
        begun = time.monotonic()
        assert {stranger.close_code() for stranger in gone} == {4010}
        assert time.monotonic() - begun < 2.0 + 2 * SCALE


# -- 35: crowds --------------------------------------------------------------------------------------------------------


def test_35_a_storm_of_sign_ins_is_answered_and_others_are_served(staff: str) -> None:
    tokens = [staff, *(token_of(person(f"user{number}")) for number in range(4))]
    with program() as server, peer(server.port) as canary, contextlib.ExitStack() as stack:
        crowd = []
        for number in range(200):
            stranger = stack.enter_context(Stranger(server.port))
            wrong = number % 4 == 0
            bearer = "mlt_00000000_invented" if wrong else tokens[number % len(tokens)]
            stranger.send(handshake(Authorization=f"Bearer {bearer}"))
            crowd.append((stranger, wrong))
            if number % 50 == 49:
                answered(canary)
        for stranger, wrong in crowd:
            stranger.enter()
            if wrong:
                assert stranger.close_code() == 4001
        answered(canary)


# -- 36, 37: what is left of it ----------------------------------------------------------------------------------------


# Pools grow when their threads are busy, so a round may start one that the first round did not need; of one thread
# each, nothing is left to chance.
POOLS: dict[str, object] = {"VERB_THREADS": 1, "JUDGE_THREADS": 1, "PAGE_THREADS": 1}


def flat(server: Program, use: Callable[[], None], rounds: int = 3) -> None:
    """After one round to warm up, memory, descriptors and threads are what they were after each further one, ±5 %."""
    pid = server.process.pid
    use()
    _settled(server)
    memory, files, workers = rss(pid), descriptors(pid), threads(pid)
    for _ in range(rounds):
        use()
        _settled(server)
        assert descriptors(pid) <= files + 1
        assert threads(pid) <= workers
    assert rss(pid) < 1.05 * memory, f"{memory} bytes became {rss(pid)}"


def _settled(server: Program) -> None:
    until(lambda: _connections(server) == 0, "everybody's leaving")
    with peer(server.port) as canary:
        answered(canary)
    until(lambda: _connections(server) == 0, "leaving")


def test_37_memory_descriptors_and_threads_are_flat_over_rounds_of_connects(staff: str) -> None:
    def use() -> None:
        for number in range(ROUND):
            ways[number % len(ways)](server.port)

    def honest(port: int) -> None:
        with Stranger.inside(port, staff) as stranger:
            stranger.send(call("subscribe", "book", channel="s", _snapshot=True))
            assert next(texts(stranger))["context"]["state"] == "success"
            stranger.send(frame(0x88, b"\x03\xe8"))
            assert stranger.close_code() == 1000

    def reset(port: int) -> None:
        stranger = Stranger.inside(port, staff)
        stranger.send(call("subscribe", "book", channel="s", _snapshot=True))
        stranger.reset()

    def half(port: int) -> None:
        stranger = Stranger(port)
        stranger.send(handshake()[:50])
        stranger.socket.close()

    def in_the_middle(port: int) -> None:
        with Stranger.inside(port, staff) as stranger:
            stranger.send(frame(FIRST, b"x" * 1000))

    def nonsense(port: int) -> None:
        with Stranger.inside(port) as stranger:
            stranger.send(b"\xff" * 100)
            assert stranger.close_code() == 1002

    def nobody(port: int) -> None:
        with Stranger.inside(port, "mlt_00000000_invented") as stranger:
            assert stranger.close_code() == 4001

    def left_before_the_answer(port: int) -> None:
        stranger = Stranger(port)
        stranger.send(handshake(Authorization=f"Bearer {staff}"))
        stranger.reset()

    ways = [honest, reset, half, in_the_middle, nonsense, nobody, left_before_the_answer, honest]
    Book.objects.create(title="a", shelf=Shelf.objects.create(name="one"))
    with program(**POOLS) as server:  # type: ignore[arg-type]
        flat(server, use, rounds=5 if LONG else 2)


def test_36_a_connection_has_so_many_subscriptions_and_is_told_of_the_next(staff: str) -> None:
    with program(CALLS_PER_SECOND=1e6, CALLS_BURST=1e6) as server, peer(server.port, token=staff) as client:
        codes = [
            client.call("subscribe", "book", channel=f"s{number}", shelf=number)["context"].get("error", {}).get("code")
            for number in range(300)
        ]
        assert codes == [None] * 256 + ["too_many"] * 44
        answers = client.call("subscribe", "session", subscriptions=[{"route": "book", "channel": "s0", "shelf": 1}])
        assert answers["context"]["state"] == "success"
        assert client.call("ping", "room")["data"] == "pong"


def test_36_piles_of_subscriptions_leave_nothing_behind(staff: str) -> None:
    shelf = Shelf.objects.create(name="one")
    Book.objects.bulk_create(Book(title=f"book {number}", shelf=shelf) for number in range(20))

    def pile(port: int) -> None:
        """Connections full of subscriptions, each with a filter of its own, all alive at once."""
        with contextlib.ExitStack() as stack:
            crowd = [stack.enter_context(Stranger.inside(port, staff)) for _ in range(20 if LONG else 3)]
            for place, stranger in enumerate(crowd):
                wanted = [{"route": "book", "channel": f"s{n}", "pages__gt": place * 256 + n} for n in range(256)]
                stranger.send(call("subscribe", "session", subscriptions=wanted))
            for stranger in crowd:
                for _ in zip(range(256), texts(stranger), strict=False):
                    pass
            Book.objects.update(pages=10**6 + time.time_ns() % 1000)

    def same(port: int) -> None:
        """The same name again and again, and the same object under many names."""
        with Stranger.inside(port, staff) as stranger:
            for number in range(1000 if LONG else 200):
                stranger.send(call("subscribe", "book", channel=f"n{number % 50}", shelf=shelf.pk, _snapshot=True))
                next(texts(stranger))

    def churn(port: int) -> None:
        with Stranger.inside(port, staff) as stranger:
            answers = texts(stranger)
            for number in range(1000 if LONG else 100):
                stranger.send(call("subscribe", "book", channel="c", pages__gt=number))
                stranger.send(call("unsubscribe", "book", channel="c"))
                next(answers)
                next(answers)

    def use() -> None:
        for kind in (pile, same, churn):
            kind(server.port)

    with program(CALLS_PER_SECOND=1e6, CALLS_BURST=1e6, **POOLS) as server:  # type: ignore[arg-type]
        flat(server, use, rounds=3 if LONG else 1)


def test_37_a_server_without_descriptors_left_recovers_and_says_so_once(staff: str) -> None:
    with program() as server:
        limit = descriptors(server.process.pid) + 20
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (limit, limit))
        with contextlib.ExitStack() as stack:
            for _ in range(60):
                stranger = socket.create_connection(("127.0.0.1", server.port), timeout=LIMIT)
                stack.enter_context(contextlib.closing(stranger))
            until(lambda: "Too many open files" in server.log, "running out of descriptors")
            time.sleep(1.0)
        with peer(server.port, token=staff) as client:
            assert client.call("ping", "room")["data"] == "pong"
        assert server.log.count("Too many open files") == 1, "each is told of"
