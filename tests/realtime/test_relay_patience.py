"""What a relay does about an object that a writer holds while something that it shows changes: go on, and ask again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from django.db import transaction

from realtime import journal
from realtime.bus import Bus
from realtime.relay import WRITER_SECONDS, Relay
from tests.app.models import Label, Named, Tagging, Thing
from tests.realtime.journal_base import POSTGRESQL

from .bus_base import LIMIT, any_bus, close_buses
from .relay_base import Worker, actions, publish_due, told

if not POSTGRESQL:
    pytest.skip("on SQLite nobody reads beside a writer who also wants to write", allow_module_level=True)

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["memory"])
def bus(request: pytest.FixtureRequest) -> Iterator[Bus]:
    yield any_bus(request)
    close_buses()


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def publish_in_time(relay: Relay) -> None:
    deadline = time.monotonic() + LIMIT
    while journal.pending()[0]:
        assert time.monotonic() < deadline
        relay.step()


def test_what_nobody_holds_is_not_published_again_and_again_meanwhile(bus: Bus, worker: Worker) -> None:
    relay = Relay(bus)
    label = Label.objects.create(text="red")
    held, free = (Thing.objects.create(name=name, size=1) for name in ("held", "free"))
    for thing in (held, free):
        Tagging.objects.create(thing=thing, label=label)
    publish_due(relay)
    before = len(told(bus, "thing"))
    Label.objects.filter(pk=label.pk).update(text="green")
    with transaction.atomic():
        Thing.objects.filter(pk=held.pk).update(size=2)
        begun = time.monotonic()
        for _ in range(20):
            worker.do(relay.step)
        often = [change.id for change in told(bus, "thing")[before:]]
        assert set(often) == {free.pk}
        assert len(often) <= 2 + (time.monotonic() - begun) / WRITER_SECONDS[0]
    publish_in_time(relay)
    assert {change.id: change.data["labels"] for change in told(bus, "thing")[before:]} == {
        held.pk: ["green"],
        free.pk: ["green"],
    }


@pytest.mark.parametrize("commits", [True, False])
def test_a_held_object_is_told_after_its_writer_is_done(bus: Bus, worker: Worker, commits: bool) -> None:
    relay = Relay(bus)
    label = Label.objects.create(text="red")
    thing = Thing.objects.create(name="lamp", size=1)
    Tagging.objects.create(thing=thing, label=label)
    publish_due(relay)
    Label.objects.filter(pk=label.pk).update(text="green")
    Named.objects.create(code="other")
    with transaction.atomic():
        Thing.objects.filter(pk=thing.pk).update(size=2)
        assert worker.do(relay.step) is False
        # Everything else is live meanwhile, and nothing is forgotten.
        assert [action for action, _ in actions(bus, "named")] == ["created"]
        assert [row.label for row in worker.do(journal.read)] == ["watch:app.label"]
        if not commits:
            transaction.set_rollback(True)
    publish_in_time(relay)
    shown = told(bus, "thing")[-1].data
    assert (shown["labels"], shown["size"]) == (["green"], 2 if commits else 1)
    assert journal.pending()[0] == 0
