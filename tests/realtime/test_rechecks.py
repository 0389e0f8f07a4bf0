"""An update is spared the checks that it cannot have made fail, and no other."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.db.models.functions import Lower
from django.test.utils import CaptureQueriesContext, isolate_apps

from realtime import rechecks
from realtime.serializers import ModelValidationError
from tests.library.models import Book, Shelf
from tests.library.serializers import BookSerializer

pytestmark = pytest.mark.django_db


def model_with(*constraints: models.BaseConstraint, **more: Any) -> type[models.Model]:
    meta = type("Meta", (), {"app_label": "library", "constraints": constraints, **more.pop("meta", {})})
    fields = {name: models.IntegerField(default=0) for name in "abc"}
    return type("Checked", (models.Model,), {"__module__": __name__, "Meta": meta, **fields, **more})


def unique(*fields: str, **more: Any) -> models.UniqueConstraint:
    return models.UniqueConstraint(*more.pop("expressions", ()), fields=fields, name="once", **more)


Q, F = models.Q, models.F
EVERYTHING = {"id", "a", "b", "c"}


@pytest.fixture
def shelf() -> Shelf:
    return Shelf.objects.create(name="lower")


@pytest.fixture
def book(shelf: Shelf) -> Book:
    return Book.objects.create(title="Atlas", shelf=shelf)


@pytest.mark.parametrize(
    ("constraint", "looked_at"),
    [
        (unique("a", "b"), {"a", "b"}),
        (unique("a", condition=Q(b__gt=1) | ~Q(Q(c=2))), {"a", "b", "c"}),
        (models.CheckConstraint(condition=Q(a__gte=0) & Q(pk__gt=0), name="positive"), {"a", "id"}),
        # Whose fields cannot be told is always looked at.
        (unique(expressions=[Lower("a")]), EVERYTHING),
        (unique("a", condition=Q(b=F("c"))), EVERYTHING),
        (models.CheckConstraint(condition=models.Exists(Book.objects.all()), name="exists"), EVERYTHING),
        (type("Own", (models.CheckConstraint,), {})(condition=Q(a=1), name="own"), EVERYTHING),
    ],
)
@isolate_apps("tests.library")
def test_a_constraint_is_looked_at_when_one_of_its_fields_changed(constraint: Any, looked_at: set[str]) -> None:
    model = model_with(constraint)
    assert {name for name in EVERYTHING if rechecks.constraints(model, {name})} == looked_at


@isolate_apps("tests.library")
def test_a_generated_column_may_change_with_any_other() -> None:
    generated = models.GeneratedField(expression=F("a") + 1, output_field=models.IntegerField(), db_persist=True)
    assert rechecks.constraints(model_with(unique("g"), g=generated), {"b"})


@isolate_apps("tests.library")
def test_uniqueness_is_looked_at_when_one_of_its_fields_changed() -> None:
    model = model_with(
        meta={"unique_together": [("a", "b")]},
        d=models.IntegerField(unique=True),
        e=models.IntegerField(unique_for_date="day"),
        day=models.DateField(),
    )
    looked_at = {name for name in ("id", *"abcde", "day") if rechecks.uniqueness(model, {name})}
    assert looked_at == {"id", "a", "b", "d", "e", "day"}
    child = type("Child", (model,), {"__module__": __name__, "Meta": type("Meta", (), {"app_label": "library"})})
    assert rechecks.uniqueness(child, {"d"})
    assert not rechecks.uniqueness(child, {"c"})


@isolate_apps("tests.library")
def test_a_models_own_way_to_look_is_always_taken() -> None:
    def own(self: Any, exclude: Any = None) -> None:
        raise ValidationError("no")

    model = model_with(validate_unique=own, validate_constraints=own)
    assert rechecks.uniqueness(model, {"c"})
    assert rechecks.constraints(model, {"c"})


def test_what_was_given_and_what_was_set_beside_it_counts_as_touched(book: Book) -> None:
    before = dict(book.__dict__)
    assert rechecks.touched(book, before, ()) == {"extra"}  # which may have been changed in place
    book.secret = "x"
    book.shelf_id = 5
    assert rechecks.touched(book, before, {"pages"}) == {"extra", "secret", "shelf", "pages"}
    deferred = Book.objects.defer("title").get(pk=book.pk)
    before = dict(deferred.__dict__)
    assert deferred.title
    assert "title" in rechecks.touched(deferred, before, ())


def test_an_update_asks_only_for_what_it_may_have_broken(book: Book) -> None:
    for data, asked in (({"rating": 2.0}, 0), ({"title": "Another"}, 1)):
        with CaptureQueriesContext(
            connection,
        ) as queries:
            BookSerializer(data=data, instance=Book.objects.get(pk=book.pk)).save()
        checks = [query for query in queries.captured_queries if query["sql"].startswith("SELECT 1")]
        assert len(checks) >= asked and bool(checks) == bool(asked), (data, checks)


def test_what_the_models_own_clean_breaks_is_noticed(book: Book, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    Book.objects.create(title="Taken", shelf=shelf)

    def clean(self: Book) -> None:
        self.title, self.shelf_id = "Taken", shelf.pk

    monkeypatch.setattr(Book, "clean", clean)
    with pytest.raises(ModelValidationError):
        BookSerializer(data={"rating": 2.0}, instance=book).save()
