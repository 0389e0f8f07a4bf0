"""What somebody may not see is not told in any way: not by a change, a count, an error or an answer to a guess.
docs/security.md, 12 to 16."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.library.models import Book, Membership, Shelf
from tests.realtime.serving import Peer, Served, peer, person, served, token_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as found:
        yield found


def error(reply: dict[str, Any]) -> dict[str, Any]:
    """An error, whole, without the client's own name for the call."""
    return {"data": reply["data"], **reply["context"]["error"]}


@pytest.fixture
def shelves() -> tuple[Shelf, Shelf]:
    return Shelf.objects.create(name="ours"), Shelf.objects.create(name="theirs")


def reader(shelf: Shelf) -> str:
    user = person("viewer")
    Membership.objects.create(user=user, shelf=shelf)
    return token_of(user)


def quiet(client: Peer) -> list[dict[str, Any]]:
    """What came meanwhile, after something of its own has come: whatever was to come before it has."""
    client.call("ping", "room")
    return client.shown


# -- 13 --------------------------------------------------------------------------------------------------------------


def test_what_is_hidden_is_answered_as_what_is_not_there(server: Served, shelves: tuple[Shelf, Shelf]) -> None:
    ours, theirs = shelves
    hidden = Book.objects.create(title="hidden", shelf=theirs)
    with peer(server.port, token=reader(ours)) as client:
        for verb, args in (
            ("get_single", {}),
            ("update", {"title": "x"}),
            ("delete", {}),
            ("lend", {}),
            ("update", {"shelf": ours.pk}),
        ):
            there = error(client.call(verb, "book", id=hidden.pk, **args))
            nowhere = error(client.call(verb, "book", id=10**9, **args))
            assert there == nowhere, verb
        assert client.call("get_list", "book", shelf=theirs.pk)["data"] == []
        assert client.call("get_list", "book", shelf=10**9)["data"] == []
        into = error(client.call("create", "book", title="x", shelf=theirs.pk))
        assert into == error(client.call("create", "book", title="x", shelf=10**9))
        assert into["code"] == "invalid"
    hidden.refresh_from_db()
    assert (hidden.title, hidden.shelf_id) == ("hidden", theirs.pk)


def test_no_name_of_a_channel_gives_what_is_not_ones_own(server: Served, shelves: tuple[Shelf, Shelf]) -> None:
    """Channels are computed from the caller's rights; a client's own names for them mean nothing."""
    ours, theirs = shelves
    with peer(server.port, token=reader(ours)) as client:
        for number, name in enumerate(
            ("book|", "book|*", f"book|shelf:{theirs.pk}", "!control", "!data", "room-closed")
        ):
            reply = client.call("subscribe", "book", channel=name, _snapshot=True)
            assert reply["channel_data"]["remote_channels"] == [f"book|shelf:{ours.pk}"], name
            reply = client.call("subscribe", "book", channel=f"x{number}", shelf=theirs.pk)
            # Both at once: nothing is on two shelves.
            assert reply["channel_data"]["remote_channels"] == [f"book|shelf:{ours.pk}|shelf:{theirs.pk}"]
        assert client.call("subscribe", "room", channel="y", room="closed")["context"]["state"] != "success"
        since = {f"book|shelf:{theirs.pk}": ["invented", 0], "book|": ["invented", 0]}
        reply = client.call("subscribe", "book", channel="z", _snapshot=True, _since=since)
        assert reply["data"] == []
        for title in ("a", "b"):
            Book.objects.create(title=title, shelf=theirs)
        Book.objects.create(title="seen", shelf=ours)
        assert client.change()["data"]["title"] == "seen", "before it came nothing else"


# -- 12 and 14 -------------------------------------------------------------------------------------------------------


def test_who_moves_out_of_sight_is_gone_and_shows_nothing_new(server: Served, shelves: tuple[Shelf, Shelf]) -> None:
    ours, theirs = shelves
    book = Book.objects.create(title="moves", shelf=ours)
    with peer(server.port, token=reader(ours)) as client:
        client.subscribe("book")
        Book.objects.filter(pk=book.pk).update(shelf=theirs, title="what they call it", pages=777)
        told = client.change()
        assert (told["action"], told["gone"]) == ("deleted", False)
        assert told["data"] == {"id": book.pk, "_type": "book"}
        assert "777" not in json.dumps(told) and "what they" not in json.dumps(told)
        Book.objects.filter(pk=book.pk).update(pages=778)
        assert quiet(client) == []
        Book.objects.filter(pk=book.pk).update(shelf=ours)
        back = client.change()
        assert back["data"]["pages"] == 778, "whoever comes into sight is shown whole"


def test_after_a_right_has_ended_nothing_of_it_is_told(server: Served, shelves: tuple[Shelf, Shelf]) -> None:
    ours, _ = shelves
    Book.objects.create(title="a", shelf=ours)
    with peer(server.port, token=reader(ours)) as client:
        assert len(client.subscribe("book")["data"]) == 1
        Membership.objects.all().delete()
        assert client.change()["type"] == "resync"
        for number in range(5):
            Book.objects.create(title=f"later {number}", shelf=ours)
        assert client.subscribe("book")["data"] == []
        assert quiet(client) == []


# -- 16 --------------------------------------------------------------------------------------------------------------


def test_a_change_carries_published_fields_and_nothing_else(server: Served, shelves: tuple[Shelf, Shelf]) -> None:
    """The raw text is searched, not the fields that a client would look at."""
    ours, _ = shelves
    book = Book.objects.create(title="a", shelf=ours, secret="hunter2")
    texts: list[str] = []
    staff = token_of(person(is_staff=True, is_superuser=True))
    with peer(server.port, token=staff) as client:
        texts.append(json.dumps(client.subscribe("book")))
        Book.objects.filter(pk=book.pk).update(secret="hunter3", pages=2)
        texts.append(json.dumps(client.change()))
        texts.append(json.dumps(client.call("update", "book", id=book.pk, title="b")))
        texts.append(json.dumps(client.change()))
        texts.append(json.dumps(client.call("get_single", "book", id=book.pk)))
        texts.append(json.dumps(client.call("get_list", "book")))
        texts.append(json.dumps(client.call("whoami", "session")))
        Book.objects.filter(pk=book.pk).delete()
        texts.append(json.dumps(client.change()))
    for text in texts:
        for word in ("hunter", '"secret"', "password", "pbkdf2", "md5$", "session_key", "digest"):
            assert word not in text
