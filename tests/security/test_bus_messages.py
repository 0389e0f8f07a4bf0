"""53: what somebody may do who can write to Redis. Nothing that this installation did not say reaches a client; what is
destroyed there heals from the database."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis

from realtime.bus_redis_seal import Seal
from realtime.change import Change, Control, Event, encode
from tests.conftest import watch
from tests.library.models import Book, Shelf
from tests.realtime.serving import Peer, Served, peer, person, served, token_of, until

pytestmark = pytest.mark.django_db(transaction=True)

MODELS = ("book", "!data", "!control")


class Bus:
    """Redis, as somebody sees it who found its password."""

    def __init__(self, url: str, prefix: str, secret: str) -> None:
        self.redis = redis.Redis.from_url(url)
        self.prefix = f"{prefix}:0"
        self.ours = Seal([secret])

    def say(self, stream: str, text: bytes | str) -> None:
        assert self.redis.publish(f"{self.prefix}:{stream}", text) >= 1, "nobody listens"

    def key(self, stream: str, name: str) -> str:
        return f"{self.prefix}:{{{stream}}}:{name}"

    def where(self, stream: str) -> tuple[str, int]:
        epoch, offset = self.redis.hmget(self.key(stream, "meta"), "epoch", "offset")
        return epoch.decode(), int(offset)

    def next(self, stream: str, sealed: str) -> str:
        epoch, offset = self.where(stream)
        return f"{epoch} {offset + 1} {sealed}"

    def store(self, stream: str, sealed: str) -> None:
        """As Redis' own script would: history, offset, message."""
        text = self.next(stream, sealed)
        self.redis.rpush(self.key(stream, "history"), text.partition(" ")[2])
        self.redis.hincrby(self.key(stream, "meta"), "offset", 1)
        self.say(stream, text)


@pytest.fixture
def bus(redis_url: str, settings: Any) -> Iterator[Bus]:
    settings.REDIS_URL = redis_url
    settings.REALTIME_BUS_PREFIX = uuid.uuid4().hex
    found = Bus(redis_url, settings.REALTIME_BUS_PREFIX, settings.SECRET_KEY)
    yield found
    found.redis.close()


@pytest.fixture
def server(bus: Bus) -> Iterator[Served]:
    with served() as found:
        yield found


@pytest.fixture
def shelf() -> Shelf:
    return Shelf.objects.create(name="one")


@pytest.fixture
def client(server: Served, shelf: Shelf) -> Iterator[Peer]:
    """It follows all books, and the events of a room."""
    with peer(server.port, token=token_of(person(is_staff=True))) as found:
        assert found.subscribe("book", "books")["context"]["state"] == "success"
        assert found.call("subscribe", "room", channel="room", room="one")["context"]["state"] == "success"
        yield found


def forged(stream: str, shelf: Shelf) -> str:
    """A body that means something, had we said it."""
    book = {"id": 666, "_type": "book", "title": "forged"}
    now = {"shelf": shelf.pk, "pages": 1, "on_loan": False, "title": "forged", "id": 666}
    return {
        "book": encode(Change("book", "666", 10**9, "created", book, now, (None,), 666, "book")),
        "!data": encode(Event("room-one", {"title": "forged"})),
        "!control": encode(Control(None, "rights")),
    }[stream]


def heard(client: Peer, shelf: Shelf, title: str) -> list[dict[str, Any]]:
    """Everything that the client was told until a true change came."""
    Book.objects.create(title=title, shelf=shelf)
    told = []
    while True:
        message = client.change()
        if message.get("data") and message["data"].get("title") == title:
            return told
        told.append(message)
        if message["type"] == "resync":
            # As every client does; what changed meanwhile is in the snapshot.
            answer = client.subscribe("book", "books")
            if title in [row["title"] for row in answer["data"]]:
                return told


def warnings() -> list[str]:
    return [record.getMessage() for record in watch.records]


