"""What was measured to be wrong with SwampDragon 0.4, turned round: one test for each, over its own endpoint.

The numbers are those of "What went wrong there" in docs/coming-from-swampdragon.md.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.contrib.sessions.models import Session
from django.db import connection, models, transaction
from django.db.models import ProtectedError
from django.test.utils import CaptureQueriesContext
from websockets.exceptions import InvalidStatus

from devices.models import DeviceType
from realtime import journal
from realtime.testing import TestConnection
from tests import services
from tests.devices import base
from tests.library.models import Book, Shelf
from tests.library.routers import RoomRouter
from tests.realtime.serving import LIMIT, Peer, Served, peer, person, served, session_of, token_of, until

pytestmark = pytest.mark.django_db(transaction=True)

OLD = "/data/websocket"


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as found:
        yield found


@pytest.fixture
def shelf() -> Shelf:
    return Shelf.objects.create(name="one")


@pytest.fixture
def client(server: Served) -> Iterator[Peer]:
    with peer(server.port, OLD, token=token_of(person(is_staff=True))) as found:
        yield found


def follow(client: Peer, channel: str = "books", **filters: Any) -> dict[str, Any]:
    return client.call("subscribe", "book", channel=channel, **filters)


def nothing_else(client: Peer) -> bool:
    """Whatever was to come before an answer to a call has come."""
    client.call("ping", "room")
    return client.shown == []


# -- security --------------------------------------------------------------------------------------------------------


def test_flaw_1_a_field_that_is_not_published_is_not_sent_when_it_changes(client: Peer, shelf: Shelf) -> None:
    book = Book.objects.create(title="a", shelf=shelf)
    follow(client)
    book.secret = "hunter2"
    book.pages = 2
    book.save()
    # Its creation may still have been on its way.
    while (told := client.change())["data"]["pages"] != 2:
        assert "secret" not in told["data"]
    assert "hunter2" not in json.dumps(told) and "secret" not in told["data"]


def test_flaw_2_a_subscription_is_no_oracle(client: Peer, shelf: Shelf) -> None:
    book = Book.objects.create(title="a", shelf=shelf, secret="hunter2")
    for guess in ({"secret__istartswith": "hun"}, {"secret__regex": "^h"}, {"shelf__name__startswith": "o"},
                  {"secret": "hunter2"}, {"pk": book.pk}):  # fmt: skip
        reply = follow(client, "guess", **guess)
        assert reply["context"]["state"] == "error", guess
        assert "hunter" not in json.dumps(reply)
    Book.objects.filter(pk=book.pk).update(pages=3)
    assert nothing_else(client)


def test_flaw_3_no_subscription_poisons_a_save(client: Peer, server: Served, shelf: Shelf) -> None:
    with peer(server.port, OLD, token=token_of(person("viewer", is_staff=True))) as other:
        follow(other)
        for nonsense in ({"nowhere": 1}, {"pages": "abc"}, {"pages__gt": []}, {"due": {}}, {"title__startswith": "a"},
                         {"title__contains": None}, {"pages__": 1}, {"__class__": 1}):  # fmt: skip
            assert follow(client, "x", **nonsense)["context"]["state"] == "error", nonsense
        client.call("unsubscribe", "book", channel="x")
        book = Book.objects.create(title="a", shelf=shelf)
        assert other.change()["data"]["id"] == book.pk


def test_flaw_4_no_page_of_another_site_rides_on_a_cookie(server: Served) -> None:
    cookie = f"sessionid={session_of(person())}; sdso=whatever"
    for path in (OLD, "/data/1/abc/websocket"):
        with (
            pytest.raises(InvalidStatus) as caught,
            peer(server.port, path, Origin="http://evil.example", Cookie=cookie),
        ):
            pass
        assert caught.value.response.status_code == 403


def test_flaw_5_a_subscription_ends_with_its_session(server: Served, shelf: Shelf) -> None:
    user = person(is_staff=True)
    with peer(server.port, OLD, session=session_of(user)) as client:
        follow(client)
        Session.objects.all().delete()
        assert client.closed() == 4001
    with peer(server.port, OLD, token=token_of(user)) as client:
        follow(client)
        type(user).objects.update(is_staff=False)
        until(lambda: follow(client, "again")["channel_data"]["remote_channels"] == ["book|none"])
        client.waiting.clear()
        Book.objects.create(title="later", shelf=shelf)
        assert nothing_else(client)


def test_flaw_6_the_name_of_a_route_is_no_address_that_hangs(server: Served) -> None:
    for path in ("/book/", "/book/$", "/room/"):
        asking = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
        asking.request("GET", path)
        assert asking.getresponse().status == 404
        asking.close()


# -- correctness -----------------------------------------------------------------------------------------------------


def test_flaw_7_what_was_rolled_back_was_never_told(client: Peer, shelf: Shelf) -> None:
    follow(client)
    with pytest.raises(RuntimeError), transaction.atomic():
        Book.objects.create(title="ghost", shelf=shelf)
        raise RuntimeError
    with transaction.atomic():
        with pytest.raises(RuntimeError), transaction.atomic():
            Book.objects.create(title="ghost of a savepoint", shelf=shelf)
            raise RuntimeError
        Book.objects.create(title="real", shelf=shelf)
    assert client.change()["data"]["title"] == "real"
    assert nothing_else(client)


def test_flaw_8_what_was_not_saved_is_not_told(client: Peer, shelf: Shelf) -> None:
    follow(client)
    book = Book.objects.create(title="a", shelf=shelf)
    book.title, book.on_loan, book.pages = "b", True, 99
    book.save(update_fields=["title"])
    told = until(lambda: next((m for m in [client.change()] if m["data"]["title"] == "b"), None))
    assert (told["data"]["on_loan"], told["data"]["pages"]) == (False, 1)


def test_flaw_9_channels_that_nobody_follows_cost_nothing(settings: Any, redis_url: str, shelf: Shelf) -> None:
    settings.REDIS_URL = redis_url
    token = token_of(person(is_staff=True))
    with redis.Redis.from_url(redis_url) as asked, served() as server:
        before = set(asked.pubsub_channels())
        with peer(server.port, OLD, token=token) as client:
            for number in range(20):
                follow(client, f"c{number}", pages=number)
                follow(client, f"c{number}", pages=number)
            assert set(asked.pubsub_channels()) == before, "one channel for each model, whatever clients filter by"
            for number in range(10):
                client.call("unsubscribe", "book", channel=f"c{number}")
            counted = server.on_loop(lambda: server.process.hub.counts())
            assert counted["subscriptions"] == 10
        until(lambda: server.on_loop(lambda: server.process.hub.counts())["channels"] == 0, "an empty hub")


def test_flaw_10_nobody_is_told_of_the_deletion_of_what_they_never_had(client: Peer, shelf: Shelf) -> None:
    book = Book.objects.create(title="a", shelf=shelf, pages=5)
    for number in range(3):
        follow(client, f"c{number}", pages=100 + number)
    Book.objects.filter(pk=book.pk).update(title="b")
    book.delete()
    assert nothing_else(client)


def test_flaw_11_what_leaves_a_filter_is_taken_away(client: Peer, shelf: Shelf) -> None:
    odd = "50% 'of' \"it\"_\\ é 😀"
    follow(client, "published", pages=30)
    book = Book.objects.create(title=odd, shelf=shelf, pages=30)
    assert client.change()["data"]["id"] == book.pk
    client.call("unsubscribe", "book", channel="published")
    follow(client, "long", pages__gt=20)
    follow(client, "here", on_loan=False)
    follow(client, "odd", title__contains=odd)

    def told(count: int) -> dict[str, tuple[str, int]]:
        found = [client.change() for _ in range(count)]
        return {message["channel"].partition("|")[2].partition(":")[0]: (message["action"], message["data"]["id"])
                for message in found}  # fmt: skip

    Book.objects.filter(pk=book.pk).update(pages=5)
    first = told(3)
    assert first["pages__gt"] == ("deleted", book.pk)
    assert first["on_loan"] == first["title__contains"] == ("updated", book.pk)
    Book.objects.filter(pk=book.pk).update(on_loan=True)
    assert told(2) == {"on_loan": ("deleted", book.pk), "title__contains": ("updated", book.pk)}
    Book.objects.filter(pk=book.pk).update(pages=21)
    assert told(2)["pages__gt"] == ("updated", book.pk)


def test_flaw_12_whatever_writes_is_told(client: Peer, shelf: Shelf) -> None:
    follow(client)
    # A shelf that is told late tells the books that show it again.
    until(lambda: journal.pending()[0] == 0, "publishing the shelf")
    Book.objects.create(pk=77, title="own key", shelf=shelf)
    assert [(m["action"], m["data"]["id"]) for m in [client.change()]] == [("created", 77)]
    Book.objects.bulk_create([Book(title=f"bulk {n}", shelf=shelf) for n in range(3)])
    assert {client.change()["action"] for _ in range(3)} == {"created"}
    Book.objects.filter(pk=77).update(pages=2)
    assert client.change()["data"]["pages"] == 2
    with connection.cursor() as cursor:
        cursor.execute("UPDATE library_book SET pages = 3 WHERE id = 77")
    assert client.change()["data"]["pages"] == 3
    shelf.delete()
    assert {client.change()["action"] for _ in range(4)} == {"deleted"}


def test_flaw_13_a_deletion_that_was_refused_is_not_told(server: Served) -> None:
    device = base.dimmer()
    with peer(server.port, OLD, token=token_of(person(is_staff=True))) as client:
        client.call("subscribe", "device", channel="devices")
        with pytest.raises(ProtectedError):
            DeviceType.objects.all().delete()
        type(device).objects.filter(pk=device.pk).update(name="still here")
        found = client.change()
        while found["data"].get("name") != "still here":
            assert found["action"] != "deleted"
            found = client.change()
        assert nothing_else(client)


def test_flaw_14_without_redis_everything_is_saved_and_told_later(settings: Any, expect_log: Any, shelf: Shelf) -> None:
    for name in ("realtime.bus", "realtime.relay", "realtime.health"):
        expect_log(name, required=False)
    with services.running(services.Redis()) as own:
        settings.REDIS_URL = own.url
        with served() as server, peer(server.port, OLD, token=token_of(person(is_staff=True))) as client:
            follow(client)
            Book.objects.create(title="before", shelf=shelf)
            assert client.change()["data"]["title"] == "before"
            own.stop()
            Book.objects.create(title="meanwhile", shelf=shelf)
            own.start()
            titles = {"before"}
            while "meanwhile" not in titles:
                titles.add(client.change()["data"]["title"])


def test_flaw_15_subscribed_is_said_when_it_is_true(client: Peer, shelf: Shelf) -> None:
    for number in range(20):
        assert follow(client, f"c{number}", pages=number)["context"]["state"] == "success"
        Book.objects.create(title=f"book {number}", shelf=shelf, pages=number)
        # Whatever heals an old client says again what it shows already; nothing may be missing.
        while (told := client.change())["data"]["title"] != f"book {number}":
            assert told["action"] == "updated", told
    assert nothing_else(client)


def test_flaw_16_settings_are_javascript(settings: Any) -> None:
    settings.SWAMP_DRAGON = told = {"flag": True, "none": None, "text": "</script>"}
    with served() as server:
        asking = http.client.HTTPConnection("127.0.0.1", server.port, timeout=LIMIT)
        asking.request("GET", "/settings.js")
        text = asking.getresponse().read().decode()
        asking.close()
    found = re.search(r"swampdragon_settings\s*=\s*(\{.*?\});", text)
    assert found, text
    assert json.loads(found[1]) == {**told, "endpoint": "/data"}
    assert settings.SWAMP_DRAGON == {"flag": True, "none": None, "text": "</script>"}, "left as it was"


# -- performance: counted, not timed ---------------------------------------------------------------------------------


def test_flaw_17_a_slow_verb_keeps_nobody_else_waiting(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def slow(self: RoomRouter, **kwargs: Any) -> Any:
        return {"went on": go_on.wait(LIMIT)}

    monkeypatch.setattr(RoomRouter, "echo", slow)
    with (
        peer(server.port, OLD, token=token_of(person())) as one,
        peer(server.port, OLD, token=token_of(person("b"))) as two,
    ):
        asked = one.send("echo", "room", text="x")
        assert two.call("ping", "room")["data"] == "pong"
        go_on.set()
        assert one.reply(asked)["data"] == {"went on": True}


def test_flaw_18_a_save_costs_the_same_whoever_listens(shelf: Shelf) -> None:
    def cost(title: str) -> list[str]:
        with CaptureQueriesContext(
            connection,
        ) as asked:
            Book.objects.create(title=title, shelf=shelf)
        return [re.sub(r"'[^']*'|\d+", "?", query["sql"]) for query in asked.captured_queries]

    alone = cost("a")
    listeners = [TestConnection(user=person(f"u{number}", is_staff=True)) for number in range(4)]
    for listener in listeners:
        for number in range(50):
            listener.subscribe("book", f"c{number}", {"pages": 1000 + number})
        listener.sent_data.clear()
    assert cost("b") == alone
    assert [frame for listener in listeners for frame in listener.sent_data] == []


def test_flaw_19_loading_rows_costs_what_django_costs(shelf: Shelf, django_assert_num_queries: Any) -> None:
    Book.objects.bulk_create([Book(title=f"book {n}", shelf=shelf) for n in range(50)])
    with django_assert_num_queries(1):
        assert len(list(Book.objects.only("title")[:50])) == 50
    with django_assert_num_queries(1):
        assert len(list(Book.objects.all())) == 50
    # No look at the row is kept: nothing runs when one is made but Django's own.
    assert Book.__init__ is models.Model.__init__
    assert Book.from_db.__func__ is models.Model.from_db.__func__  # type: ignore[attr-defined]
