"""Schema changes: the migration succeeds, everybody takes a snapshot, and the next write is journalled as before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.core.management.sql import emit_post_migrate_signal, emit_pre_migrate_signal
from django.db import connection, migrations, models
from django.db.migrations.operations.base import Operation

from realtime import journal, triggers
from tests.app.models import Named, Thing
from tests.realtime.journal_base import SQLITE, Project, due, publish_all

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project() -> Iterator[Project]:
    project = Project()
    yield project
    for table in ("app_gadget", "app_gizmo"):
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {table}")
    project.forget()
    triggers.install()


def create(name: str = "Gadget", **fields: Any) -> Operation:
    key = ("id", models.BigAutoField(primary_key=True))
    return migrations.CreateModel(name, [key, *fields.items()])


def works(project: Project, before: dict[str, Any], **values: Any) -> None:
    """Every trigger is in place, subscribers were told to resync, and the next writes are journalled."""
    assert {s.state for s in triggers.status()} == {"installed"}
    assert (project.label(), "*") in due()
    publish_all()
    row = project.model.objects.create(**values)
    assert due() == {(project.label(), str(row.pk)): [None]}
    publish_all()
    row.delete()
    (told,) = journal.read()
    assert told.before == (before,)
    publish_all()


def test_create_a_model(project: Project) -> None:
    project.code("Gadget", size=models.IntegerField())
    project.migrate(create(size=models.IntegerField()))
    works(project, {"size": 3}, size=3)


def test_add_a_field(project: Project) -> None:
    project.code("Gadget", size=models.IntegerField())
    project.migrate(create(size=models.IntegerField()))
    field = models.CharField(max_length=9, default="x")
    project.code("Gadget", filters=("size", "kind"), size=models.IntegerField(), kind=field)
    project.migrate(migrations.AddField("gadget", "kind", models.CharField(max_length=9, default="x")))
    works(project, {"size": 3, "kind": "y"}, size=3, kind="y")


def test_alter_a_field(project: Project) -> None:
    project.code("Gadget", size=models.IntegerField())
    project.migrate(create(size=models.IntegerField()))
    project.code("Gadget", size=models.CharField(max_length=20, null=True))
    project.migrate(migrations.AlterField("gadget", "size", models.CharField(max_length=20, null=True)))
    works(project, {"size": "3"}, size="3")


def test_rename_a_field_that_filters_use(project: Project) -> None:
    project.code("Gadget", size=models.IntegerField())
    project.migrate(create(size=models.IntegerField()))
    project.code("Gadget", filters=("extent",), extent=models.IntegerField())
    project.migrate(migrations.RenameField("gadget", "size", "extent"))
    works(project, {"extent": 3}, extent=3)


def test_remove_a_field_that_filters_used(project: Project) -> None:
    project.code("Gadget", size=models.IntegerField(), kind=models.IntegerField())
    project.migrate(create(size=models.IntegerField(), kind=models.IntegerField()))
    project.code("Gadget", filters=("kind",), kind=models.IntegerField())
    project.migrate(migrations.RemoveField("gadget", "size"))
    works(project, {"kind": 1}, kind=1)


def test_rename_the_model(project: Project) -> None:
    project.code("Gadget", size=models.IntegerField())
    project.migrate(create(size=models.IntegerField()))
    project.code("Gizmo", size=models.IntegerField())
    project.migrate(migrations.RenameModel("Gadget", "Gizmo"))
    works(project, {"size": 3}, size=3)


def test_delete_the_model(project: Project) -> None:
    project.code("Gadget", size=models.IntegerField())
    project.migrate(create(size=models.IntegerField()))
    project.forget()
    project.migrate(migrations.DeleteModel("Gadget"))
    assert {s.state for s in triggers.status()} == {"installed"}
    assert not [t for t in triggers.dialect(connection).installed() if t.table == "app_gadget"]


def test_remove_the_mixin(project: Project) -> None:
    project.code("Gadget", size=models.IntegerField())
    project.migrate(create(size=models.IntegerField()))
    publish_all()
    model = project.code("Gadget", mixin=False, size=models.IntegerField())
    project.migrate()
    assert not [t for t in triggers.dialect(connection).installed() if t.table == "app_gadget"]
    model.objects.create(size=1)
    assert not [key for key in due() if key[0] == "app.gadget"]


def test_add_the_mixin_without_a_migration(project: Project) -> None:
    project.code("Gadget", mixin=False, size=models.IntegerField())
    project.migrate(create(size=models.IntegerField()))
    project.code("Gadget", size=models.IntegerField())
    # No plan: nothing is to be migrated.
    emit_pre_migrate_signal(0, False, "default", apps=apps, plan=[])
    emit_post_migrate_signal(0, False, "default", apps=apps, plan=[])
    works(project, {"size": 3}, size=3)


def test_other_filters_without_a_migration(project: Project) -> None:
    fields: dict[str, Any] = {"size": models.IntegerField(), "kind": models.IntegerField(default=0)}
    project.code("Gadget", **fields)
    project.migrate(create(size=models.IntegerField(), kind=models.IntegerField(default=0)))
    project.code("Gadget", filters=("kind",), size=models.IntegerField(), kind=models.IntegerField(default=0))
    assert {s.label: s.state for s in triggers.status()}["app.gadget"] == "stale"
    assert triggers.install() == ["app.gadget"]
    works(project, {"kind": 0}, size=3)


def test_a_model_whose_table_is_not_there_yet_is_waited_for(project: Project) -> None:
    project.code("Gadget", size=models.IntegerField())
    project.migrate()
    assert {s.label: s.state for s in triggers.status()}["app.gadget"] == "waiting"
    project.migrate(create(size=models.IntegerField()))
    works(project, {"size": 3}, size=3)


@pytest.mark.skipif(not SQLITE, reason="PostgreSQL keeps the triggers of a table that it alters")
def test_a_table_rebuilt_behind_our_back_is_seen(project: Project) -> None:
    project.code("Gadget", size=models.IntegerField())
    project.migrate(create(size=models.IntegerField()))
    with connection.schema_editor() as editor:
        migration = migrations.Migration("x", "app")
        migration.operations = [migrations.AlterField("gadget", "size", models.IntegerField(null=True))]
        migration.apply(project.state, editor)
    assert {s.label: s.state for s in triggers.status()}["app.gadget"] == "missing"
    triggers.install()
    works(project, {"size": 3}, size=3)


def test_migrating_without_a_plan_disturbs_nobody() -> None:
    publish_all()
    call_command("migrate", verbosity=0, interactive=False)
    assert due() == {}
    Named.objects.create(code="a")
    assert due() == {("app.named", "a"): [None]}


def test_the_whole_app_goes_and_comes_back() -> None:
    thing = Thing.objects.create(name="lamp")
    first = journal.identity()
    call_command("migrate", "realtime", "zero", verbosity=0, interactive=False)
    assert triggers.dialect(connection).installed() == []
    assert triggers.status()[0].state == "waiting"
    Thing.objects.filter(pk=thing.pk).update(size=5)
    with connection.cursor() as cursor:
        names = connection.introspection.table_names(cursor)
    assert not [name for name in names if name.startswith("realtime_")]
    call_command("migrate", "realtime", verbosity=0, interactive=False)
    assert {s.state for s in triggers.status()} == {"installed"}
    assert journal.identity() != first
    Thing.objects.filter(pk=thing.pk).update(size=6)
    assert [key for (_, key) in due()] == [str(thing.pk)]


def test_removing_the_triggers_leaves_a_database_that_works() -> None:
    triggers.remove(functions=True)
    assert triggers.dialect(connection).installed() == []
    Named.objects.create(code="a")
    assert due() == {}
    assert "app.named" in triggers.install()
    assert ("app.named", "*") in due()
    assert triggers.install() == []
