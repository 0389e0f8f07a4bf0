"""How subscriptions begin, against a real server that somebody writes to meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connections

from realtime import joining, journal, publish_data, subscriptions
from realtime.answers import Snapshot
from realtime.relay import Relay
from tests.library.models import Book, Membership, Shelf
from tests.realtime.relay_base import publish_due
from tests.realtime.serving import LIMIT, Peer, Served, peer, person, served, token_of, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as found:
        yield found


@pytest.fixture
def shelf() -> Shelf:
    return Shelf.objects.create(name="one")


@pytest.fixture
def staff() -> str:
    return token_of(person(is_staff=True))


def positions(reply: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = reply["context"]["position"]
    return found


def no_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*args: Any) -> Snapshot:
        raise AssertionError("the model's table was read")

    monkeypatch.setattr(subscriptions, "snapshot", read)


# -- from a snapshot -------------------------------------------------------------------------------------------------


def test_the_first_frame_is_the_reply_with_the_objects(server: Served, shelf: Shelf, staff: str) -> None:
    Book.objects.create(title="a", shelf=shelf)
    with peer(server.port, token=staff) as client:
        client.send("subscribe", "book", channel="mine", _snapshot=True)
        reply = client.receive()
    assert reply["type"] == "reply"
    assert [book["title"] for book in reply["data"]] == ["a"]
    assert (reply["context"]["part"], reply["context"]["more"]) == (1, False)
    assert reply["channel_data"] == {"local_channel": "mine", "remote_channels": ["book|"], "action": "subscribe"}


def test_without_a_snapshot_the_reply_is_the_object_map(server: Served, staff: str) -> None:
    with peer(server.port, token=staff) as client:
        reply = client.call("subscribe", "book", channel="mine")
    assert reply["data"][0]["parent_type"] == "book"
    assert list(positions(reply)) == ["book|"]


def test_snapshots_taken_while_somebody_writes_end_equal_to_the_database(
    server: Served, shelf: Shelf, staff: str
) -> None:
    books = [Book.objects.create(title=f"book {number}", shelf=shelf) for number in range(5)]
    stop = threading.Event()

    def write() -> None:
        count = 0
        while not stop.is_set():
            count += 1
            Book.objects.filter(pk=books[count % 4].pk).update(pages=count)
            if count % 7 == 0:
                Book.objects.filter(title="last").delete()
            if count % 7 == 3:
                Book.objects.get_or_create(title="last", shelf=shelf)
        connections.close_all()

    writer = threading.Thread(target=write)
    with peer(server.port, token=staff) as client:
        writer.start()
        shown: dict[int, Any] = {}
        try:
            for _ in range(15):
                reply = client.subscribe("book")
                shown = {book["id"]: book for book in reply["data"]}
                client.waiting.clear()
        finally:
            stop.set()
            writer.join(LIMIT)
        Book.objects.filter(pk=books[4].pk).update(pages=999)
        while shown[books[4].pk]["pages"] != 999:
            change = client.change()
            if change["action"] == "deleted":
                shown.pop(change["data"]["id"], None)
            else:
                shown[change["data"]["id"]] = change["data"]
    assert {pk: book["pages"] for pk, book in shown.items()} == dict(Book.objects.values_list("pk", "pages"))


def test_a_long_list_travels_in_parts(settings: Any, shelf: Shelf, staff: str) -> None:
    settings.REALTIME_PART_BYTES = 2000
    Book.objects.bulk_create(Book(title=f"book {number}", shelf=shelf) for number in range(30))
    with served() as server, peer(server.port, token=staff) as client:
        name = client.send("subscribe", "book", channel="mine", _snapshot=True)
        parts = [client.reply(name)]
        while parts[-1]["context"]["more"]:
            parts.append(client.reply(name))
    assert [part["context"]["part"] for part in parts] == list(range(1, len(parts) + 1))
    assert len(parts) > 3
    assert len({book["id"] for part in parts for book in part["data"]}) == 30


def test_an_object_too_large_for_any_outbox_hides_no_other(
    settings: Any, shelf: Shelf, staff: str, expect_log: Any
) -> None:
    settings.REALTIME_OUTBOX_BYTES = 20_000
    expect_log("realtime.relay", "set aside")
    expect_log("realtime.subscriptions", "left out")
    Book.objects.create(title="a", shelf=shelf, extra={"text": "x" * 30_000})
    Book.objects.create(title="b", shelf=shelf)
    with served() as server, peer(server.port, token=staff) as client:
        assert [book["title"] for book in client.subscribe("book")["data"]] == ["b"]
        Book.objects.create(title="c", shelf=shelf)
        assert client.change()["data"]["title"] == "c"


def test_the_same_name_again_replaces_the_subscription(server: Served, shelf: Shelf, staff: str) -> None:
    with peer(server.port, token=staff) as client:
        client.subscribe("book", "mine", pages=1)
        client.subscribe("book", "mine", pages=2)
        Book.objects.create(title="one", shelf=shelf, pages=1)
        Book.objects.create(title="two", shelf=shelf, pages=2)
        assert client.change()["data"]["title"] == "two"
        assert server.on_loop(lambda: server.process.hub.counts()["subscriptions"]) == 1


def test_one_subscription_too_many_is_refused(settings: Any, staff: str) -> None:
    settings.REALTIME_SUBSCRIPTIONS = 2
    with served() as server, peer(server.port, token=staff) as client:
        for number in range(2):
            client.subscribe("book", f"s{number}")
        assert client.subscribe("book", "s2")["context"]["error"]["code"] == "too_many"
        assert client.subscribe("book", "s1")["context"]["state"] == "success"


# -- continuing ------------------------------------------------------------------------------------------------------


def since(client: Peer, where: dict[str, Any], **args: Any) -> dict[str, Any]:
    return client.call("subscribe", "book", channel="mine", _snapshot=True, _since=where, **args)


def test_who_comes_back_gets_what_was_missed_without_a_look_at_the_table(
    server: Served, shelf: Shelf, staff: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Book.objects.create(title="kept", shelf=shelf)
    gone = Book.objects.create(title="gone", shelf=shelf)
    with peer(server.port, token=staff) as client:
        where = positions(client.subscribe("book"))
        with peer(server.port, token=staff) as other:
            other.subscribe("book")
            for pages in (5, 6, 7):
                Book.objects.filter(pk=kept.pk).update(pages=pages)
            key = gone.pk
            gone.delete()
            while other.change()["action"] != "deleted":
                pass
    no_rows(monkeypatch)
    with peer(server.port, token=staff) as client:
        reply = since(client, where)
        assert reply["context"]["recovered"] is True
        assert reply["data"] == []
        changes = [client.change(), client.change()]
        assert [(c["action"], c["data"]["id"]) for c in changes] == [("updated", kept.pk), ("deleted", key)]
        assert changes[0]["data"]["pages"] == 7
        Book.objects.filter(pk=kept.pk).update(pages=8)
        assert client.change()["data"]["pages"] == 8


def test_a_position_of_another_channel_or_epoch_is_answered_with_a_snapshot(
    server: Served, shelf: Shelf, staff: str
) -> None:
    Book.objects.create(title="a", shelf=shelf)
    with peer(server.port, token=staff) as client:
        (epoch, offset) = positions(client.subscribe("book"))["book|"]
        for where in (
            {"book|pages:1": [epoch, offset]},
            {"book|": ["another", offset]},
            {"shelf|": [epoch, offset]},
        ):
            reply = since(client, where)
            assert reply["context"]["recovered"] is False, where
            assert [book["title"] for book in reply["data"]] == ["a"]


def test_nobody_continues_under_rights_that_have_changed(server: Served, shelf: Shelf) -> None:
    user = person()
    Membership.objects.create(user=user, shelf=shelf)
    token = token_of(user)
    with peer(server.port, token=token) as client:
        where = positions(client.subscribe("book"))
    Membership.objects.all().delete()
    Book.objects.create(title="hidden", shelf=shelf)
    with peer(server.port, token=token) as client:
        reply = since(client, where)
        assert reply["context"]["recovered"] is False
        assert reply["data"] == []


def test_what_is_published_and_not_yet_marked_keeps_no_position_back(shelf: Shelf, staff: str) -> None:
    with served(relay=False) as server:
        relay = Relay()
        publish_due(relay)
        replies: list[dict[str, Any]] = []

        def subscribe(point: str) -> None:
            if point == "published":
                relay.at = lambda name: None
                with peer(server.port, token=staff) as client:
                    replies.append(client.subscribe("book"))

        Book.objects.create(title="a", shelf=shelf)
        relay.at = subscribe
        publish_due(relay)
    (reply,) = replies
    assert [book["title"] for book in reply["data"]] == ["a"]
    # Nothing comes that this snapshot has shown already, so it can be continued from at once.
    assert list(positions(reply)) == ["book|"]


def test_events_that_were_missed_follow(server: Served) -> None:
    with peer(server.port) as client, peer(server.port) as other:
        where = positions(client.call("subscribe", "room", channel="r", room="a"))
        other.call("subscribe", "room", channel="r", room="a")
        publish_data("room-a", {"said": 1})
        publish_data("room-b", {"said": "elsewhere"})
        assert other.change()["data"] == {"said": 1}
    with peer(server.port) as client:
        reply = client.call("subscribe", "room", channel="r", room="a", _since=where)
        assert reply["context"]["recovered"] is True
        assert client.change()["data"] == {"said": 1}


# -- while joining ---------------------------------------------------------------------------------------------------


class Gate:
    """Holds the reading of rows until `open`, so that something can happen meanwhile; then reads what there is then,
    or, with `before`, what there was."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reached = threading.Event()
        self._free = threading.Event()
        self.reads = 0
        original = subscriptions.snapshot

        def read(*args: Any) -> Snapshot:
            found = original(*args)
            self.reads += 1
            self.reached.set()
            assert self._free.wait(LIMIT)
            return found

        monkeypatch.setattr(subscriptions, "snapshot", read)

    def wait(self) -> None:
        assert self.reached.wait(LIMIT)

    def open(self) -> None:
        self._free.set()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Gate:
    return Gate(monkeypatch)


