"""However a row is written, exactly the right change is published: one table of writes, really committed.

Each write below acts on a world that has been published already, and returns what the bus must be told by stream:
(action, id) of each object, or RESYNC for the stream as a whole. Streams that are not named must be silent.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from django.db.models import F

from realtime import suppress
from realtime.bus_memory import MemoryBus
from realtime.models import Journal, published
from realtime.relay import Relay
from tests.app.models import Kinds, Label, Named, Place, Shy, Tagging, Thing, ThingProxy, Unique
from tests.library.models import Book, Chapter, Keyword, Shelf
from tests.realtime.journal_base import POSTGRESQL, SQLITE
from tests.realtime.relay_base import head, publish_due, told

pytestmark = pytest.mark.django_db(transaction=True)

RESYNC = "resync"
Told = dict[str, list[tuple[str, Any]]]


@dataclass
class World:
    """Two places with a thing each, one thing of no place, and a row of each other kind."""

    here: Place
    there: Place
    lamp: Thing
    fan: Thing
    spare: Thing
    red: Label
    named: Named
    unique: Unique
    book: Book
    kinds: Kinds


@pytest.fixture
def world() -> World:
    here, there = Place.objects.create(name="here"), Place.objects.create(name="there")
    shelf = Shelf.objects.create(name="upper")
    unique = Unique.objects.create(size=1)
    world = World(
        here=here,
        there=there,
        lamp=Thing.objects.create(name="lamp", place=here, size=1),
        fan=Thing.objects.create(name="fan", place=there, size=2),
        spare=Thing.objects.create(name="spare", size=3),
        red=Label.objects.create(text="red"),
        named=Named.objects.create(code="old", size=1),
        unique=unique,
        book=Book.objects.create(title="Atlas", shelf=shelf),
        kinds=Kinds.objects.create(unique=unique),
    )
    Tagging.objects.create(thing=world.lamp, label=world.red)
    return world


WRITES: dict[str, Callable[[World], Told]] = {}


def write(function: Callable[[World], Told]) -> Callable[[World], Told]:
    WRITES[function.__name__.replace("_", " ")] = function
    return function


def sqlite(function: Callable[[World], Told]) -> Callable[[World], Told]:
    return write(function) if SQLITE else function


def postgresql(function: Callable[[World], Told]) -> Callable[[World], Told]:
    return write(function) if POSTGRESQL else function


def sql(text: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text, values)


# -- created -----------------------------------------------------------------------------------------------------------


@write
def save_of_a_new_one(w: World) -> Told:
    thing = Thing(name="new", place=w.here)
    thing.save()
    return {"thing": [("created", thing.pk)]}


@write
def create(w: World) -> Told:
    return {"thing": [("created", Thing.objects.create(name="new").pk)]}


@write
def create_with_a_key(w: World) -> Told:
    Thing.objects.create(pk=4711, name="new")
    return {"thing": [("created", 4711)]}


@write
def create_with_text_and_uuid_keys(w: World) -> Told:
    Named.objects.create(code="ä 'b'")
    return {"named": [("created", "ä 'b'")], "unique": [("created", str(Unique.objects.create().pk))]}


@write
def get_or_create_and_update_or_create(w: World) -> Told:
    made, _ = Thing.objects.get_or_create(name="new")
    Thing.objects.get_or_create(name="lamp")
    Thing.objects.update_or_create(name="fan", defaults={"size": 20})
    return {"thing": [("created", made.pk), ("updated", w.fan.pk)]}


@write
def through_a_related_manager(w: World) -> Told:
    return {"thing": [("created", w.here.thing_set.create(name="new").pk)]}


@write
def through_a_proxy(w: World) -> Told:
    ThingProxy.objects.filter(pk=w.lamp.pk).update(size=9)
    return {"thing": [("created", ThingProxy.objects.create(name="new").pk), ("updated", w.lamp.pk)]}


@write
def a_row_that_the_default_manager_hides(w: World) -> Told:
    return {"shy": [("created", Shy.objects.create(hidden=True).pk)]}


@write
def bulk_create(w: World) -> Told:
    Thing.objects.bulk_create(Thing(name=f"new {n}") for n in range(3))
    return {
        "thing": [("created", pk) for pk in Thing.objects.filter(name__startswith="new").values_list("pk", flat=True)]
    }


@write
def bulk_create_that_updates_conflicts(w: World) -> Told:
    Thing.objects.bulk_create(
        [Thing(name="lamp", size=10), Thing(name="new", size=11)],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["size"],
    )
    return {"thing": [("updated", w.lamp.pk), ("created", Thing.objects.get(name="new").pk)]}


@write
def bulk_create_that_ignores_conflicts(w: World) -> Told:
    Thing.objects.bulk_create([Thing(name="lamp", size=10), Thing(name="new")], ignore_conflicts=True)
    return {"thing": [("created", Thing.objects.get(name="new").pk)]}


@write
def loaddata(w: World) -> Told:
    rows = [
        {"model": "app.thing", "pk": w.lamp.pk, "fields": {"name": "lamp", "place": w.there.pk}},
        {"model": "app.thing", "pk": 999, "fields": {"name": "loaded"}},
        {"model": "app.named", "pk": "old", "fields": {"size": 1}},
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as fixture:
        json.dump(rows, fixture)
        fixture.flush()
        call_command("loaddata", fixture.name, verbosity=0)
    return {"thing": [("updated", w.lamp.pk), ("created", 999)]}


@postgresql
def copy(w: World) -> Told:
    with connection.cursor() as cursor:
        cursor.copy_expert("COPY app_named (code, size) FROM STDIN", io.StringIO("a\t1\nb\t2\n"))
    return {"named": [("created", "a"), ("created", "b")]}


# -- updated -----------------------------------------------------------------------------------------------------------


@write
def save(w: World) -> Told:
    w.lamp.size = 9
    w.lamp.save()
    return {"thing": [("updated", w.lamp.pk)]}


@write
def save_of_some_fields(w: World) -> Told:
    w.lamp.size, w.lamp.note = 9, "written"
    w.lamp.save(update_fields=["note"])
    return {"thing": [("updated", w.lamp.pk)]}


@write
def save_with_an_expression(w: World) -> Told:
    w.lamp.size = F("size") + 1
    w.lamp.save()
    return {"thing": [("updated", w.lamp.pk)]}


@write
def queryset_update(w: World) -> Told:
    Thing.objects.filter(place__isnull=False).update(size=F("size") * 10, on=True)
    return {"thing": [("updated", w.lamp.pk), ("updated", w.fan.pk)]}


@write
def queryset_update_of_what_differs(w: World) -> Told:
    Thing.objects.update(size=2)
    return {"thing": [("updated", w.lamp.pk), ("updated", w.spare.pk)]}


@write
def bulk_update(w: World) -> Told:
    w.lamp.size, w.fan.size = 7, 8
    Thing.objects.bulk_update([w.lamp, w.fan], ["size"])
    return {"thing": [("updated", w.lamp.pk), ("updated", w.fan.pk)]}


@write
def raw_sql(w: World) -> Told:
    sql("UPDATE app_thing SET place_id = %s WHERE id = %s", w.there.pk, w.lamp.pk)
    sql("INSERT INTO app_named (code, size) VALUES ('raw', 1)")
    sql("DELETE FROM app_thing WHERE id = %s", w.spare.pk)
    return {"thing": [("updated", w.lamp.pk), ("deleted", w.spare.pk)], "named": [("created", "raw")]}


@write
def created_and_changed_before_publication(w: World) -> Told:
    # A snapshot between the two has shown it. Clients take either for "is now like this".
    thing = Thing.objects.create(name="new")
    Thing.objects.filter(pk=thing.pk).update(size=5)
    return {"thing": [("updated", thing.pk)]}


@write
def several_writes_of_one_object(w: World) -> Told:
    for size in range(10, 15):
        Thing.objects.filter(pk=w.lamp.pk).update(size=size)
    return {"thing": [("updated", w.lamp.pk)]}


@write
def written_and_written_back(w: World) -> Told:
    # A snapshot between the two has shown the other value: whoever took it must be told.
    Thing.objects.filter(pk=w.lamp.pk).update(size=9)
    Thing.objects.filter(pk=w.lamp.pk).update(size=1)
    return {"thing": [("updated", w.lamp.pk)]}


# -- deleted -----------------------------------------------------------------------------------------------------------


@write
def delete(w: World) -> Told:
    pk = w.lamp.pk
    w.lamp.delete()
    return {"thing": [("deleted", pk)]}


@write
def queryset_delete(w: World) -> Told:
    Thing.objects.exclude(pk=w.lamp.pk).delete()
    return {"thing": [("deleted", w.fan.pk), ("deleted", w.spare.pk)]}


@write
def raw_delete(w: World) -> Told:
    Thing.objects.filter(pk=w.spare.pk)._raw_delete("default")
    return {"thing": [("deleted", w.spare.pk)]}


@write
def cascade(w: World) -> Told:
    pk = w.here.pk
    w.here.delete()
    return {"place": [("deleted", pk)], "thing": [("deleted", w.lamp.pk)]}


@write
def cascade_that_sets_null(w: World) -> Told:
    key = str(w.unique.pk)
    w.unique.delete()
    return {"unique": [("deleted", key)], "kinds": [("updated", w.kinds.pk)]}


@write
def deleted_and_created_again(w: World) -> Told:
    pk = w.fan.pk
    w.fan.delete()
    Thing.objects.create(pk=pk, name="again")
    return {"thing": [("updated", pk)]}


@write
def created_and_deleted_in_one_transaction(w: World) -> Told:
    # Nobody else can have seen it; that it is told all the same harms nobody, because clients ignore it.
    with transaction.atomic():
        thing = Thing.objects.create(name="spark")
        pk = thing.pk
        thing.delete()
    return {"thing": [("deleted", pk)]}


@write
def created_and_deleted_before_publication(w: World) -> Told:
    # A snapshot between the two has shown it.
    thing = Thing.objects.create(name="spark")
    pk = thing.pk
    thing.delete()
    return {"thing": [("deleted", pk)]}


# -- keys --------------------------------------------------------------------------------------------------------------


@write
def key_change(w: World) -> Told:
    Named.objects.filter(code="old").update(code="new")
    return {"named": [("deleted", "old"), ("created", "new")]}


@write
def save_with_another_key(w: World) -> Told:
    w.named.code = "copy"
    w.named.save()
    return {"named": [("created", "copy")]}


@sqlite
def insert_or_replace(w: World) -> Told:
    # Takes the key of one and the unique name of the other.
    sql("INSERT OR REPLACE INTO app_thing (id, name, size, \"on\", note) VALUES (%s, 'fan', 7, 0, '')", w.lamp.pk)
    return {"thing": [("updated", w.lamp.pk), ("deleted", w.fan.pk)]}


# -- what else is shown --------------------------------------------------------------------------------------------


@write
def m2m_add(w: World) -> Told:
    w.fan.labels.add(w.red)
    return {"thing": [("updated", w.fan.pk)]}


@write
def m2m_set(w: World) -> Told:
    w.lamp.labels.set([Label.objects.create(text="green")])
    return {"thing": [("updated", w.lamp.pk)]}


@write
def m2m_clear(w: World) -> Told:
    w.lamp.labels.clear()
    return {"thing": [("updated", w.lamp.pk)]}


@write
def m2m_from_the_other_side(w: World) -> Told:
    w.red.thing_set.set([w.fan, w.spare])
    return {"thing": [("updated", w.lamp.pk), ("updated", w.fan.pk), ("updated", w.spare.pk)]}


@write
def m2m_without_a_model_between(w: World) -> Told:
    w.book.keywords.add(Keyword.objects.create(word="maps"))
    return {"book": [("updated", w.book.pk)]}


@write
def what_is_shown_is_renamed(w: World) -> Told:
    Label.objects.update(text="scarlet")
    return {"thing": [("updated", w.lamp.pk)]}


@write
def a_row_of_another_model_that_is_shown(w: World) -> Told:
    chapter = Chapter.objects.create(book=w.book, name="one")
    return {"book": [("updated", w.book.pk)], "chapter": [("created", chapter.pk)]}


# -- nothing -----------------------------------------------------------------------------------------------------------


class Undone(Exception):
    pass


@write
def rollback(w: World) -> Told:
    with pytest.raises(Undone), transaction.atomic():
        Thing.objects.create(name="phantom")
        Thing.objects.update(size=99)
        w.spare.delete()
        raise Undone
    return {}


@write
def savepoint_rollback(w: World) -> Told:
    with transaction.atomic():
        Thing.objects.filter(pk=w.lamp.pk).update(size=9)
        with pytest.raises(Undone), transaction.atomic():
            Thing.objects.update(size=99)
            Thing.objects.create(name="phantom")
            Thing.objects.filter(pk=w.spare.pk).delete()
            raise Undone
        Thing.objects.filter(pk=w.fan.pk).update(on=True)
    return {"thing": [("updated", w.lamp.pk), ("updated", w.fan.pk)]}


@write
def a_write_that_fails(w: World) -> Told:
    with pytest.raises(IntegrityError):
        Thing.objects.create(name="lamp")
    with pytest.raises(IntegrityError):
        Thing.objects.exclude(name="lamp").update(name="lamp")
    return {}


@write
def writes_that_change_nothing(w: World) -> Told:
    w.lamp.save()
    Thing.objects.update(size=F("size"), name=F("name"))
    Thing.objects.filter(name="nobody").update(size=3)
    Thing.objects.filter(name="nobody").delete()
    w.lamp.labels.add(w.red)
    w.lamp.labels.set([w.red])
    sql("UPDATE app_named SET size = size")
    return {}


@write
def a_column_that_nobody_publishes(w: World) -> Told:
    # Only the serializer knows what it makes of a row, so a change of any column is told.
    Shelf.objects.update(room="hall")
    return {"shelf": [("updated", w.book.shelf_id)], "book": [("updated", w.book.pk)]}


# -- too much ----------------------------------------------------------------------------------------------------------


def insert(count: int) -> None:
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %s)"
    sql(f"INSERT INTO app_named (code, size) {numbers} SELECT 'n' || i, i FROM n", count)


@write
def more_than_a_thousand_by_one_statement(w: World) -> Told:
    insert(1100)
    return {"named": [(RESYNC, None)]}


@write
def a_thousand_by_one_statement(w: World) -> Told:
    insert(1000)
    return {"named": [("created", f"n{i}") for i in range(1, 1001)]}


@write
def suppressed(w: World) -> Told:
    with suppress(Thing):
        Thing.objects.create(name="imported")
        Thing.objects.update(size=5)
    return {"thing": [(RESYNC, None)]}


@postgresql
def truncate(w: World) -> Told:
    sql("TRUNCATE app_tagging, app_thing")
    return {"thing": [(RESYNC, None)]}


@postgresql
def truncate_of_what_is_shown(w: World) -> Told:
    sql("TRUNCATE app_tagging")
    return {"thing": [(RESYNC, None)]}


@write
def flush(w: World) -> Told:
    call_command("flush", interactive=False, verbosity=0)
    return {model.stream: [(RESYNC, None)] for model in published().values()}


# -- the table ---------------------------------------------------------------------------------------------------------


def heads(bus: MemoryBus) -> dict[str, Any]:
    return {one.stream: head(bus, one.stream) for one in published().values()}


def equals_its_row(item: Any) -> bool:
    one = next(one for one in published().values() if one.stream == item.stream)
    row = one.serializer.get_queryset().get(pk=item.key)
    return bool(one.serializer(instance=row).serialize() == item.data)


@pytest.mark.parametrize("name", WRITES)
def test_exactly_what_was_written_is_told(world: World, name: str, expect_log: Any) -> None:
    if name == "flush":
        expect_log("realtime.relay", "another database")
    bus = MemoryBus()
    relay = Relay(bus)
    publish_due(relay)
    before = heads(bus)
    expected = WRITES[name](world)
    publish_due(relay)
    found: Told = {}
    for stream, (epoch, offset) in heads(bus).items():
        if epoch != before[stream][0]:
            found[stream] = [(RESYNC, None)]
        elif offset > before[stream][1]:
            items = told(bus, stream)[before[stream][1] - offset :]
            found[stream] = [(item.action, item.id) for item in items]
            assert all(equals_its_row(item) for item in items if item.action != "deleted")
    assert {stream: sorted(pairs, key=str) for stream, pairs in found.items()} == {
        stream: sorted(pairs, key=str) for stream, pairs in expected.items()
    }
    assert not Journal.objects.filter(dirty=True).exists()
    bus.close()