GARBAGE: list[bytes] = [
    b"", b" ", b"\x00" * 100, b"\xff\xfe", b"{}", b"null", b"[" * 5000, b'{"change": 1}', b"x y z", b"e 1 {}",
    b"e -1 {}", b"e 99999999999999999999 {}", b"e 1.5 {}", b"e " + b"9" * 5000 + b" {}", b"\xc3\xa9 1 x", b"e 0 body",
]  # fmt: skip


def test_53_garbage_is_told_once_for_each_channel_and_skipped(
    bus: Bus, client: Peer, shelf: Shelf, expect_log: Any
) -> None:
    for stream in MODELS:
        expect_log("realtime.bus", f"Somebody else publishes on Redis' channel {bus.prefix}:{stream}")
        epoch, offset = bus.where(stream)
        for text in (*GARBAGE, f"{epoch} {offset + 1} ".encode(), f"{epoch} {offset + 1} {{}}".encode()):
            bus.say(stream, text)
    assert heard(client, shelf, "true") == []
    assert len(warnings()) == len(MODELS)


def test_53_garbage_in_the_channel_of_wakes_wakes_and_nothing_else(bus: Bus, client: Peer, shelf: Shelf) -> None:
    for text in (*GARBAGE, b"x" * 5_000_000):
        bus.redis.publish(f"{bus.prefix}:wake", text)
    assert heard(client, shelf, "true") == []


def test_53_whoever_does_not_know_the_secret_invents_nothing(
    bus: Bus, server: Served, client: Peer, shelf: Shelf, expect_log: Any
) -> None:
    rights = server.on_loop(lambda: [c.shell.rights for c in server.process.clients])
    for stream in MODELS:
        expect_log("realtime.bus", f"Somebody else publishes on Redis' channel {bus.prefix}:{stream}")
        body = forged(stream, shelf)
        for sealed in (body, f" {body}", f"{'0' * 32} {body}", Seal(["guessed"]).sealed(stream, body),
                       bus.ours.sealed("another", body), bus.ours.sealed(stream, "{}")[:33] + body):  # fmt: skip
            bus.say(stream, bus.next(stream, sealed))
    assert heard(client, shelf, "true") == []
    assert server.on_loop(lambda: [c.shell.rights for c in server.process.clients]) == rights


def test_53_it_is_the_seal_that_keeps_them_out(bus: Bus, server: Served, client: Peer, shelf: Shelf) -> None:
    """With the secret, the same forgeries are believed: what these tests try would work."""
    for stream in MODELS:
        bus.store(stream, bus.ours.sealed(stream, forged(stream, shelf)))
        if stream != "!control":
            assert client.change()["data"]["title"] == "forged"
    until(lambda: server.on_loop(lambda: [c.shell.rights for c in server.process.clients]) == [1], "a judgement")


def test_53_what_was_sealed_for_one_stream_or_said_inside_it_counts_in_no_other(
    bus: Bus, client: Peer, shelf: Shelf, expect_log: Any
) -> None:
    """Even the secret makes no change of one model a change of another, and no event a control."""
    expect_log("realtime.node", "makes no sense")
    for stream, other in (("shelf", "book"), ("book", "!data"), ("!data", "!control"), ("shelf", "!control")):
        bus.store(stream, bus.ours.sealed(stream, forged(other, shelf)))
    assert not [told for told in heard(client, shelf, "true") if told["type"] not in ("resync", "health")]


REPLAYS: dict[str, Callable[[str, int], tuple[str, int]]] = {
    "once more": lambda epoch, offset: (epoch, offset),
    "long ago": lambda epoch, offset: (epoch, 0),
    "before time began": lambda epoch, offset: (epoch, -5),
    "far ahead": lambda epoch, offset: (epoch, offset + 10**6),
    "beyond every number": lambda epoch, offset: (epoch, 2**63 + offset),
    "in another epoch": lambda epoch, offset: ("other", offset + 1),
    "in an epoch of no letters": lambda epoch, offset: ("", 1),
}


