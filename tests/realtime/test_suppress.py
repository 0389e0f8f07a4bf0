"""An import in silence ends in one resync, or in nothing at all."""

from __future__ import annotations

import threading

import pytest
from django.db import IntegrityError, connections, transaction

import realtime
from realtime import journal
from realtime.models import Journal
from tests.app.models import Named, Place, Tagging, Thing
from tests.realtime.journal_base import POSTGRESQL, due, publish_all

pytestmark = pytest.mark.django_db(transaction=True)


def test_silence_ends_in_one_resync() -> None:
    with realtime.suppress(Named):
        for i in range(5):
            Named.objects.create(code=f"{i}")
        Named.objects.filter(code="0").update(size=1)
        Named.objects.filter(code="1").delete()
    assert due() == {("app.named", "*"): []}
    assert Journal.objects.count() == 1


def test_other_models_are_not_silent() -> None:
    with realtime.suppress(Named, Thing):
        Place.objects.create(pk=3, name="hall")
    assert due() == {("app.place", "3"): [None], ("app.named", "*"): [], ("app.thing", "*"): []}


def test_a_model_that_is_only_watched_is_silenced_too() -> None:
    thing = Thing.objects.create(name="lamp")
    publish_all()
    with realtime.suppress(Tagging):
        thing.labels.create(text="x")
    assert ("watch:app.tagging", "*") in due()
    assert not [key for key in due() if key[0] == "watch:app.tagging" and key[1] != "*"]


def test_afterwards_everything_is_journalled_again() -> None:
    with realtime.suppress(Named):
        Named.objects.create(code="a", size=1)
    publish_all()
    Named.objects.update(size=2)
    assert due() == {("app.named", "a"): [{"size": 1}]}


def test_an_exception_undoes_the_writes_and_the_silence() -> None:
    with pytest.raises(RuntimeError), realtime.suppress(Named):
        Named.objects.create(code="a")
        raise RuntimeError
    assert (due(), Named.objects.count()) == ({}, 0)
    Named.objects.create(code="b")
    assert due() == {("app.named", "b"): [None]}


def test_a_database_error_inside_leaves_nothing_behind() -> None:
    Named.objects.create(code="a")
    publish_all()
    with pytest.raises(IntegrityError), realtime.suppress(Named):
        Named.objects.create(code="b")
        Named.objects.create(code="a")
    assert due() == {}
    Named.objects.update(size=1)
    assert due() == {("app.named", "a"): [{"size": 0}]}


def test_an_exception_inside_a_larger_transaction_is_undone_alone() -> None:
    with transaction.atomic():
        with pytest.raises(RuntimeError), realtime.suppress(Named):
            Named.objects.create(code="a")
            raise RuntimeError
        Named.objects.create(code="b")
    assert due() == {("app.named", "b"): [None]}


def test_silence_within_silence() -> None:
    with realtime.suppress(Named):
        with realtime.suppress(Named, Place):
            Place.objects.create(name="hall")
        Named.objects.create(code="a")
        Place.objects.create(pk=9, name="attic")
    assert due() == {("app.named", "*"): [], ("app.place", "*"): [], ("app.place", "9"): [None]}


@pytest.mark.skipif(not POSTGRESQL, reason="on SQLite nobody else can write meanwhile")
def test_other_connections_are_not_silenced() -> None:
    def elsewhere() -> None:
        Named.objects.create(code="theirs")
        connections["default"].close()

    with realtime.suppress(Named):
        Named.objects.create(code="mine")
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join(10)
    assert due() == {("app.named", "*"): [], ("app.named", "theirs"): [None]}


def test_the_module_of_that_name_does_not_hide_the_function() -> None:
    import realtime.suppress

    with realtime.suppress(Named):
        Named.objects.create(code="a")
    assert [row.kind for row in journal.read()] == [journal.WHOLE]
