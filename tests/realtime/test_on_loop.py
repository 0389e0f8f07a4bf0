"""Verbs that are `async def`: awaited on the loop, by whoever has the rights that are known now."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.http import Http404

import realtime
from realtime import sessions
from realtime.bus import get_bus
from realtime.change import Control
from realtime.errors import BusUnavailable, NotAllowed
from realtime.kicks import IDENTITY
from realtime.permissions import DjangoModelPermission, LoginRequired, login_required
from realtime.testing import TestConnection
from tests.library.routers import RoomRouter
from tests.realtime.serving import Served, peer, person, served, token_of, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as found:
        yield found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the threads in which a caller was read anew for a call."""
    found: list[str] = []
    refreshed = sessions.refreshed

    def noted(identity: Any) -> Any:
        found.append(threading.current_thread().name)
        return refreshed(identity)

    monkeypatch.setattr(sessions, "refreshed", noted)
    return found


def answer_with(monkeypatch: pytest.MonkeyPatch, ping: Any) -> None:
    monkeypatch.setattr(RoomRouter, "ping", ping)


async def whoami(self: Any) -> list[Any]:
    return [self.user.first_name, threading.current_thread().name]


def code(reply: dict[str, Any]) -> str:
    found: str = reply["context"]["error"]["code"]
    return found


