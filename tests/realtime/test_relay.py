"""From the journal to the bus, on both databases and both buses: nothing lost, nothing phantom, nothing backwards."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from realtime import change, journal, publish_data
from realtime.bus import Bus, Publication, Renewed
from realtime.bus_redis import RedisBus
from realtime.election import Election, election
from realtime.errors import BusUnavailable
from realtime.models import Journal
from realtime.relay import Relay
from tests import services
from tests.app import serializers
from tests.app.models import Label, Named, Place, Shy, Tagging, Thing, Unique
from tests.realtime.journal_base import POSTGRESQL

from .bus_base import any_bus, buses, close_buses, wait_until
from .relay_base import Screen, Worker, actions, head, publish_due, told

pytestmark = pytest.mark.django_db(transaction=True)

POINTS = ["read", "loaded", "published-half", "published", "marked"]


@pytest.fixture(params=["memory", "redis"])
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    yield any_bus(request)
    close_buses()


@pytest.fixture
def relay(bus: Bus) -> Relay:
    """Has caught up with whatever making the database left in the journal; a test makes its steps."""
    relay = Relay(bus)
    publish_due(relay)
    return relay


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


class Killed(BaseException):
    """Ends a relay in the middle of a step, as a signal would."""


# What is told


def test_a_created_a_changed_and_a_deleted_object(bus: Bus, relay: Relay) -> None:
    place = Place.objects.create(name="hall")
    thing = Thing.objects.create(name="lamp", size=3, place=place)
    publish_due(relay)
    Thing.objects.filter(pk=thing.pk).update(size=4)
    publish_due(relay)
    pk = thing.pk
    thing.delete()
    publish_due(relay)
    created, updated, deleted = told(bus, "thing")
    assert (created.action, created.id, created.type, created.key) == ("created", pk, "thing", str(pk))
    assert created.data == {
        "id": pk, "_type": "thing", "name": "lamp", "place": place.pk, "size": 3, "on": False, "note": "", "labels": [],
    }  # fmt: skip
    assert created.now == {"place": place.pk, "size": 3, "on": False}
    assert created.before == (None,)
    assert (updated.action, updated.data["size"], updated.now["size"]) == ("updated", 4, 4)
    assert updated.before == ({"place": place.pk, "size": 3, "on": False},)
    assert (deleted.action, deleted.id, deleted.data, deleted.now) == ("deleted", pk, None, None)
    assert deleted.before == ({"place": place.pk, "size": 4, "on": False},)
    assert created.revision < updated.revision < deleted.revision
    assert not Journal.objects.filter(dirty=True).exists()


def test_an_object_that_changed_often_is_told_once_as_it_is_now_with_all_it_was(bus: Bus, relay: Relay) -> None:
    thing = Thing.objects.create(name="lamp")
    publish_due(relay)
    for size in (1, 2, 3):
        Thing.objects.filter(pk=thing.pk).update(size=size)
    publish_due(relay)
    last = told(bus, "thing")[-1]
    assert actions(bus, "thing") == [("created", thing.pk), ("updated", thing.pk)]
    assert last.data["size"] == 3
    assert sorted(state["size"] for state in last.before) == [0, 1, 2]


def test_what_came_and_went_unpublished_is_deleted_because_a_snapshot_may_have_shown_it(bus: Bus, relay: Relay) -> None:
    thing = Thing.objects.create(name="spark")
    pk = thing.pk
    thing.delete()
    publish_due(relay)
    assert actions(bus, "thing") == [("deleted", pk)]


def test_what_was_rolled_back_is_never_told(bus: Bus, relay: Relay) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        Thing.objects.create(name="phantom")
        raise RuntimeError
    publish_due(relay)
    assert told(bus, "thing") == []


def test_keys_of_every_kind(bus: Bus, relay: Relay) -> None:
    unique = Unique.objects.create()
    Named.objects.create(code="ä b:c")
    publish_due(relay)
    assert actions(bus, "unique") == [("created", str(unique.pk))]
    assert actions(bus, "named") == [("created", "ä b:c")]
    Unique.objects.all().delete()
    Named.objects.all().delete()
    publish_due(relay)
    assert actions(bus, "unique")[1:] == [("deleted", str(unique.pk))]
    assert actions(bus, "named")[1:] == [("deleted", "ä b:c")]


def test_a_default_manager_that_hides_a_row_does_not_delete_it(bus: Bus, relay: Relay) -> None:
    shy = Shy.objects.create(hidden=True)
    publish_due(relay)
    assert actions(bus, "shy") == [("created", shy.pk)]


def test_a_row_that_the_serializer_hides_is_deleted(bus: Bus, relay: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = serializers.ShySerializer.get_queryset
    monkeypatch.setattr(serializers.ShySerializer, "get_queryset", lambda: everything().filter(hidden=False))
    shy = Shy.objects.create()
    publish_due(relay)
    Shy._base_manager.update(hidden=True)
    publish_due(relay)
    Shy._base_manager.update(hidden=False)
    publish_due(relay)
    assert actions(bus, "shy") == [("created", shy.pk), ("deleted", shy.pk), ("updated", shy.pk)]


def test_an_object_is_told_again_when_what_it_shows_changes(bus: Bus, relay: Relay) -> None:
    label = Label.objects.create(text="red")
    thing = Thing.objects.create(name="lamp")
    Tagging.objects.create(thing=thing, label=label)
    publish_due(relay)
    assert told(bus, "thing")[-1].data["labels"] == ["red"]
    Label.objects.filter(pk=label.pk).update(text="green")
    publish_due(relay)
    assert told(bus, "thing")[-1].data["labels"] == ["green"]
    Tagging.objects.all().delete()
    publish_due(relay)
    assert told(bus, "thing")[-1].data["labels"] == []
    assert {item.action for item in told(bus, "thing")[1:]} == {"updated"}


def test_events_are_told_each_in_order_and_leave_nothing_behind(bus: Bus, relay: Relay) -> None:
    with transaction.atomic():
        for n in range(3):
            publish_data("news", {"n": n})
    publish_due(relay)
    assert told(bus, "!data") == [change.Event("news", {"n": n}) for n in range(3)]
    assert not Journal.objects.filter(kind=journal.EVENT).exists()


def test_rights_are_told_before_anything_else_of_their_batch(bus: Bus, relay: Relay) -> None:
    order: list[str] = []
    publish = bus.publish
    bus.publish = lambda batch, fences=None: order.extend(i.stream for i in batch) or publish(batch, fences)  # type: ignore[method-assign, func-returns-value]
    Thing.objects.create(name="lamp")
    journal.announce(change.Control((3,), "rights"))
    publish_due(relay)
    assert order == ["!control", "thing"]
    assert told(bus, "!control") == [change.Control((3,), "rights")]


@pytest.mark.parametrize("how", ["a row that was written again", "many rows", "a program"])
def test_rights_are_told_before_what_an_earlier_batch_holds(bus: Bus, relay: Relay, how: str) -> None:
    """A row about rights stands under its newest revision: what was written after the right ended may be before it."""
    user = User.objects.create(username="u", is_staff=True)
    publish_due(relay)
    first = len(told(bus, "!control"))
    order: list[str] = []
    publish = bus.publish
    bus.publish = lambda batch, fences=None: order.extend(i.stream for i in batch) or publish(batch, fences)  # type: ignore[method-assign, func-returns-value]
    with override_settings(REALTIME_RELAY_BATCH=5, REALTIME_JOURNAL_MASS=50):
        User.objects.filter(pk=user.pk).update(is_staff=False)
        Named.objects.bulk_create(Named(code=f"n {n}") for n in range(12))
        match how:
            case "a row that was written again":
                User.objects.filter(pk=user.pk).update(is_active=False)
            case "many rows":
                journal.whole("watch:auth.user")
            case "a program":
                journal.announce(change.Control((user.pk,), "rights"))
        publish_due(relay)
    controls = len(told(bus, "!control")) - first
    assert controls >= 1
    assert order == ["!control"] * controls + ["named"] * 12
    assert not Journal.objects.filter(dirty=True).exists()


def test_the_number_of_queries_does_not_grow_with_the_number_of_objects(relay: Relay) -> None:
    def queries(count: int) -> int:
        Thing.objects.bulk_create(Thing(name=f"{count} {n}") for n in range(count))
        with CaptureQueriesContext(connection) as captured:
            relay.step()
        return len(captured)

    assert queries(2) == queries(40)


def test_before_a_change_is_told_the_database_is_asked_for_the_journal_once_and_for_the_objects(
    bus: Bus, relay: Relay
) -> None:
    Thing.objects.create(name="lamp")
    asked: list[list[str]] = []
    with CaptureQueriesContext(connection) as captured:
        relay.at = lambda step: asked.append([query["sql"] for query in captured]) if step == "loaded" else None
        relay.step()
    statements = [sql for sql in asked[0] if not sql.startswith(("BEGIN", "PRAGMA", "COMMIT", "ROLLBACK"))]
    tables = ["realtime_journal" if "realtime_journal" in sql else "objects" for sql in statements]
    assert tables == ["realtime_journal", "objects", "objects"]  # the things, and their labels
    assert [action for action, _ in actions(bus, "thing")] == ["created"]


def test_a_step_that_found_everything_leaves_the_next_to_the_next_wake(bus: Bus, relay: Relay) -> None:
    Thing.objects.create(name="lamp")
    assert relay.step() is False
    with override_settings(REALTIME_RELAY_BATCH=2):
        for n in range(5):
            Named.objects.create(code=f"{n}")
        assert relay.step() is True
        assert relay.step() is False
    assert not Journal.objects.filter(dirty=True).exists()


# What is too much


def test_a_whole_stream_begins_anew_and_what_was_due_beside_it_follows(bus: Bus, relay: Relay) -> None:
    thing = Thing.objects.create(name="lamp")
    before = head(bus, "thing")
    journal.whole("app.thing")
    publish_due(relay)
    assert head(bus, "thing")[0] != before[0]
    assert actions(bus, "thing") == [("created", thing.pk)]
    assert not Journal.objects.filter(dirty=True).exists()


def test_more_objects_at_once_than_anybody_hears_of_one_by_one_are_one_resync(bus: Bus, relay: Relay) -> None:
    epochs = head(bus, "thing")[0], head(bus, "named")[0]
    with override_settings(RELAY_BATCH=50):
        Thing.objects.bulk_create(Thing(name=f"thing {n}") for n in range(1100))
        Named.objects.create(code="other")
        publish_due(relay)
    assert head(bus, "thing")[0] != epochs[0]
    assert told(bus, "thing") == []
    assert head(bus, "named")[0] == epochs[1]
    assert actions(bus, "named") == [("created", "other")]
    assert not Journal.objects.filter(dirty=True).exists()


def test_a_lasting_flood_is_told_one_by_one_after_its_first_resync(bus: Bus, relay: Relay) -> None:
    with override_settings(REALTIME_JOURNAL_MASS=5, REALTIME_RELAY_BATCH=5):
        for n in range(8):
            Named.objects.create(code=f"first {n}")
        publish_due(relay)
        epoch = head(bus, "named")[0]
        assert told(bus, "named") == []
        for n in range(8):
            Named.objects.create(code=f"then {n}")
        publish_due(relay)
    assert head(bus, "named") == (epoch, 8)


def test_an_object_with_too_many_states_makes_its_stream_begin_anew(bus: Bus, relay: Relay) -> None:
    thing = Thing.objects.create(name="lamp")
    publish_due(relay)
    epoch = head(bus, "thing")[0]
    for size in range(1, 50):
        Thing.objects.filter(pk=thing.pk).update(size=size)
    publish_due(relay)
    assert head(bus, "thing")[0] != epoch
    assert not Journal.objects.filter(dirty=True).exists()
    Thing.objects.filter(pk=thing.pk).update(size=0)
    publish_due(relay)
    assert told(bus, "thing")[-1].before == ({"place": None, "size": 49, "on": False},)


# What fails


def test_an_object_that_cannot_be_serialised_is_set_aside_and_the_others_go_on(
    bus: Bus, relay: Relay, monkeypatch: pytest.MonkeyPatch, expect_log: Any
) -> None:
    serialize = serializers.ThingSerializer.serialize

    def fragile(self: Any, *args: Any) -> Any:
        if self.instance.name == "bad":
            raise RuntimeError("a defect of this serializer")
        return serialize(self, *args)

    monkeypatch.setattr(serializers.ThingSerializer, "serialize", fragile)
    logged = expect_log("realtime.relay", "cannot be published and is set aside")
    epoch = head(bus, "thing")[0]
    bad = Thing.objects.create(name="bad")
    good = Thing.objects.create(name="good")
    publish_due(relay)
    assert head(bus, "thing")[0] != epoch  # its subscribers take a snapshot
    Thing.objects.filter(pk=good.pk).update(size=2)
    assert journal.retry_failed() == 1
    publish_due(relay)
    assert actions(bus, "thing") == [("updated", good.pk)]
    assert journal.failed() == 1
    relay._look()  # the first look tries again what was set aside
    publish_due(relay)
    relay._look()
    assert relay.health().failed == 1
    monkeypatch.setattr(serializers.ThingSerializer, "serialize", serialize)
    Thing.objects.filter(pk=bad.pk).update(size=5)
    publish_due(relay)
    assert actions(bus, "thing")[1:] == [("updated", bad.pk)]
    assert journal.failed() == 0
    from tests.conftest import watch

    assert len([r for r in watch.records if "set aside" in r.getMessage()]) == 1
    assert logged == []


def test_an_object_too_large_for_any_client_is_set_aside(bus: Bus, relay: Relay, expect_log: Any) -> None:
    expect_log("realtime.relay", "is set aside")
    Thing.objects.create(name="epic", note="x" * 1_100_000)
    small = Thing.objects.create(name="small")
    publish_due(relay)
    Thing.objects.filter(pk=small.pk).update(size=1)
    publish_due(relay)
    assert actions(bus, "thing") == [("updated", small.pk)]


@pytest.mark.parametrize("fault", ["python", "database"])
def test_a_model_that_cannot_be_read_does_not_keep_the_others_waiting(
    bus: Bus, relay: Relay, monkeypatch: pytest.MonkeyPatch, expect_log: Any, fault: str
) -> None:
    expect_log("realtime.relay", "set aside")
    everything = serializers.ThingSerializer.get_queryset
    broken = {
        "python": lambda: everything().filter(nonsense=1),
        "database": lambda: everything().extra(where=["no_such_column = 1"]),
    }
    monkeypatch.setattr(serializers.ThingSerializer, "get_queryset", broken[fault])
    Thing.objects.create(name="lamp")
    Named.objects.create(code="fine")
    wait_until(lambda: _stepped(relay) and actions(bus, "named") == [("created", "fine")])
    assert journal.failed() == 1
    monkeypatch.setattr(serializers.ThingSerializer, "get_queryset", everything)
    journal.retry_failed()
    publish_due(relay)
    assert [action for action, _ in actions(bus, "thing")] == ["created"]


def _stepped(relay: Relay) -> bool:
    from django.db import Error

    try:
        relay.step()
    except Error:
        return False
    return True


# Two relays, and relays that stop


def test_a_relay_that_slept_over_a_second_write_cannot_publish_the_first(
    bus: Bus, relay: Relay, worker: Worker
) -> None:
    thing = Thing.objects.create(name="lamp")
    publish_due(relay)
    Thing.objects.filter(pk=thing.pk).update(size=1)
    other = Relay(bus)

    def overtake(point: str) -> None:
        if point == "loaded":
            relay.at = lambda name: None
            worker.do(lambda: Thing.objects.filter(pk=thing.pk).update(size=2))
            worker.do(lambda: publish_due(other))

    relay.at = overtake
    publish_due(relay)
    assert [item.data["size"] for item in told(bus, "thing")] == [0, 2]
    assert not Journal.objects.filter(dirty=True).exists()


def test_a_relay_that_slept_over_a_new_epoch_reads_again(bus: Bus, relay: Relay, worker: Worker) -> None:
    thing = Thing.objects.create(name="lamp", size=1)

    def begin_anew(point: str) -> None:
        if point == "loaded":
            relay.at = lambda name: None
            worker.do(lambda: Thing.objects.filter(pk=thing.pk).update(size=2))
            bus.renew(["thing"])

    relay.at = begin_anew
    with pytest.raises(Renewed):
        relay.step()
    publish_due(relay)
    assert [item.data["size"] for item in told(bus, "thing")] == [2]


@pytest.mark.parametrize("point", POINTS)
def test_a_relay_killed_at_any_step_loses_nothing_and_repeats_nothing(bus: Bus, relay: Relay, point: str) -> None:
    def die(name: str) -> None:
        if name == point:
            raise Killed

    relay.at = die
    thing = Thing.objects.create(name="lamp")
    journal.announce(change.Control((1,), "rights"))
    publish_data("news", 1)
    with pytest.raises(Killed):
        relay.step()
    publish_due(Relay(bus))
    assert actions(bus, "thing") == [("created", thing.pk)]
    assert told(bus, "!data") == [change.Event("news", 1)]
    assert told(bus, "!control") == [change.Control((1,), "rights")]
    assert not Journal.objects.filter(dirty=True).exists()


@pytest.mark.parametrize("seed", range(int(os.environ.get("SEEDS", "20"))))
def test_screens_equal_the_database_after_any_schedule(bus: Bus, relay: Relay, seed: int) -> None:
    """Writers, two relays of which each may stall or die at any step, and screens with filters, in random order.

    SEEDS=1000 in the environment tries more of them.
    """
    chance = random.Random(seed)
    places = [Place.objects.create(name=name) for name in "AB"]
    screens = [Screen(bus), Screen(bus, places[0].pk), Screen(bus, places[1].pk)]
    workers = [Worker(), Worker(), Worker()]
    relays = [relay, Relay(bus)]

    def write() -> None:
        pks = list(Thing.objects.values_list("pk", flat=True))
        choice = chance.random()
        if not pks or choice < 0.2:
            Thing.objects.create(name=str(chance.random()), place=chance.choice([None, *places]))
        elif choice < 0.35:
            Thing.objects.filter(pk=chance.choice(pks)).delete()
        elif choice < 0.8:
            Thing.objects.filter(pk=chance.choice(pks)).update(place=chance.choice([None, *places]))
        elif choice < 0.95:
            Thing.objects.filter(pk__in=pks[:3]).update(size=chance.randrange(100))
        else:
            journal.whole("app.thing")

    def meanwhile(name: str) -> None:
        """What happens while a relay stands between two lines; not more relays inside than there are."""
        for _ in range(chance.choice([0, 0, 1, 2, 5])):
            something(workers[2])
        if chance.random() < 0.1:
            raise Killed

    def something(who: Worker) -> None:
        choice = chance.random()
        if choice < 0.6:
            who.do(write)
        elif choice < 0.8:
            screen = chance.choice(screens)
            who.do(chance.choice([screen.catch_up, screen.reconnect]))
        elif idle := [n for n in (0, 1) if relays[n].at is not meanwhile]:
            number = chance.choice(idle)
            workers[number].do(lambda: step(number))

    def step(number: int) -> None:
        relays[number].at = meanwhile
        try:
            relays[number].step()
        except Killed:
            relays[number] = Relay(bus)
        except Renewed:
            pass
        finally:
            relays[number].at = lambda name: None

    try:
        for _ in range(40):
            something(workers[2])
        survivor = Relay(bus)
        publish_due(survivor)
        for screen in screens:
            screen.catch_up()
            assert screen.differs() == {}
        assert not Journal.objects.filter(dirty=True).exists()
    finally:
        for each in workers:
            each.close()


@pytest.mark.skipif(not POSTGRESQL, reason="SQLite has one writer, who keeps the relay from marking anything")
def test_rows_that_a_writer_holds_do_not_keep_newer_ones_waiting(bus: Bus, relay: Relay, worker: Worker) -> None:
    Thing.objects.bulk_create(Thing(name=f"thing {n}") for n in range(20))

    def hold(name: str) -> None:
        if name == "published":
            relay.at = lambda name: None
            worker.do(lambda: transaction.set_autocommit(False))
            worker.do(lambda: Thing.objects.update(size=7))

    relay.at = hold
    with override_settings(REALTIME_RELAY_BATCH=5):
        publish_due(relay)
        Named.objects.create(code="newer")
        publish_due(relay)
        assert actions(bus, "named") == [("created", "newer")]
        assert head(bus, "thing")[1] == 20
        worker.do(transaction.commit)
        worker.do(lambda: transaction.set_autocommit(True))
        publish_due(relay)
    assert [item.data["size"] for item in told(bus, "thing")[20:]] == [7] * 20


# Another database


def test_another_identity_of_the_database_is_a_new_epoch_of_everything(bus: Bus, relay: Relay, expect_log: Any) -> None:
    expect_log("realtime.relay", "another database")
    before = head(bus, "thing")[0], head(bus, "!data")[0]
    journal.renew_identity()
    publish_due(relay)
    assert head(bus, "thing")[0] != before[0]
    assert head(bus, "!data")[0] != before[1]


@pytest.mark.parametrize("when", ["start", "later"])
def test_a_database_that_went_back_in_time_is_published_all_the_same(
    bus: Bus, relay: Relay, expect_log: Any, when: str
) -> None:
    expect_log("realtime.relay", "older than what was published")
    thing = Thing.objects.create(name="lamp")
    bus.publish([Publication("thing", str(thing.pk), 10**12, "from a future that was not restored")])
    before = head(bus, "thing")[0]
    if when == "start":
        relay = Relay(bus)
        relay._bus.identity = bus.identity
    with pytest.raises(Renewed) if when == "later" else _nothing():
        relay.step()
    publish_due(relay)
    assert head(bus, "thing")[0] != before
    assert actions(bus, "thing") == [("created", thing.pk)]


def _nothing() -> Any:
    import contextlib

    return contextlib.nullcontext()


# In a thread


class Free(Election):
    """A relay that believes itself alone."""

    def won(self) -> bool:
        return True

    def withdraw(self) -> None:
        pass


@pytest.fixture
def running(bus: Bus, relay: Relay) -> Iterator[Relay]:
    thread = Relay(bus)
    thread.start()
    yield thread
    thread.stop()
    assert not thread.health().running


def test_a_running_relay_publishes_what_is_committed(bus: Bus, running: Relay) -> None:
    thing = Thing.objects.create(name="lamp")
    wait_until(lambda: actions(bus, "thing") == [("created", thing.pk)])
    wait_until(lambda: running.health().ok)
    assert running.health().elected


def test_a_running_relay_sees_what_another_program_wrote_without_telling(bus: Bus, running: Relay) -> None:
    connection.ensure_connection()
    if POSTGRESQL:
        import psycopg2

        other = psycopg2.connect(**connection.get_connection_params() | {"cursor_factory": None})
    else:
        import sqlite3

        other = sqlite3.connect(connection.settings_dict["NAME"])
    cursor = other.cursor()
    cursor.execute("INSERT INTO app_named (code, size) VALUES ('psql', 1)")
    other.commit()
    other.close()
    wait_until(lambda: actions(bus, "named") == [("created", "psql")])


def test_of_two_relays_one_works_and_the_other_takes_over(bus: Bus, running: Relay) -> None:
    wait_until(lambda: running.health().elected)
    second = Relay(bus)
    second.start()
    try:
        wait_until(lambda: second.health().running)
        Thing.objects.create(name="lamp")
        wait_until(lambda: len(told(bus, "thing")) == 1)
        assert not second.health().elected
        running.stop()
        wait_until(lambda: second.health().elected)
        Thing.objects.create(name="other")
        wait_until(lambda: len(told(bus, "thing")) == 2)
    finally:
        second.stop()


@pytest.mark.skipif(not POSTGRESQL, reason="a lock of a session")
def test_a_claim_whose_connection_was_ended_is_made_anew_at_once() -> None:
    """As by a relay that stood still for longer than its session may be idle."""
    claim = election()
    try:
        assert claim.won()
        with connection.cursor() as cursor:
            holders = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
            cursor.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM ({holders}) AS holding")
        assert claim.won()
    finally:
        claim.withdraw()


def test_two_relays_at_once_make_one_stream(bus: Bus, relay: Relay) -> None:
    relays = [Relay(bus, elections=lambda using: Free()) for _ in range(2)]
    for each in relays:
        each.start()
    try:
        thing = Thing.objects.create(name="lamp")
        for size in range(1, 30):  # not more states than the journal keeps
            Thing.objects.filter(pk=thing.pk).update(size=size)
        wait_until(lambda: told(bus, "thing")[-1:] and told(bus, "thing")[-1].data["size"] == 29)
        revisions = [item.revision for item in told(bus, "thing")]
        assert revisions == sorted(set(revisions))
    finally:
        for each in relays:
            each.stop()


def test_a_relay_goes_on_after_the_bus_was_away(
    bus: Bus, running: Relay, monkeypatch: pytest.MonkeyPatch, expect_log: Any
) -> None:
    expect_log("realtime.relay", "waits for the bus")

    def away(*args: Any) -> Any:
        raise BusUnavailable

    with monkeypatch.context() as outage:
        outage.setattr(bus, "publish", away)
        thing = Thing.objects.create(name="lamp")
        wait_until(lambda: not running.health().linked)
        assert not running.health().ok
        assert journal.pending()[0] == 1
    wait_until(lambda: actions(bus, "thing") == [("created", thing.pk)])
    wait_until(lambda: running.health().ok)


@pytest.mark.skipif(not POSTGRESQL, reason="SQLite has no connection to lose")
def test_a_relay_goes_on_after_the_database_was_away(bus: Bus, running: Relay, expect_log: Any) -> None:
    expect_log("realtime.relay", "waits for the database", required=False)
    for n in range(3):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        Thing.objects.create(name=f"lamp {n}")
        wait_until(lambda count=n + 1: len(told(bus, "thing")) == count)


def test_nothing_is_lost_while_redis_is_paused_killed_and_flushed_under_writers(expect_log: Any) -> None:
    expect_log("realtime", "waits for the bus|Streams begin anew", required=False)
    with services.running(services.Redis()) as server:
        bus = RedisBus(server.url)
        buses.append(bus)
        faults = [
            lambda: server.process.send_signal(signal.SIGSTOP),
            lambda: server.process.send_signal(signal.SIGCONT),
            lambda: server.stop(signal.SIGKILL),
            server.start,
            lambda: redis.Redis.from_url(server.url).flushall(),
        ]
        running = Relay(bus)
        running.start()
        screen = Screen(bus)
        try:
            things = [Thing.objects.create(name=f"thing {n}") for n in range(10)]
            for n, fault in enumerate(faults):
                for thing in things:
                    Thing.objects.filter(pk=thing.pk).update(size=n * 100 + thing.pk)
                fault()
                things.pop().delete()
                things.append(Thing.objects.create(name=f"later {n}"))
                if n in (1, 3):
                    wait_until(lambda: caught_up(screen))
            wait_until(lambda: caught_up(screen))
            wait_until(lambda: not Journal.objects.filter(dirty=True).exists())
        finally:
            running.stop()
            close_buses()


def caught_up(screen: Screen) -> bool:
    try:
        screen.catch_up()
    except BusUnavailable:
        return False
    return not screen.differs()
