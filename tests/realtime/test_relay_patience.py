"""What a relay does about an object that a writer holds while something that it shows changes: go on, and ask again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import transaction

from realtime import journal
from realtime.bus import Bus
from realtime.relay import Relay
from tests.app.models import Label, Named, Tagging, Thing
from tests.realtime.journal_base import POSTGRESQL

from .bus_base import any_bus, close_buses
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
    publish_due(relay)
    shown = told(bus, "thing")[-1].data
    assert (shown["labels"], shown["size"]) == (["green"], 2 if commits else 1)
    assert journal.pending()[0] == 0