def test_what_changes_while_the_rows_are_read_is_in_the_snapshot(
    server: Served, shelf: Shelf, staff: str, gate: Gate
) -> None:
    book = Book.objects.create(title="a", shelf=shelf)
    gone = Book.objects.create(title="gone", shelf=shelf)
    with peer(server.port, token=staff) as client:
        name = client.send("subscribe", "book", channel="mine", _snapshot=True)
        gate.wait()
        Book.objects.filter(pk=book.pk).update(pages=9)
        gone.delete()
        Book.objects.create(title="new", shelf=shelf)
        until(lambda: journal.pending()[0] == 0, "publishing")
        gate.open()
        reply = client.reply(name)
        assert {(b["title"], b["pages"]) for b in reply["data"]} == {("a", 9), ("new", 1)}
        assert client.shown == []
        Book.objects.filter(pk=book.pk).update(pages=10)
        assert client.change()["data"]["pages"] == 10


def test_a_right_taken_while_the_rows_are_read_hides_them(server: Served, shelf: Shelf, gate: Gate) -> None:
    user = person()
    Membership.objects.create(user=user, shelf=shelf)
    Book.objects.create(title="hidden", shelf=shelf)
    with peer(server.port, token=token_of(user)) as client:
        name = client.send("subscribe", "book", channel="mine", _snapshot=True)
        gate.wait()
        Membership.objects.all().delete()
        until(lambda: server.on_loop(lambda: next(iter(server.process.clients)).shell.rights))
        gate.open()
        reply = client.reply(name)
        assert reply["data"] == []
        assert reply["channel_data"]["remote_channels"] == ["book|none"]


