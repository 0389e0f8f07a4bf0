"""Every way to write, with real commits: exactly what changed is due, with exactly what it was before."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest
from django.core import serializers
from django.core.management import call_command
from django.db import connection, transaction
from django.db.models import F

from realtime import journal
from tests.app.models import Kinds, Label, Named, Place, Shy, Tagging, Thing, ThingProxy, Unique
from tests.realtime.journal_base import POSTGRESQL, SQLITE, due, due_of, publish_all

pytestmark = pytest.mark.django_db(transaction=True)

THING = "app.thing"


def state(**changed: Any) -> dict[str, Any]:
    """What filters see of a thing as `make` makes it; bools as the database keeps them."""
    values = {"place_id": None, "size": 0, "on": False} | changed
    return values | {"on": bool(values["on"]) if POSTGRESQL else int(values["on"])}


def make(name: str = "lamp", **values: Any) -> Thing:
    thing = Thing.objects.create(name=name, **values)
    publish_all()
    return thing


def run(sql: str, params: list[Any] | None = None) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)


# Creating


def test_a_created_object_did_not_exist_before() -> None:
    thing = Thing(name="lamp")
    thing.save()
    assert due() == {(THING, str(thing.pk)): [None]}


def test_created_with_a_key_of_ones_own() -> None:
    Thing.objects.create(pk=77, name="lamp")
    Thing(pk=78, name="fan").save(force_insert=True)
    assert due_of(THING) == {"77": [None], "78": [None]}


def test_bulk_create_journals_every_object() -> None:
    things = Thing.objects.bulk_create([Thing(name=f"n{i}") for i in range(3)])
    assert due_of(THING) == {str(thing.pk): [None] for thing in things}


def test_bulk_create_with_update_conflicts_tells_the_updated_from_the_created() -> None:
    old = make("lamp", size=1)
    Thing.objects.bulk_create(
        [Thing(name="lamp", size=5), Thing(name="fan", size=6)],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["size"],
    )
    assert due_of(THING) == {str(old.pk): [state(size=1)], str(Thing.objects.get(name="fan").pk): [None]}


def test_bulk_create_that_ignores_conflicts_journals_only_what_it_created() -> None:
    make("lamp")
    Thing.objects.bulk_create([Thing(name="lamp", size=5), Thing(name="fan")], ignore_conflicts=True)
    assert due_of(THING) == {str(Thing.objects.get(name="fan").pk): [None]}


def test_loaded_fixtures_are_journalled(tmp_path: Any) -> None:
    fixture = tmp_path / "things.json"
    fixture.write_text(serializers.serialize("json", [Thing(pk=5, name="lamp"), Named(code="a")]))
    call_command("loaddata", str(fixture), verbosity=0)
    assert due() == {(THING, "5"): [None], ("app.named", "a"): [None]}


# Changing


def test_save_keeps_the_old_state() -> None:
    thing = make(size=1, on=True)
    thing.size = 2
    thing.save()
    assert due() == {(THING, str(thing.pk)): [state(size=1, on=True)]}


def test_a_column_that_no_filter_uses_counts_as_well() -> None:
    thing = make()
    thing.note = "new"
    thing.save(update_fields=["note"])
    assert due() == {(THING, str(thing.pk)): [state()]}


def test_f_expressions() -> None:
    thing = make(size=1)
    thing.size = F("size") + 1
    thing.save()
    assert due() == {(THING, str(thing.pk)): [state(size=1)]}


def test_bulk_update() -> None:
    things = [make("a", size=1), make("b", size=2), make("c", size=3)]
    for thing in things:
        thing.size += 10
    Thing.objects.bulk_update(things[:2], ["size"])
    assert due_of(THING) == {str(things[0].pk): [state(size=1)], str(things[1].pk): [state(size=2)]}


def test_queryset_update_journals_only_what_it_changed() -> None:
    first, second = make("a", size=1), make("b", size=2)
    Thing.objects.update(size=2)
    assert due() == {(THING, str(first.pk)): [state(size=1)]}
    assert str(second.pk) not in due_of(THING)


def test_raw_sql() -> None:
    thing = make(size=1)
    run("UPDATE app_thing SET size = 9 WHERE id = %s", [thing.pk])
    assert due() == {(THING, str(thing.pk)): [state(size=1)]}
    publish_all()
    run("DELETE FROM app_thing WHERE id = %s", [thing.pk])
    assert due() == {(THING, str(thing.pk)): [state(size=9)]}


def test_a_write_that_changes_nothing_journals_nothing() -> None:
    thing = make(size=1)
    thing.save()
    Thing.objects.filter(pk=thing.pk).update(size=F("size"))
    Thing.objects.filter(size=99).update(size=1)
    assert due() == {}


def test_a_change_of_case_is_a_change() -> None:
    thing = make("lamp")
    Thing.objects.filter(pk=thing.pk).update(name="LAMP")
    assert due() == {(THING, str(thing.pk)): [state()]}


def test_equal_states_stand_once_and_all_states_since_the_publication_stand() -> None:
    thing = make(size=1)
    for size in (2, 3, 2, 1, 4):
        Thing.objects.filter(pk=thing.pk).update(size=size)
    assert due() == {(THING, str(thing.pk)): [state(size=size) for size in (1, 2, 3)]}


def test_too_many_states_overflow_and_stay_so_until_published() -> None:
    thing = make(size=-1)
    for size in range(40):
        Thing.objects.filter(pk=thing.pk).update(size=size)
    (row,) = journal.read()
    assert row.overflow
    journal.mark([row])
    Thing.objects.filter(pk=thing.pk).update(size=1000)
    (row,) = journal.read()
    assert not row.overflow
    assert row.before == (state(size=39),)


def test_a_proxy_writes_its_models_rows() -> None:
    thing = make(size=1)
    ThingProxy.objects.filter(pk=thing.pk).update(size=2)
    assert due() == {(THING, str(thing.pk)): [state(size=1)]}


def test_rows_that_the_default_manager_hides_are_journalled() -> None:
    shy = Shy(hidden=True)
    shy.save()
    assert due() == {("app.shy", str(shy.pk)): [None]}


def test_the_key_of_a_uuid_model_is_its_usual_text() -> None:
    one = Unique.objects.create(size=1)
    Unique.objects.filter(pk=one.pk).update(size=2)
    (row,) = journal.read()
    assert (row.key, row.pk) == (str(one.pk), one.pk)
    assert isinstance(row.pk, uuid.UUID)


def test_keys_may_be_any_text() -> None:
    names = ["a b", "ü-🌱", "'; --", '"q"', "*", "null", "{}", "a,b", "%s"]
    for name in names:
        Named.objects.create(code=name)
    assert due_of("app.named") == {name: [None] for name in names}


def test_old_states_may_hold_any_text() -> None:
    odd = 'a "quoted" \\ back\nslash ü-🌱 * {} %s \x7f'
    kind = Kinds.objects.create(char=odd, text=odd * 3)
    publish_all()
    for text in ("b", odd, "c", odd):
        Kinds.objects.filter(pk=kind.pk).update(char=text)
    (row,) = journal.read()
    assert sorted(s["char"] for s in row.before if s) == sorted([odd, "b", "c"])
    assert {s["text"] for s in row.before if s} == {odd * 3}


# Deleting


def test_a_deleted_object_keeps_its_last_state() -> None:
    thing = make(size=3)
    key = str(thing.pk)
    thing.delete()
    assert due() == {(THING, key): [state(size=3)]}


def test_cascades_and_raw_deletes() -> None:
    place = Place.objects.create(name="hall")
    things = [make(f"n{i}", place=place) for i in range(3)]
    label = Label.objects.create(text="x")
    Tagging.objects.create(thing=things[0], label=label)
    publish_all()
    key = str(place.pk)
    place.delete()
    assert due_of(THING) == {str(thing.pk): [state(place_id=int(key))] for thing in things}
    assert due_of("app.place") == {key: [{}]}
    assert len(due_of("watch:app.tagging")) == 1
    publish_all()
    one = make("z")
    Thing.objects.filter(pk=one.pk)._raw_delete("default")
    assert due() == {(THING, str(one.pk)): [state()]}


def test_created_and_deleted_in_between_keeps_what_a_snapshot_may_have_shown() -> None:
    # A snapshot between the two has shown it, so its deletion must still be told. Who never had it ignores that.
    thing = Thing.objects.create(name="lamp", size=4)
    key = str(thing.pk)
    thing.delete()
    assert due() == {(THING, key): [None, state(size=4)]}


def test_deleted_and_created_again_is_one_row_with_both_pasts() -> None:
    make("lamp", size=1)
    thing = Thing.objects.get()
    key = thing.pk
    thing.delete()
    Thing.objects.create(pk=key, name="lamp", size=2)
    assert due() == {(THING, str(key)): [None, state(size=1)]}


# Keys


def test_a_changed_key_is_one_object_gone_and_one_created() -> None:
    Named.objects.create(code="old", size=3)
    publish_all()
    Named.objects.filter(code="old").update(code="new")
    assert due() == {("app.named", "old"): [{"size": 3}], ("app.named", "new"): [None]}


def test_many_changed_keys_in_one_statement() -> None:
    for i in range(5):
        Named.objects.create(code=f"{i}", size=i)
    publish_all()
    run("UPDATE app_named SET code = 'x' || code")
    assert due_of("app.named") == {str(i): [{"size": i}] for i in range(5)} | {f"x{i}": [None] for i in range(5)}


@pytest.mark.skipif(not SQLITE, reason="REPLACE is SQLite's")
def test_insert_or_replace_tells_what_it_replaced() -> None:
    first, second = make("lamp", size=1), make("fan", size=2)
    run("INSERT OR REPLACE INTO app_thing (id, name, size, \"on\", note) VALUES (%s, 'fan', 7, 0, '')", [first.pk])
    assert due_of(THING) == {str(first.pk): [None, state(size=1)], str(second.pk): [state(size=2)]}


# Many to many


def test_many_to_many_relations_are_rows_of_the_table_between() -> None:
    thing, label = make(), Label.objects.create(text="x")
    other = Label.objects.create(text="y")
    publish_all()
    thing.labels.add(label)
    through = {str(t.pk): [None] for t in Tagging.objects.all()}
    assert due_of("watch:app.tagging") == through
    publish_all()
    thing.labels.set([other])
    assert sorted(map(json.dumps, due_of("watch:app.tagging").values())) == sorted(
        map(json.dumps, [[None], [{"thing_id": thing.pk}]])
    )
    publish_all()
    thing.labels.clear()
    assert list(due_of("watch:app.tagging").values()) == [[{"thing_id": thing.pk}]]


# Transactions


def test_nothing_of_a_rolled_back_transaction_is_due() -> None:
    thing = make(size=1)
    with pytest.raises(RuntimeError), transaction.atomic():
        Thing.objects.update(size=5)
        Thing.objects.create(name="fan")
        raise RuntimeError
    assert due() == {}
    assert Thing.objects.get().size == thing.size


def test_nothing_of_a_rolled_back_savepoint_is_due() -> None:
    first, second = make("a", size=1), make("b", size=2)
    with transaction.atomic():
        Thing.objects.filter(pk=first.pk).update(size=10)
        with pytest.raises(RuntimeError), transaction.atomic():
            Thing.objects.update(size=20)
            Thing.objects.create(name="c")
            raise RuntimeError
    assert due() == {(THING, str(first.pk)): [state(size=1)]}
    assert str(second.pk) not in due_of(THING)


def test_revisions_grow_with_every_write_also_after_pruning() -> None:
    thing = make()
    seen = []
    for size in range(1, 4):
        Thing.objects.filter(pk=thing.pk).update(size=size)
        (row,) = journal.read()
        seen.append(row.revision)
        journal.mark([row])
        assert journal.prune(age=-1) > 0
    assert seen == sorted(set(seen))
