"""Each check is seen to speak, with its number and a hint, and to be silent about the test models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings
from django.core import checks as django_checks
from django.db import connection, models

from realtime import checks, registry, triggers
from tests.app.models import Thing
from tests.realtime.journal_base import SQLITE, Project

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Iterator[Project]:
    project = Project()
    yield project
    project.forget()


def found(label: str = "app.Gadget") -> dict[str, django_checks.CheckMessage]:
    """By number, what the checks say about one model."""
    messages = checks.check_models(None)
    return {str(m.id).removeprefix("realtime."): m for m in messages if label in m.msg}


def test_the_test_models_are_in_order() -> None:
    assert checks.check_models(None) == []
    assert checks.check_databases(None, databases=["default"]) == []


def test_children_with_a_table_of_their_own_are_refused(project: Project) -> None:
    project.code("Gadget", filters=(), base=Thing, extra=models.IntegerField())
    assert "table of app.Thing" in found()["E002"].msg
    assert "inherits" in found()["E002"].msg


def test_an_abstract_parent_is_fine(project: Project) -> None:
    class Base(models.Model):
        size = models.IntegerField()

        class Meta:
            abstract = True
            app_label = "app"

        def __str__(self) -> str:
            return ""

    project.code("Gadget", base=Base)
    assert found() == {}


@pytest.mark.parametrize("key", [models.BinaryField(primary_key=True), models.DateTimeField(primary_key=True)])
def test_keys_that_are_no_number_text_or_uuid_are_refused(project: Project, key: Any) -> None:
    project.code("Gadget", filters=(), code=key)
    assert found()["E003"].hint


def test_composite_keys_are_refused(project: Project) -> None:
    key = models.CompositePrimaryKey("a", "b")
    project.code("Gadget", filters=(), pk=key, a=models.IntegerField(), b=models.IntegerField())
    assert "several columns" in found()["E003"].msg


def test_filter_fields_of_other_types_are_refused(project: Project) -> None:
    project.code("Gadget", filters=(), scope=("file",), file=models.FileField())
    assert "FileField" in found()["E004"].msg


def test_filters_by_an_inherited_column_are_refused(project: Project) -> None:
    project.code("Gadget", filters=("size",), base=Thing, extra=models.IntegerField())
    assert "'size'" in found()["E005"].msg


@pytest.mark.skipif(not SQLITE, reason="the limit is SQLite's")
def test_more_columns_than_a_trigger_can_keep_are_refused(project: Project) -> None:
    names = [f"f{i}" for i in range(51)]
    project.code("Gadget", filters=(), scope=names, **{name: models.IntegerField() for name in names})
    assert "51 columns" in found()["E006"].msg
    project.code("Gadget", filters=(), scope=names[:50], **{name: models.IntegerField() for name in names})
    assert found() == {}


def test_two_models_on_one_stream_are_refused(project: Project) -> None:
    project.code("Gadget", filters=(), channel="thing")
    assert "'thing'" in found()["E007"].msg


def test_a_model_without_managed_table_is_warned_about(project: Project) -> None:
    meta = type("Meta", (), {"managed": False, "app_label": "app"})
    project.code("Gadget", filters=(), Meta=meta, size=models.IntegerField())
    assert isinstance(found()["W008"], django_checks.Warning)


def test_what_apps_declare_wrongly_stops_the_start(project: Project) -> None:
    project.code("Gadget", size=models.IntegerField())
    registry.routes["gadget"].filter_fields = {"nothing": ["exact"]}  # type: ignore[attr-defined]
    assert any(m.id and m.id.startswith("realtime.E1") for m in checks.check_models(None))


def test_missing_and_stale_triggers_are_named() -> None:
    sql = triggers.dialect(connection)
    ours = [t for t in sql.installed() if t.table == "app_named"]
    sql.execute(sql.drop(ours[0]))
    assert [m.id for m in checks.check_databases(None, databases=["default"])] == ["realtime.W031"]
    for trigger in ours[1:]:
        sql.execute(sql.drop(trigger))
    (message,) = checks.check_databases(None, databases=["default"])
    assert (message.id, "app.named" in message.msg) == ("realtime.W030", True)
    assert "journal install" in str(message.hint)


def test_other_databases_are_none_of_our_business() -> None:
    assert checks.check_databases(None, databases=["other"]) == []
    assert checks.check_databases(None, databases=None) == []


@pytest.mark.skipif(not SQLITE, reason="about SQLite's settings")
def test_djangos_own_sqlite_engine_is_warned_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.DATABASES, "default", {"ENGINE": "django.db.backends.sqlite3", "NAME": "x"})
    assert [m.id for m in checks.check_databases(None, databases=["default"])] == ["realtime.W020", "realtime.W021"]