def test_a_stream_that_begins_anew_while_the_rows_are_read_makes_them_be_read_again(
    server: Served, shelf: Shelf, staff: str, gate: Gate
) -> None:
    Book.objects.create(title="a", shelf=shelf)
    with peer(server.port, token=staff) as client:
        name = client.send("subscribe", "book", channel="mine", _snapshot=True)
        gate.wait()
        before = server.process.node.position("book")
        assert before is not None
        server.process.bus.renew(["book"])
        until(lambda: server.process.node.position("book") != before)
        gate.open()
        reply = client.reply(name)
        assert gate.reads == 2
        assert positions(reply)["book|"][0] != before[0]
        assert [book["title"] for book in reply["data"]] == ["a"]
        assert client.shown == []


def test_who_leaves_while_joining_leaves_nothing_behind(server: Served, staff: str, gate: Gate) -> None:
    with peer(server.port, token=staff) as client:
        client.send("subscribe", "book", channel="mine", _snapshot=True)
        gate.wait()
    until(lambda: len(server.process.clients) == 0)
    gate.open()
    until(lambda: not server.on_loop(lambda: server.process.calls.joining.under_way))
    assert server.on_loop(lambda: server.process.hub.counts()["channels"]) == 0


def test_a_snapshot_that_takes_too_long_is_refused_and_left(settings: Any, staff: str, gate: Gate) -> None:
    settings.REALTIME_VERB_SECONDS = 0.3
    with served() as server, peer(server.port, token=staff) as client:
        reply = client.subscribe("book")
        assert reply["context"]["error"]["code"] == "timed_out"
        gate.open()
        assert client.call("ping", "room")["data"] == "pong"
        assert server.on_loop(lambda: server.process.hub.counts()["subscriptions"]) == 0


def test_positions_of_two_epochs_are_none_to_continue_from() -> None:
    # By its number alone the newer of the two would be the smaller, and what the other channel missed would be lost.
    assert joining._since(("a", "b"), {"a": ("old", 500), "b": ("new", 100)}) is None
    assert joining._since(("a", "b"), {"a": ("new", 500), "b": ("new", 100)}) == ("new", 100)
    assert joining._since(("a", "b"), {"a": ("new", 500)}) is None
    assert joining._since((), {}) is None


# -- rights that end while rows are read ----------------------------------------------------------------------------


@pytest.mark.parametrize("told", [False, True], ids=["not told yet", "told a moment ago"])
def test_rows_made_after_a_right_ended_are_not_shown_to_who_had_it(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """By the plan of a moment ago they would be: a snapshot is for whom it is for as of its own rows."""
    user = person()
    Membership.objects.create(user=user, shelf=shelf)
    original = joining.Joining._rows
    relay: list[Relay] = []

    def read(*args: Any) -> Snapshot | None:
        if Membership.objects.exists():
            Membership.objects.all().delete()
            Book.objects.create(title="not theirs", shelf=shelf)
            if told:
                publish_due(relay[0])
        return original(*args)

    with served(relay=False) as server, peer(server.port, token=token_of(user)) as client:
        relay.append(Relay())
        publish_due(relay[0])
        monkeypatch.setattr(joining.Joining, "_rows", read)
        reply = client.subscribe("book")
        assert reply["context"]["state"] == "success"
        assert reply["data"] == [] and reply["channel_data"]["remote_channels"] == ["book|none"]
