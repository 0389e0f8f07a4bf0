"""Declarations that cannot be kept are named at the start."""

# ruff: noqa: RUF012  serializers and routers of one test each

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from realtime import registry
from realtime.routers import ModelRouter
from realtime.serializers import ModelSerializer
from tests.library.models import Book, Chapter, Membership, Shelf
from tests.library.serializers import BookSerializer, ShelfSerializer


@pytest.fixture(autouse=True)
def kept() -> Iterator[None]:
    routes, publishers = dict(registry.routes), dict(registry.publishers)
    yield
    registry.routes.clear()
    registry.routes.update(routes)
    registry.publishers.clear()
    registry.publishers.update(publishers)


def found() -> dict[str, str]:
    told: dict[str, str] = {}
    for number, message, _ in registry.problems():
        told[number] = told.get(number, "") + message
    return told


def publishing(**more: Any) -> type[ModelSerializer]:
    """A serializer of Book with these attributes (Meta's in capitals), which Book publishes through."""
    meta = {name.lower(): value for name, value in more.items() if name.isupper()}
    meta = {"model": Book, "publish_fields": ("title",), **meta}
    rest = {name: value for name, value in more.items() if not name.isupper()}
    made = type("Made", (ModelSerializer,), {"Meta": type("Meta", (), meta), **rest})
    registry.publish(Book, made)
    registry.routes.pop("book")
    return made


def routing(**attributes: Any) -> None:
    registry.register(
        type("Made", (ModelRouter,), {"route_name": "made", "serializer_class": BookSerializer, **attributes})
    )


def test_what_stands_is_in_order() -> None:
    assert found() == {}


def test_everything_is_no_list_of_fields() -> None:
    publishing(PUBLISH_FIELDS="__all__")
    assert "publish_fields" in found()["realtime.E101"]


def test_a_published_field_must_exist() -> None:
    publishing(PUBLISH_FIELDS=("title", "colour"))
    assert "'colour'" in found()["realtime.E102"]


def test_a_field_to_set_must_exist() -> None:
    publishing(UPDATE_FIELDS=("title", "colour", "__str__"))
    assert "'colour'" in found()["realtime.E103"]


@pytest.mark.parametrize(
    "more",
    [{"PUBLISH_FIELDS": ("shelf",), "shelf": ShelfSerializer}, {"PUBLISH_FIELDS": ("shelf.name",)},
     {"PUBLISH_FIELDS": ("shelf__name",)}],
)  # fmt: skip
def test_what_is_shown_of_others_must_be_declared(more: dict[str, Any]) -> None:
    made = publishing(**more)
    assert "'shelf'" in found()["realtime.E105"]
    made.shows = {"shelf": Shelf}
    assert found() == {}


def test_what_is_shown_through_others_must_be_declared_too() -> None:
    class Deep(ModelSerializer):
        book = "tests.library.serializers.BookSerializer"
        shows = {"book": Book}

        class Meta:
            model = Chapter
            publish_fields = ("book",)

    registry.publish(Chapter, Deep)
    registry.routes.pop("chapter")
    assert "'book__shelf'" in found()["realtime.E105"]
    Deep.shows = {"book__shelf": Shelf, "book__chapters": Chapter}
    assert found() == {}


@pytest.mark.parametrize(
    "shows", [{"colour": Shelf}, {"title": Shelf}, {"shelf": Chapter}, {"shelf": "library.Nothing"}]
)
def test_a_declared_path_must_lead_there(shows: dict[str, Any]) -> None:
    publishing(shows=shows)
    assert "realtime.E106" in found()


@pytest.mark.parametrize(
    "fields",
    [{"title": ["gt"]}, {"title": ["regex"]}, {"shelf__name": ["exact"]}, {"extra": ["exact"]}, {"keywords": ["in"]},
     {"colour": ["exact"]}, {"pages": "exact"}],
)  # fmt: skip
def test_filters_must_be_possible(fields: dict[str, Any]) -> None:
    routing(filter_fields=fields)
    assert "realtime.E107" in found()


def test_a_scope_uses_the_models_own_table() -> None:
    routing(scope_fields=("shelf__room",))
    assert "shelf__room" in found()["realtime.E107"]


def test_subscriptions_need_the_models_own_serializer() -> None:
    class Other(BookSerializer):
        class Meta(BookSerializer.Meta):
            pass

    routing(serializer_class=Other)
    assert "Other" in found()["realtime.E108"]


def test_a_router_without_subscriptions_may_have_another_serializer() -> None:
    class Other(BookSerializer):
        class Meta(BookSerializer.Meta):
            pass

    routing(serializer_class=Other, exclude_verbs=["subscribe"])
    assert found() == {}


def test_model_and_serializer_must_agree() -> None:
    routing(model=Shelf)
    assert "realtime.E109" in found()


@pytest.mark.parametrize("rights", [{Membership: "user"}, {Membership: "nobody"}, {"library.Nothing": "user_id"}])
def test_rights_come_from_a_column(rights: dict[Any, str]) -> None:
    routing(rights_from=rights)
    assert "realtime.E110" in found()


@pytest.mark.parametrize("verb", ["fly", "_permitted", "route_name"])
def test_a_verb_is_a_method(verb: str) -> None:
    routing(valid_verbs=["get_list", verb])
    assert verb in found()["realtime.E111"]
