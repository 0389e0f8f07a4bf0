"""Calls over a real socket: order, deadlines, errors, identity of the caller."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError
from django.db.backends.utils import CursorWrapper

from realtime import calls as module
from realtime import sessions, subscriptions
from realtime.errors import TimedOut
from realtime.kicks import Kicks
from tests.library.models import Book, Membership, Shelf
from tests.library.routers import RoomRouter
from tests.realtime.serving import Served, peer, person, served, session_of, token_of, until

ALL_BOOKS = [{"route": "book", "channel": "b", "_snapshot": True}]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as found:
        yield found


def staff() -> str:
    return token_of(person(is_staff=True))


def test_every_refusal_has_its_code(server: Served) -> None:
    with peer(server.port, token=staff()) as client:
        for verb, route, args, code in (
            ("ping", "nowhere", {}, "unknown_route"),
            ("fly", "room", {}, "unknown_verb"),
            ("__init__", "room", {}, "unknown_verb"),
            ("echo", "room", {}, "bad_args"),
            ("echo", "room", {"_odd": 1}, "bad_args"),
            ("get_single", "book", {"id": 99}, "not_found"),
            ("subscribe", "book", {}, "bad_args"),
            ("subscribe", "book", {"channel": "x", "secret": "y"}, "bad_filter"),
            ("subscribe", "book", {"channel": "x", "_since": [1]}, "bad_args"),
            ("subscribe", "book", {"channel": "x", "_since": {"book|": ["e", -1]}}, "bad_args"),
            ("subscribe", "room", {"channel": "x", "room": "closed"}, "not_allowed"),
            ("fly", "session", {}, "unknown_verb"),
            ("visible", "session", {"visible": 1}, "bad_args"),
            ("subscribe", "session", {"subscriptions": 1}, "bad_args"),
        ):
            context = client.call(verb, route, **args)["context"]
            assert context["state"] == "error", (verb, route)
            assert context["error"]["code"] == code, (verb, route, args)
        assert client.call("ping", "room")["data"] == "pong"


def test_an_unforeseen_error_says_nothing_and_is_logged_once(
    server: Served, monkeypatch: pytest.MonkeyPatch, expect_log: Any
) -> None:
    def break_down(self: Any) -> None:
        raise ZeroDivisionError("inner words")

    monkeypatch.setattr(RoomRouter, "ping", break_down)
    records = expect_log("realtime.calls", "failed")
    with peer(server.port, token=staff()) as client:
        reply = client.call("ping", "room")
        assert reply["context"]["error"] == {
            "code": "internal",
            "message": "Something went wrong on the server.",
            "temporary": True,
        }
        assert "inner words" not in str(reply)
        assert client.call("echo", "room", text="still here")["data"]["text"] == "still here"
    assert records is not None


def test_calls_of_one_client_are_answered_in_order_and_others_do_not_wait(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, free = threading.Event(), threading.Event()

    def slow(self: Any) -> str:
        begun.set()
        assert free.wait(10)
        return "slow"

    monkeypatch.setattr(RoomRouter, "ping", slow)
    with peer(server.port, token=staff()) as first, peer(server.port, token=token_of(person("other"))) as second:
        slow_call = first.send("ping", "room")
        quick_call = first.send("echo", "room", text="after")
        assert begun.wait(10)
        assert second.call("echo", "room", text="beside")["data"]["text"] == "beside"
        free.set()
        assert first.receive()["context"]["client_callback_name"] == slow_call
        assert first.receive()["context"]["client_callback_name"] == quick_call


def test_a_verb_that_takes_too_long_is_answered_and_the_next_waits_for_its_thread(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REALTIME_VERB_SECONDS = 0.3
    free = threading.Event()
    order: list[str] = []

    def slow(self: Any) -> str:
        free.wait(10)
        order.append("slow")
        return "slow"

    def quick(self: Any, text: str) -> str:
        order.append("quick")
        return "quick"

    monkeypatch.setattr(RoomRouter, "ping", slow)
    monkeypatch.setattr(RoomRouter, "echo", quick)
    with served() as server, peer(server.port, token=staff()) as client:
        later = client.send("ping", "room"), client.send("echo", "room", text="x")
        error = client.reply(later[0])["context"]["error"]
        assert (error["code"], error["temporary"]) == ("timed_out", True)
        free.set()
        assert client.reply(later[1])["data"] == "quick"
        assert order == ["slow", "quick"]


def test_a_client_that_left_does_not_stop_its_verb_nor_anything_else(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, free, done = threading.Event(), threading.Event(), threading.Event()

    def slow(self: Any) -> str:
        begun.set()
        assert free.wait(10)
        done.set()
        return "slow"

    monkeypatch.setattr(RoomRouter, "ping", slow)
    with peer(server.port, token=staff()) as client:
        client.send("ping", "room")
        assert begun.wait(10)
    free.set()
    assert done.wait(10)
    until(lambda: len(server.process.clients) == 0)


def test_a_call_by_someone_whose_rights_ended_this_instant_is_refused(server: Served) -> None:
    user = person(is_staff=True)
    with peer(server.port, token=token_of(user)) as client:
        type(user).objects.filter(pk=user.pk).update(is_staff=False)
        shelf = Shelf.objects.create(name="one")
        Book.objects.create(title="hidden", shelf=shelf)
        assert client.call("get_list", "book")["data"] == []


def test_writes_go_through_the_router_and_come_back_as_a_change(server: Served) -> None:
    with peer(server.port, token=staff()) as client:
        client.subscribe("book")
        made = client.call("create", "book", title="a", shelf={"name": "new"})
        assert made["context"]["state"] == "success", made
        change = client.change()
        assert (change["action"], change["data"]["title"]) == ("created", "a")


def test_one_list_subscribes_several_and_each_is_answered(server: Served) -> None:
    with peer(server.port, token=staff()) as client:
        wanted = [
            {"route": "book", "channel": "b", "_snapshot": True},
            {"route": "nowhere", "channel": "n"},
            {"route": "room", "channel": "r", "room": "open"},
        ]
        name = client.send("subscribe", "session", subscriptions=wanted)
        replies = [client.reply(name) for _ in wanted]
    assert [reply["channel_data"]["local_channel"] for reply in replies] == ["b", "n", "r"]
    assert [reply["context"]["state"] for reply in replies] == ["success", "error", "success"]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the threads that run verbs and judge identities ask the database."""
    statements: list[str] = []
    execute = CursorWrapper.execute

    def noted(self: Any, sql: Any, params: Any = None) -> Any:
        if threading.current_thread().name.startswith(("realtime-verb", "realtime-judge")) and not str(sql).startswith(
            "PRAGMA"
        ):
            statements.append(str(sql))
        return execute(self, sql, params)

    monkeypatch.setattr(CursorWrapper, "execute", noted)
    return statements


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads the users of all connections anew, as otherwise a moment after rights ended, and now and then."""

    async def later(self: Any) -> None:
        """In a test it never comes."""

    monkeypatch.setattr(Kicks, "check", later)


@pytest.mark.usefixtures("unchecked")
def test_a_reconnect_asks_three_things_however_much_is_followed(
    settings: Any, server: Served, asked: list[str]
) -> None:
    settings.REALTIME_IDENTITY_SECONDS = 60.0
    user = person(is_staff=True)
    Book.objects.create(title="a", shelf=Shelf.objects.create(name="one"))
    session = session_of(user)
    wanted = [{"route": "book", "channel": f"b{pages}", "pages__gt": pages, "_snapshot": True} for pages in range(9)]
    with peer(server.port, session=session) as client:
        name = client.send("subscribe", "session", subscriptions=wanted)
        since = [client.reply(name)["context"]["position"] for _ in wanted]
    again = [{**entry, "_since": position} for entry, position in zip(wanted, since, strict=True)]
    asked.clear()
    with peer(server.port, session=session) as client:
        client.call("whoami", "session")
        name = client.send("subscribe", "session", subscriptions=again)
        assert [client.reply(name)["context"]["recovered"] for _ in again] == [True] * 9
        # The session, its user, and once for all that is followed what is committed and not yet told.
        assert len(asked) == 3, asked


@pytest.mark.usefixtures("unchecked")
def test_a_list_right_after_the_handshake_is_judged_by_rights_that_ended_meanwhile(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = person(is_staff=True)
    Book.objects.create(title="a", shelf=Shelf.objects.create(name="one"))
    identified, free = threading.Event(), threading.Event()
    from_tokens = sessions.from_tokens

    def slow(shown: Any) -> Any:
        found = from_tokens(shown)
        identified.set()
        assert free.wait(10)
        return found

    monkeypatch.setattr(sessions, "from_tokens", slow)

    def demote() -> None:
        assert identified.wait(10)
        before = server.process.clients.judgements
        type(user).objects.filter(pk=user.pk).update(is_staff=False)
        until(lambda: server.process.clients.judgements > before)
        free.set()

    demoting = threading.Thread(target=demote)
    demoting.start()
    try:
        with peer(server.port, token=token_of(user)) as client:
            demoting.join()
            name = client.send("subscribe", "session", subscriptions=ALL_BOOKS)
            assert client.reply(name)["data"] == []
    finally:
        free.set()


@pytest.mark.usefixtures("unchecked")
def test_a_list_sent_after_rights_ended_is_judged_by_those_of_now(server: Served) -> None:
    user = person(is_staff=True)
    Book.objects.create(title="a", shelf=Shelf.objects.create(name="one"))
    with peer(server.port, token=token_of(user)) as client:
        client.call("ping", "room")
        before = server.process.clients.judgements
        type(user).objects.filter(pk=user.pk).update(is_staff=False)
        until(lambda: server.process.clients.judgements > before)
        name = client.send("subscribe", "session", subscriptions=ALL_BOOKS)
        assert client.reply(name)["data"] == []


def test_a_list_longer_than_a_connection_may_follow_costs_no_more_than_that(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REALTIME_SUBSCRIPTIONS = 3
    planned: list[Any] = []
    monkeypatch.setattr(
        RoomRouter, "get_subscription_channels", lambda self, room: planned.append(room) or ["room-open"]
    )
    with served() as server, peer(server.port, token=staff()) as client:
        wanted = [{"route": "room", "channel": "same", "room": number} for number in range(7)]
        name = client.send("subscribe", "session", subscriptions=wanted)
        replies = [client.reply(name) for _ in wanted]
    assert [reply["context"].get("error", {}).get("code") for reply in replies] == [None] * 3 + ["too_many"] * 4
    assert planned == [0, 1, 2]


def test_one_of_a_list_that_breaks_down_leaves_the_others_alone(
    server: Served, monkeypatch: pytest.MonkeyPatch, expect_log: Any
) -> None:
    expect_log("realtime.calls", "'subscribe' on 'room' failed")
    monkeypatch.setattr(RoomRouter, "get_subscription_channels", lambda self, room: 1 / 0)
    wanted = [{"route": "room", "channel": "a", "room": "r"}, {"route": "book", "channel": "b"}]
    with peer(server.port, token=staff()) as client:
        name = client.send("subscribe", "session", subscriptions=wanted)
        broken, whole = client.reply(name), client.reply(name)
    assert (broken["context"]["error"]["code"], broken["channel_data"]["local_channel"]) == ("internal", "a")
    assert whole["context"]["state"] == "success"


def test_a_list_that_takes_long_is_answered_bit_by_bit(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIST_SECONDS", 0.0)
    answered: list[str] = []

    def channels(self: Any, room: str) -> list[str]:
        until(lambda: len(answered) == int(room))
        return [f"room-{room}"]

    monkeypatch.setattr(RoomRouter, "get_subscription_channels", channels)
    with peer(server.port, token=staff()) as client:
        wanted = [{"route": "room", "channel": str(number), "room": number} for number in range(3)]
        name = client.send("subscribe", "session", subscriptions=wanted)
        for _ in wanted:
            answered.append(client.reply(name)["channel_data"]["local_channel"])
    assert answered == ["0", "1", "2"]


def test_of_who_calls_faster_than_is_answered_only_so_many_calls_are_kept(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REALTIME_CALLS_PER_SECOND = 100_000
    settings.REALTIME_CALLS_BURST = 5
    free = threading.Event()
    monkeypatch.setattr(RoomRouter, "ping", lambda self: self.send(free.wait(10)))
    with served() as server, peer(server.port, token=staff()) as client:
        names = [client.send("ping", "room")]
        names += [client.send("echo", "room", text="x" * 10_000) for _ in range(60)]
        connection = server.only()
        until(lambda: connection.shell.socket.paused)
        # Those of the piece that was being read come on top.
        assert connection.waiting_calls <= 5 + 3
        free.set()
        assert all(client.reply(name)["context"]["state"] == "success" for name in names)


def test_a_snapshot_that_takes_too_long_keeps_one_thread_and_no_more(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.REALTIME_VERB_SECONDS = 0.2
    free = threading.Event()
    reading: list[int] = []

    def slow(*args: Any) -> Any:
        reading.append(1)
        free.wait(10)
        raise TimedOut

    monkeypatch.setattr(subscriptions, "snapshot", slow)
    with served() as server, peer(server.port, token=staff()) as client:
        first = client.send("subscribe", "book", channel="a", _snapshot=True)
        second = client.send("subscribe", "book", channel="b", _snapshot=True)
        assert client.reply(first)["context"]["error"]["code"] == "timed_out"
        with peer(server.port, token=token_of(person("other"))) as other:
            other.call("ping", "room")
            other.call("ping", "room")
        assert len(reading) == 1
        free.set()
        assert client.reply(second)["context"]["error"]["code"] == "timed_out"


def test_unsubscribing_names_what_was_left(server: Served) -> None:
    with peer(server.port, token=staff()) as client:
        client.subscribe("book", "b", pages__gt=3)
        told = client.call("unsubscribe", "book", channel="b")["channel_data"]
        assert told == {"local_channel": "b", "remote_channels": ["book|pages__gt:3"], "action": "unsubscribe"}
        assert server.on_loop(lambda: server.process.hub.counts()["subscriptions"]) == 0


def test_a_page_is_told_with_a_list(server: Served) -> None:
    for number in range(3):
        Shelf.objects.create(name=f"shelf {number}")
    with peer(server.port, token=staff()) as client:
        reply = client.call("get_list", "shelf", _page=2)
    assert [shelf["name"] for shelf in reply["data"]] == ["shelf 2"]
    assert reply["context"]["client_context"]["page"]["page_count"] == 2


def test_an_answer_larger_than_an_outbox_is_refused_not_sent(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REALTIME_OUTBOX_BYTES = 20_000
    monkeypatch.setattr(RoomRouter, "ping", lambda self: self.send("x" * 30_000))
    with served() as server, peer(server.port, token=staff()) as client:
        assert client.call("ping", "room")["context"]["error"]["code"] == "too_large"
        assert client.call("echo", "room", text="y")["data"]["text"] == "y"


def test_members_see_and_call_what_they_may(server: Served) -> None:
    user = person()
    mine, other = Shelf.objects.create(name="mine"), Shelf.objects.create(name="other")
    Membership.objects.create(user=user, shelf=mine)
    seen = Book.objects.create(title="seen", shelf=mine)
    hidden = Book.objects.create(title="hidden", shelf=other)
    with peer(server.port, token=token_of(user)) as client:
        assert [book["title"] for book in client.subscribe("book")["data"]] == ["seen"]
        assert client.call("lend", "book", id=seen.pk)["data"] == {"title": "seen", "days": 14}
        for verb in ("get_single", "lend", "update", "delete"):
            assert client.call(verb, "book", id=hidden.pk)["context"]["error"]["code"] == "not_found", verb


def test_a_database_that_is_away_is_a_temporary_refusal_without_a_trace(
    server: Served, monkeypatch: pytest.MonkeyPatch, expect_log: Any
) -> None:
    def away(self: Any) -> None:
        raise OperationalError("connection to 10.0.0.1 refused")

    expect_log("realtime.calls", "'ping' on 'room': OperationalError$")
    monkeypatch.setattr(RoomRouter, "ping", away)
    with peer(server.port, token=staff()) as client:
        error = client.call("ping", "room")["context"]["error"]
    assert (error["code"], error["temporary"]) == ("unavailable", True)
    assert "10.0.0.1" not in error["message"]


def test_slow_verbs_delay_neither_handshakes_nor_kicks(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REALTIME_VERB_THREADS = 1
    begun, free = threading.Event(), threading.Event()

    def slow(self: Any) -> str:
        begun.set()
        assert free.wait(20)
        return "slow"

    monkeypatch.setattr(RoomRouter, "ping", slow)
    user, busy = person(), token_of(person("busy"))
    with (
        served() as server,
        peer(server.port, token=token_of(user)) as victim,
        peer(server.port, token=busy) as client,
    ):
        client.send("ping", "room")
        assert begun.wait(10)
        with peer(server.port, session=session_of(user)) as other:
            assert other.call("whoami", "session")["data"]["user"]["username"] == "operator"
        type(user).objects.filter(pk=user.pk).update(is_active=False)
        assert victim.closed() == 4001
        free.set()