def test_an_async_verb_runs_on_the_loop_and_its_caller_is_not_read_again(
    server: Served, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    answer_with(monkeypatch, whoami)
    with peer(server.port, token=token_of(person(first_name="Ada"))) as client:
        until(lambda: server.process.node.sure)
        assert client.call("ping", "room")["data"] == ["Ada", "served"]
        assert client.call("ping", "room")["data"] == ["Ada", "served"]
        assert reads == []
        assert client.call("echo", "room", text="of a thread")["data"]["text"] == "of a thread"
        assert len(reads) == 1


def test_calls_of_one_client_keep_their_order_and_the_others_do_not_wait(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, free = threading.Event(), asyncio.Event()

    async def slow(self: Any) -> str:
        begun.set()
        await free.wait()
        return "slow"

    answer_with(monkeypatch, slow)
    with peer(server.port) as first, peer(server.port) as second:
        calls = [first.send("ping", "room"), first.send("echo", "room", text="after")]
        assert begun.wait(10)
        assert second.call("echo", "room", text="beside")["data"]["text"] == "beside"
        server.on_loop(free.set)
        assert [first.receive()["context"]["client_callback_name"] for _ in calls] == calls


def test_one_that_takes_too_long_is_cancelled_and_told_so(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REALTIME_VERB_SECONDS = 0.3
    ended: list[str] = []

    async def endless(self: Any) -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    answer_with(monkeypatch, endless)
    with served() as server, peer(server.port) as client:
        late, next_one = client.send("ping", "room"), client.send("echo", "room", text="next")
        assert code(client.reply(late)) == "timed_out"
        assert client.reply(next_one)["data"]["text"] == "next"
        assert ended == ["cancelled"]


def test_refusals_are_told_as_those_of_other_verbs(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[Exception] = []

    async def refuse(self: Any, number: int) -> None:
        raise raised[number]

    answer_with(monkeypatch, refuse)
    raised += [NotAllowed(), Http404()]
    with peer(server.port) as client:
        assert code(client.call("ping", "room", number=0)) == "not_allowed"
        assert code(client.call("ping", "room", number=1)) == "not_found"
        assert code(client.call("ping", "room")) == "bad_args"
        assert code(client.call("ping", "room", number=0, other=1)) == "bad_args"


def test_faults_and_the_database_are_answered_as_internal(
    server: Served, monkeypatch: pytest.MonkeyPatch, expect_log: Any
) -> None:
    async def crash(self: Any) -> None:
        raise ZeroDivisionError

    async def use_database(self: Any) -> int:
        return User.objects.count()

    async def be_cancelled(self: Any) -> None:
        given_up = asyncio.get_running_loop().create_future()
        given_up.cancel()
        await given_up

    async def say_nonsense(self: Any) -> Any:
        return object()

    expect_log("realtime.calls", "failed")
    for verb in (crash, use_database, be_cancelled, say_nonsense):
        answer_with(monkeypatch, verb)
        with peer(server.port) as client:
            assert code(client.call("ping", "room")) == "internal", verb
            assert client.call("echo", "room", text="still here")["data"]["text"] == "still here"


def test_permissions_are_asked_first_and_those_that_use_the_database_in_a_thread(
    server: Served, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    user = person(first_name="Ada")
    answer_with(monkeypatch, whoami)
    monkeypatch.setattr(RoomRouter, "permission_classes", [LoginRequired])
    with peer(server.port) as nobody, peer(server.port, token=token_of(user)) as client:
        assert nobody.call("ping", "room")["context"]["state"] == "login_required"
        assert client.call("ping", "room")["data"][0] == "Ada"
        monkeypatch.setattr(RoomRouter, "permission_classes", [DjangoModelPermission("auth.view_user")])
        assert code(client.call("ping", "room")) == "not_allowed"
        user.user_permissions.add(Permission.objects.get(codename="view_user"))
        assert client.call("ping", "room")["data"] == ["Ada", "served"]
        assert [name for name in reads if name.startswith("realtime-verb")]


def test_a_verb_for_those_who_are_signed_in(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, login_required(whoami))
    with peer(server.port) as nobody, peer(server.port, token=token_of(person(first_name="Ada"))) as client:
        assert nobody.call("ping", "room")["context"]["state"] == "login_required"
        assert client.call("ping", "room")["data"] == ["Ada", "served"]


@pytest.mark.parametrize("reason", ["rights", IDENTITY])
def test_after_word_of_a_right_or_an_identity_the_caller_is_read_anew(
    server: Served, monkeypatch: pytest.MonkeyPatch, reads: list[str], settings: Any, reason: str
) -> None:
    settings.REALTIME_IDENTITY_SECONDS = 3600.0
    answer_with(monkeypatch, whoami)
    user = person(first_name="Ada")
    with peer(server.port, token=token_of(user)) as client:
        assert client.call("ping", "room")["data"][0] == "Ada"
        # As if this server's own look at all identities took for ever.
        server.on_loop(lambda: setattr(server.process.kicks, "check", asyncio.Event().wait))
        type(user).objects.filter(pk=user.pk).update(first_name="Grace")
        server.on_loop(lambda: server.process.kicks.judge(Control(None, reason)))
        reads.clear()
        assert client.call("ping", "room")["data"][0] == "Grace"
        assert reads


def test_without_the_link_to_the_bus_the_caller_is_read_anew(
    server: Served, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    answer_with(monkeypatch, whoami)
    with peer(server.port, token=token_of(person(first_name="Ada"))) as client:
        server.on_loop(lambda: setattr(server.process.node, "linked", False))
        assert client.call("ping", "room")["data"][0] == "Ada"
        assert reads
        server.on_loop(lambda: setattr(server.process.node, "linked", True))


def test_a_caller_who_was_read_too_long_ago_is_read_anew(
    server: Served, monkeypatch: pytest.MonkeyPatch, reads: list[str]
) -> None:
    answer_with(monkeypatch, whoami)
    with peer(server.port, token=token_of(person(first_name="Ada"))) as client:
        connection = server.only()
        server.on_loop(lambda: connection.shell.read(server.process.clients.judgements, -1000.0))
        assert client.call("ping", "room")["data"][0] == "Ada"
        assert reads
        # The regular look at all identities reads everybody.
        server.on_loop(lambda: asyncio.ensure_future(server.process.kicks.check()))
        until(lambda: connection.shell.read_since(server.process.clients.judgements))
        reads.clear()
        assert client.call("ping", "room")["data"][0] == "Ada"
        assert reads == []


def test_whose_user_may_no_longer_act_is_closed(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, whoami)
    user = person()
    with peer(server.port, token=token_of(user)) as client:
        connection = server.only()
        server.on_loop(lambda: setattr(connection.shell, "read_before", -1))
        user.is_active = False
        user.save()
        client.send("ping", "room")
        assert client.closed() == 4001


def test_what_is_broadcast_comes_to_everybody_in_the_channel(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def shout(self: Any, text: str) -> str:
        await realtime.broadcast("room-a", {"text": text})
        await realtime.broadcast("room-a", {"text": text})
        return "said"

    answer_with(monkeypatch, shout)
    with peer(server.port) as speaker, peer(server.port) as listener, peer(server.port) as elsewhere:
        for client, room in ((speaker, "a"), (listener, "a"), (elsewhere, "b")):
            assert client.call("subscribe", "room", channel="mine", room=room)["context"]["state"] == "success"
        assert speaker.call("ping", "room", text="ü")["data"] == "said"
        for client in (speaker, listener):
            messages = [client.change(), client.change()]
            assert [message["data"] for message in messages] == [{"text": "ü"}, {"text": "ü"}]
            assert messages[1]["offset"] == messages[0]["offset"] + 1
        assert elsewhere.call("echo", "room", text="nothing")["data"]["text"] == "nothing"
        assert elsewhere.shown == []


def test_a_bus_that_is_away_is_told_to_who_broadcasts(server: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    async def shout(self: Any) -> None:
        await realtime.broadcast("room-a", 1)

    async def fail(item: Any) -> None:
        raise BusUnavailable

    answer_with(monkeypatch, shout)
    monkeypatch.setattr(get_bus(), "tell", fail)
    with peer(server.port) as client:
        assert code(client.call("ping", "room")) == "unavailable"


def test_an_apps_own_tests_call_them_too(monkeypatch: pytest.MonkeyPatch) -> None:
    async def slowly(self: Any) -> str:
        await asyncio.sleep(0)
        return "pong"

    answer_with(monkeypatch, slowly)
    connection = TestConnection()
    connection.call_verb("room", "ping")
    assert connection.last_message["data"] == "pong"
