"""Old clients after a lost stream or other rights: they are never told, and end equal to the database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from realtime import subscriptions
from realtime.answers import Snapshot
from realtime.errors import BusUnavailable
from tests.library.models import Book, Membership, Shelf
from tests.realtime.serving import LIMIT, Peer, Served, peer, person, served, token_of, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as found:
        yield found


class Mapper:
    """What SwampDragon's client does: objects by id, from changes alone; channels from whatever reply names them."""

    def __init__(self, client: Peer) -> None:
        self.client = client
        self.books: dict[int, dict[str, Any]] = {}
        self.channels: set[str] = set()
        self.take(client.call("subscribe", "book", channel="books"))
        for book in client.call("get_list", "book")["data"]:
            self.books[book["id"]] = book

    def take(self, message: dict[str, Any]) -> None:
        if "channel_data" in message:
            self.channels = set(message["channel_data"]["remote_channels"])
        elif message.get("channel") in self.channels:
            key = message["data"]["id"]
            if message["action"] == "deleted":
                self.books.pop(key, None)
            elif not (message["action"] == "created" and key in self.books):  # ignored by it
                self.books[key] = message["data"]

    def until(self, *titles: str) -> None:
        def same() -> bool:
            if {book["title"] for book in self.books.values()} == set(titles):
                return True
            self.take(self.client.waiting.pop(0) if self.client.waiting else self.client.receive())
            return False

        until(same, f"showing {titles}")


@pytest.fixture
def shelves() -> list[Shelf]:
    return [Shelf.objects.create(name=name) for name in ("one", "two")]


def test_after_a_lost_stream_it_shows_what_there_is(server: Served, shelves: list[Shelf]) -> None:
    Book.objects.create(title="stays", shelf=shelves[0])
    gone = Book.objects.create(title="goes", shelf=shelves[0])
    with peer(server.port, "/data/websocket", token=token_of(person(is_staff=True))) as client:
        shown = Mapper(client)
        shown.until("stays", "goes")
        gone.delete()
        Book.objects.create(title="comes", shelf=shelves[0])
        server.process.bus.renew(["book"])
        shown.until("stays", "comes")
        Book.objects.filter(title="comes").update(title="changed")
        shown.until("stays", "changed")


def test_with_other_rights_it_shows_what_it_may_and_goes_on(server: Served, shelves: list[Shelf]) -> None:
    user = person()
    for shelf in shelves:
        Book.objects.create(title=f"on {shelf.name}", shelf=shelf)
    first = Membership.objects.create(user=user, shelf=shelves[0])
    with peer(server.port, "/data/websocket", token=token_of(user)) as client:
        shown = Mapper(client)
        shown.until("on one")
        Membership.objects.create(user=user, shelf=shelves[1])
        shown.until("on one", "on two")
        first.delete()
        shown.until("on two")
        Book.objects.filter(title="on two").update(title="changed")
        shown.until("changed")
        Book.objects.create(title="hidden", shelf=shelves[0])
        Book.objects.create(title="new", shelf=shelves[1])
        shown.until("changed", "new")


def test_who_may_see_nothing_any_more_shows_nothing(server: Served, shelves: list[Shelf]) -> None:
    user = person()
    Membership.objects.create(user=user, shelf=shelves[0])
    Book.objects.create(title="a", shelf=shelves[0])
    with peer(server.port, "/data/websocket", token=token_of(user)) as client:
        shown = Mapper(client)
        shown.until("a")
        Membership.objects.all().delete()
        shown.until()


def test_healing_waits_for_the_bus_to_come_back(
    server: Served, shelves: list[Shelf], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime.healing.RETRY_SECONDS", 0.05)
    Book.objects.create(title="a", shelf=shelves[0])
    away = threading.Event()
    asked = threading.Event()
    original = server.process.node.caught_up

    async def caught_up(name: str) -> Any:
        if away.is_set():
            asked.set()
            raise BusUnavailable
        return await original(name)

    monkeypatch.setattr(server.process.node, "caught_up", caught_up)
    with peer(server.port, "/data/websocket", token=token_of(person(is_staff=True))) as client:
        shown = Mapper(client)
        away.set()
        server.process.bus.renew(["book"])
        assert asked.wait(LIMIT)
        Book.objects.update(title="b")
        away.clear()
        shown.until("b")


def test_a_stream_lost_twice_while_rows_are_read_is_read_again(
    server: Served, shelves: list[Shelf], monkeypatch: pytest.MonkeyPatch
) -> None:
    Book.objects.create(title="a", shelf=shelves[0])
    with peer(server.port, "/data/websocket", token=token_of(person(is_staff=True))) as client:
        shown = Mapper(client)
        reached, free = threading.Event(), threading.Event()
        original = subscriptions.snapshot

        def read(*args: Any) -> Snapshot:
            found = original(*args)
            reached.set()
            assert free.wait(LIMIT)
            return found

        monkeypatch.setattr(subscriptions, "snapshot", read)
        server.process.bus.renew(["book"])
        assert reached.wait(LIMIT)
        Book.objects.update(title="b")
        server.process.bus.renew(["book"])
        free.set()
        shown.until("b")
