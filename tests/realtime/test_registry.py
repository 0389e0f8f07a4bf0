"""The registry: one declaration per name, the columns that filters need, the rows that others depend on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from realtime import registry
from realtime.routers import ModelRouter, Router
from realtime.serializers import ModelSerializer
from tests.app.models import Kinds, Label, Place, Tagging, Thing
from tests.app.serializers import PlaceSerializer
from tests.library.models import Book, Chapter, Keyword, Membership, Shelf
from tests.library.routers import BookRouter
from tests.library.serializers import BookSerializer, ChapterSerializer, ShelfSerializer


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    routes, publishers, watched = dict(registry.routes), dict(registry.publishers), dict(registry._watched)
    yield
    for now, before in ((registry.routes, routes), (registry.publishers, publishers), (registry._watched, watched)):
        now.clear()  # type: ignore[attr-defined]
        now.update(before)  # type: ignore[attr-defined]


def test_a_route_name_is_taken_once() -> None:
    class Second(Router):
        route_name = "book"

    with pytest.raises(ImproperlyConfigured, match=r"BookRouter.*Second"):
        registry.register(Second)
    assert registry.register(BookRouter) is BookRouter


def test_a_router_needs_a_name() -> None:
    class Nameless(Router):
        pass

    with pytest.raises(ImproperlyConfigured, match="route_name"):
        registry.register(Nameless)


def test_publishing_models_are_found_with_their_serializers() -> None:
    found = registry.serializers()
    assert (found[Book], found[Shelf], found[Chapter]) == (BookSerializer, ShelfSerializer, ChapterSerializer)
    assert found[Place] is PlaceSerializer, "registered from outside, without the mixin"
    assert Keyword not in found


def test_filter_columns_are_what_routers_filter_by() -> None:
    assert registry.filter_columns(Book) == ("on_loan", "pages", "shelf_id", "title")
    assert registry.filter_columns(Shelf) == ()


def test_an_id_field_is_kept_too_because_deletions_name_it() -> None:
    class ByName(ModelSerializer):
        class Meta:
            model = Shelf
            publish_fields = ("room",)
            id_field = "name"

    class Shelves(ModelRouter):
        route_name = "shelves"
        serializer_class = ByName
        scope_fields = ("id",)

    registry.publish(Shelf, ByName)
    registry.register(Shelves)
    assert registry.filter_columns(Shelf) == ("name",)


def test_kinds_take_whatever_is_stored() -> None:
    kinds = registry.kinds(Kinds)
    assert set(kinds) == {f.name for f in Kinds._meta.concrete_fields} - {"id", "address", "document"}
    assert kinds["char"].parse("x" * 5000) == "x" * 5000
    assert kinds["small"].parse(10**10) == 10**10


@pytest.mark.parametrize(
    ("name", "column"),
    [("id", "id"), ("pk", "id"), ("shelf", "shelf_id"), ("shelf_id", "shelf_id"), ("title", "title"),
     ("keywords", None), ("chapters", None), ("nothing", None), ("shelf__name", None)],
)  # fmt: skip
def test_public_names_mean_columns_of_the_models_own_table(name: str, column: str | None) -> None:
    field = registry.column_field(Book, name)
    assert (field.column if field is not None else None) == column


# What is shown


def watch_of(model: Any) -> Any:
    return next((watch for watch in registry.watches() if watch.model is model), None)


def test_each_watched_model_has_one_watch() -> None:
    watches = registry.watches()
    assert len({watch.label for watch in watches}) == len(watches)
    assert watch_of(Membership).columns == ("user_id",)
    assert watch_of(Membership).label == "watch:library.membership"


def test_wishes_of_several_are_united() -> None:
    registry.watch(Keyword, columns=["word"], on=["word"], events=["delete"])
    assert watch_of(Keyword).on == ("word",)
    registry.watch(Keyword, columns=["id"])
    both = watch_of(Keyword)
    assert (both.columns, both.on, both.events) == (("id", "word"), None, {"insert", "update", "delete"})


def test_rights_say_whose_subscriptions_a_row_decides() -> None:
    assert [(item.source, item.column) for item in registry.rights()[Membership]] == [(Membership, "user_id")]


def shown(source: Any, model: Any) -> set[tuple[str, str | None, Any]]:
    return {(item.lookup, item.column, item.on) for item in registry.shows()[source] if item.model is model}


def test_what_a_foreign_key_leads_to_is_followed() -> None:
    assert shown(Shelf, Book) == {("shelf", None, None)}


def test_children_are_followed_to_their_old_and_new_parent() -> None:
    assert shown(Chapter, Book) == {("pk", "book_id", None)}


def test_a_list_of_keys_follows_the_table_between() -> None:
    assert shown(Book.keywords.through, Book) == {("pk", "book_id", None)}
    assert Keyword not in registry.shows()
    assert shown(Tagging, Thing) == {("pk", "thing_id", None)}
    assert shown(Label, Thing) == {("labels", None, None)}


@pytest.mark.django_db
def test_the_objects_to_mark_are_found() -> None:
    upper, lower = Shelf.objects.create(name="upper"), Shelf.objects.create(name="lower")
    one = Book.objects.create(title="one", shelf=upper)
    two = Book.objects.create(title="two", shelf=upper)
    other = Book.objects.create(title="other", shelf=lower)
    (by_shelf,) = (item for item in registry.shows()[Shelf] if item.model is Book)
    assert by_shelf.pks([upper.pk]) == {one.pk, two.pk}
    (by_chapter,) = (item for item in registry.shows()[Chapter] if item.model is Book)
    moved = Chapter.objects.create(book=other, name="moved")
    assert by_chapter.pks([moved.pk], [{"book_id": one.pk}, None]) == {one.pk, other.pk}
    assert by_chapter.pks([0], [None]) == set()
