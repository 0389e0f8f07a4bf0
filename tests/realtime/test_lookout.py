"""Whoever is connected hears what is broken: as much as concerns them, soon, and when it is over."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import OperationalError, connection

from realtime import conditions, election
from realtime import lookout as module
from realtime.lookout import told
from realtime.models import Journal
from realtime.relay import Relay
from tests.library.models import Shelf
from tests.realtime.serving import LIMIT, Peer, Served, peer, person, served, token_of, until
from tests.wire import frame, names

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """The same judgement, a tenth of the time."""
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.3)
    monkeypatch.setattr(module, "SELDOM_SECONDS", 0.0)
    monkeypatch.setattr(conditions, "RELIEF", 0.1)
    monkeypatch.setitem(conditions.PATIENCE, conditions.RELAY, 0.3)
    settings.REALTIME_LATE_SECONDS = 0.2


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as found:
        yield found


@pytest.fixture
def without_relay() -> Iterator[Served]:
    with served(relay=False) as found:
        yield found


def health(client: Peer) -> dict[str, Any]:
    """The next frame that tells it."""
    while True:
        message = client.waiting.pop(0) if client.waiting else client.receive(LIMIT)
        if message.get("type") == "health":
            return message


def parts(message: dict[str, Any]) -> list[str]:
    return [broken["part"] for broken in message.get("parts", [])]


def state(*broken: str) -> conditions.State:
    since = dt.datetime(2026, 11, 21, 6, 20, 11, tzinfo=dt.UTC)
    return conditions.State(tuple(conditions.Broken(part, since) for part in broken))


GOLDEN = {
    "all is well": told(state(), staff=True),
    "values may be old": told(state("bus"), staff=False),
    "nothing can be saved": told(state("disk"), staff=False),
    "something cannot be shown": told(state("objects"), staff=False),
    "broken parts": told(state("database"), staff=True),
}


@pytest.mark.parametrize("name", names("health"))
def test_what_is_told_is_as_the_specification_says(name: str) -> None:
    assert json.loads(GOLDEN[name]) == frame(name)


def test_strangers_and_viewers_hear_no_names_of_parts() -> None:
    assert told(state("bus", "relay"), staff=False) == told(state("journal"), staff=False)
    # What only operators can notice is nothing to the others.
    assert json.loads(told(state("relay", "space"), staff=False)) == frame("all is well")


def test_a_relay_that_is_gone_is_told_to_staff_and_what_waits_to_everybody(without_relay: Served) -> None:
    staff, viewer = token_of(person("staff", is_staff=True)), token_of(person("viewer"))
    with peer(without_relay.port, token=staff) as one, peer(without_relay.port, token=viewer) as other:
        assert parts(health(one)) == ["relay"]
        Shelf.objects.create(name="waits")
        message = health(one)
        assert parts(message) == ["relay", "journal"]
        assert (message["behind"], message["saving"]) == (True, True)
        seen = health(other)
        assert (seen["behind"], seen["saving"], seen.get("parts")) == (True, True, None)
        assert seen["since"] == message["parts"][1]["since"]
        # Who comes later hears it before anything else.
        with peer(without_relay.port, token=viewer) as late:
            assert late.receive() == seen
        relay = Relay()
        relay.start()
        try:
            assert health(other) == frame("all is well")
            while parts(message := health(one)):
                pass
            assert message == frame("all is well")
        finally:
            relay.stop()


def test_nobody_hears_anything_while_all_is_well(server: Served) -> None:
    with peer(server.port, token=token_of(person(is_staff=True))) as client:
        looks = server.process.lookout
        seen = looks._asked_at
        until(lambda: looks._asked_at > seen + 3 * module.LOOK_SECONDS, "some looks")
        client.call("whoami", "session")
        assert [message for message in client.waiting if message["type"] == "health"] == []


def test_strangers_hear_nothing_until_they_use_what_is_public(without_relay: Served) -> None:
    Shelf.objects.create(name="waits")
    until(lambda: without_relay.process.lookout.state.behind, "the news")
    with peer(without_relay.port) as client:
        client.call("whoami", "session")
        assert client.waiting == []


def test_clients_of_swampdragon_hear_nothing(without_relay: Served) -> None:
    Shelf.objects.create(name="waits")
    until(lambda: without_relay.process.lookout.state.behind, "the news")
    with peer(without_relay.port, "/data/websocket", token=token_of(person())) as client:
        client.call("whoami", "session")
        assert client.waiting == []


def test_objects_that_were_set_aside_are_told(without_relay: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(election, "at_work", lambda: True)
    with peer(without_relay.port, token=token_of(person(is_staff=True))) as client:
        Shelf.objects.create(name="one")
        Journal.objects.update(failed=True, dirty=True)
        message = health(client)
        assert parts(message) == ["objects"]
        assert (message["behind"], message["saving"], message["complete"]) == (False, True, False)
        Journal.objects.all().delete()
        assert health(client) == frame("all is well")


def test_a_disk_that_is_nearly_full_is_told_to_staff(server: Served, settings: Any) -> None:
    with peer(server.port, token=token_of(person(is_staff=True))) as client:
        settings.REALTIME_DISK_RED_BYTES = 1 << 60
        assert parts(health(client)) == ["space"]
        settings.REALTIME_DISK_RED_BYTES = 0
        assert health(client) == frame("all is well")


def test_a_refused_write_is_told_at_once_and_taken_back_when_writing_works(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = True

    def refuse(using: str) -> None:
        if refusing:
            raise OperationalError("x") from error

    error = sqlite3.OperationalError("full")
    error.sqlite_errorcode = 13
    monkeypatch.setattr("realtime.writes.try_one", refuse)
    with peer(server.port, token=token_of(person(is_staff=True))) as client:
        module.writes.suspect()
        message = health(client)
        assert parts(message) == ["disk"]
        assert (message["behind"], message["saving"]) == (False, False)
        refusing = False
        assert health(client) == frame("all is well")


def test_a_database_that_does_not_answer_is_told_without_waiting_for_it(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()
    asked = 0
    real = module.lateness.oldest

    def frozen() -> Any:
        nonlocal asked
        asked += 1
        answer.wait(LIMIT)
        return real()

    with peer(server.port, token=token_of(person(is_staff=True))) as client:
        monkeypatch.setattr(module.lateness, "oldest", frozen)
        try:
            message = health(client)
            assert parts(message) == ["database"]
            assert (message["behind"], message["saving"]) == (True, False)
            # One question waits, however long: no thread is lost to each look.
            assert asked == 1
        finally:
            answer.set()
        assert health(client) == frame("all is well")


def test_an_error_of_the_database_is_told_and_its_connection_not_kept(
    server: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM there_is_no_such_table")

    with peer(server.port, token=token_of(person(is_staff=True))) as client:
        monkeypatch.setattr(module.lateness, "oldest", broken)
        assert parts(health(client)) == ["database"]
        monkeypatch.undo()
        assert health(client) == frame("all is well")


def test_health_agrees(without_relay: Served) -> None:
    Shelf.objects.create(name="waits")
    lookout = without_relay.process.lookout
    until(lambda: lookout.state.behind, "the news")
    found = lookout.health()
    assert (found["ok"], found["behind"], found["saving"]) == (False, True, True)
    assert "journal" in found["broken"]


def test_whether_a_relay_is_at_work_is_seen_from_outside() -> None:
    assert not election.at_work()
    claim = election.election()
    assert claim.won()
    assert election.at_work()
    claim.withdraw()
    assert not election.at_work()