def test_53_what_was_said_once_is_not_believed_elsewhere(bus: Bus, server: Served, client: Peer, shelf: Shelf) -> None:
    book = Book.objects.create(title="first", shelf=shelf)
    assert client.change()["data"]["title"] == "first"
    (entry,) = bus.redis.lrange(bus.key("book", "history"), 0, -1)
    sealed = entry.split(b" ", 1)[1].decode()
    Book.objects.filter(pk=book.pk).update(title="second")
    assert client.change()["data"]["title"] == "second"
    for when, elsewhere in REPLAYS.items():
        epoch, offset = elsewhere(*bus.where("book"))
        for _ in range(5):
            bus.say("book", f"{epoch} {offset} {sealed}")
        told = heard(client, shelf, when)
        assert [message for message in told if message.get("data", {}).get("title") == "first"] == [], when
        # A server that waited for what never comes would ask Redis for ever.
        until(lambda: server.process.node.health()["ok"], "catching up")
        before = _cpu(server)
        time.sleep(0.2)
        assert _cpu(server) - before < 0.15, when


def _cpu(server: Served) -> float:
    return float(server.on_loop(time.thread_time))


def test_53_a_new_epoch_that_nobody_began_costs_a_look(bus: Bus, client: Peer, shelf: Shelf) -> None:
    for _ in range(50):
        bus.say("book", "forged 0 ")
    assert heard(client, shelf, "true") == []


BREAKS: dict[str, Callable[[Bus], Any]] = {
    "an entry of nobody": lambda bus: bus.redis.rpush(bus.key("book", "history"), "hello"),
    "an entry in place of the last": lambda bus: bus.redis.lset(bus.key("book", "history"), -1, "1 forged"),
    "all entries gone": lambda bus: bus.redis.delete(bus.key("book", "history")),
    "everything gone": lambda bus: bus.redis.delete(bus.key("book", "history"), bus.key("book", "meta")),
    "a head far ahead": lambda bus: bus.redis.hset(bus.key("book", "meta"), "offset", 10**6),
    "a head behind": lambda bus: bus.redis.hset(bus.key("book", "meta"), "offset", 0),
    "a head that is no number": lambda bus: bus.redis.hset(bus.key("book", "meta"), "offset", "many"),
    "another epoch": lambda bus: bus.redis.hset(bus.key("book", "meta"), "epoch", "forged"),
    "a size that is no number": lambda bus: bus.redis.hset(bus.key("book", "meta"), "size", "{}"),
    "another database": lambda bus: bus.redis.hset(bus.key("book", "meta"), "base", "forged"),
}


def test_53_what_is_destroyed_in_redis_heals_from_the_database(
    bus: Bus, server: Served, client: Peer, shelf: Shelf, expect_log: Any
) -> None:
    expect_log("realtime", "Somebody else publishes|waits for the bus|begin anew", required=False)
    for broken, destroy in BREAKS.items():
        Book.objects.all().delete()
        heard(client, shelf, "first")
        destroy(bus)
        for title in ("second", "third"):
            heard(client, shelf, title)
        until(lambda: server.process.node.health()["ok"], "catching up")
        titles = {row["title"] for row in client.subscribe("book", "books")["data"]}
        assert titles == {"first", "second", "third"}, broken


def test_53_a_message_of_33_megabytes_is_survived(bus: Bus, client: Peer, shelf: Shelf, expect_log: Any) -> None:
    expect_log("realtime.bus", "Somebody else|link to Redis was lost|cannot be followed")
    bus.say("book", b"x" * 33 * 1024 * 1024)
    assert [told for told in heard(client, shelf, "true") if told["type"] not in ("resync", "health")] == []


def test_53_nothing_of_a_session_or_a_token_travels_through_redis(bus: Bus, client: Peer, shelf: Shelf) -> None:
    heard(client, shelf, "true")
    stored = json.dumps([
        [str(key), str(bus.redis.dump(key))] for key in bus.redis.scan_iter(f"{bus.prefix}*")
    ])  # fmt: skip
    assert "true" in stored or "book" in stored
    assert "mlt_" not in stored
