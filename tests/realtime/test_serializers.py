"""Serializers: what is published, what may be set, and which errors tell what."""

from __future__ import annotations

import datetime
import math
import uuid
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.files.base import ContentFile
from django.db import connection
from django.test.utils import CaptureQueriesContext

from realtime.errors import Invalid
from realtime.fields import publish_value
from realtime.serializers import ModelSerializer, ModelValidationError, Serializer, resolve_serializer
from tests.library.models import Book, Chapter, Keyword, Shelf
from tests.library.serializers import BookSerializer, ChapterSerializer, ShelfSerializer

pytestmark = pytest.mark.django_db


@pytest.fixture
def shelf() -> Shelf:
    return Shelf.objects.create(name="upper")


@pytest.fixture
def book(shelf: Shelf) -> Book:
    return Book.objects.create(title="Atlas", shelf=shelf, secret="hidden", pages=3)


def saved(data: dict[str, Any], book: Book | None = None) -> Book:
    made: Book = BookSerializer(data=data, instance=book).save()
    made.refresh_from_db()
    return made


def errors(data: dict[str, Any], book: Book | None = None) -> dict[str, list[str]]:
    with pytest.raises(ModelValidationError) as caught:
        BookSerializer(data=data, instance=book).save()
    return caught.value.get_error_dict()


# What clients see


def test_an_object_is_published_with_id_type_fields_and_own_values(book: Book, shelf: Shelf) -> None:
    word = Keyword.objects.create(word="maps")
    book.keywords.add(word)
    chapter = Chapter.objects.create(book=book, name="one")
    assert BookSerializer(instance=book).serialize() == {
        "id": book.pk, "_type": "book", "title": "Atlas", "pages": 3, "price": None, "rating": None, "on_loan": False,
        "shelf": {"id": shelf.pk, "_type": "shelf", "name": "upper"},
        "due": None, "code": None, "extra": {}, "cover": None, "keywords": [word.pk],
        "chapters": [{"id": chapter.pk, "_type": "chapter", "name": "one", "book": book.pk}],
        "label": "Atlas (3)",
    }  # fmt: skip


def test_values_have_the_forms_of_the_wire(book: Book) -> None:
    book.price = Decimal("1.50")
    book.due = datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    book.code = uuid.UUID(int=5)
    book.cover.save("front.png", ContentFile(b"x"), save=False)
    told = BookSerializer(instance=book).serialize()
    assert told is not None
    assert told["price"] == "1.50"
    assert told["due"] == "2026-01-02T01:04:00+00:00"
    assert told["code"] == "00000000-0000-0000-0000-000000000005"
    assert told["cover"] == book.cover.url


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (datetime.date(2026, 1, 2), "2026-01-02"),
        (datetime.time(1, 2, 3), "01:02:03"),
        (datetime.timedelta(hours=1), "P0DT01H00M00S"),
        (b"\x00\xff", "AP8="),
        ((1, [Decimal("2")]), [1, ["2"]]),
        ({1: None}, {"1": None}),
        (Decimal("1E+3"), "1000"),
    ],
)
def test_further_values_have_a_form_too(value: Any, form: Any) -> None:
    assert publish_value(value) == form


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, -math.inf, Decimal("NaN"), "a\x00b", "\ud800", {"x": [math.inf]}]
)
def test_what_json_or_a_database_cannot_hold_is_not_published(value: Any, book: Book) -> None:
    book.extra = {"value": value}
    with pytest.raises(Invalid) as caught:
        BookSerializer(instance=book).serialize()
    assert list(caught.value.data) == ["extra"]


def test_a_partial_form_never_shows_more_than_is_published(book: Book) -> None:
    told = BookSerializer(instance=book).serialize(fields=["pages", "secret"])
    assert told == {"id": book.pk, "_type": "book", "pages": 3, "label": "Atlas (3)"}


def test_without_an_instance_there_is_nothing_to_show() -> None:
    assert BookSerializer().serialize() is None


def test_a_cycle_of_serializers_ends_in_keys(book: Book) -> None:
    class Cyclic(ChapterSerializer):
        book = "Around"

        class Meta(ChapterSerializer.Meta):
            pass

    class Around(ModelSerializer):
        chapters = Cyclic

        class Meta:
            model = Book
            publish_fields = ("title", "chapters")

    Cyclic.book = Around  # type: ignore[assignment]
    Chapter.objects.create(book=book, name="one")
    told = Around(instance=book).serialize()
    assert told is not None
    assert told["chapters"][0]["book"] == book.pk
    assert [entry["prop_name"] for entry in Around.get_object_map()] == ["chapters", "book"]


def test_dotted_names_follow_the_relation(book: Book) -> None:
    class Dotted(ModelSerializer):
        class Meta:
            model = Book
            publish_fields = ("shelf.name", "title")

    told = Dotted(instance=book).serialize()
    assert told is not None
    assert told["shelf.name"] == "upper"


def test_another_field_can_be_the_id(shelf: Shelf) -> None:
    class ByName(ModelSerializer):
        class Meta:
            model = Shelf
            publish_fields = ("room",)
            id_field = "name"
            base_channel = "shelves"

    assert ByName(instance=shelf).serialize() == {"id": "upper", "_type": "shelf", "room": ""}
    assert ByName.get_base_channel() == "shelves|"


def test_the_object_map_is_swampdragons() -> None:
    assert BookSerializer.get_object_map() == [
        {"parent_type": "book", "child_type": "shelf", "via": "book", "prop_name": "shelf", "is_collection": False},
        {"parent_type": "book", "child_type": "chapter", "via": "book", "prop_name": "chapters", "is_collection": True},
    ]


def test_many_objects_cost_as_many_queries_as_one(shelf: Shelf) -> None:
    def queries() -> int:
        with CaptureQueriesContext(
            connection,
        ) as captured:
            list(BookSerializer.publish_all(BookSerializer.get_queryset()))
        return len(captured)

    Book.objects.create(title="first", shelf=shelf)
    one = queries()
    for number in range(5):
        Chapter.objects.create(book=Book.objects.create(title=f"{number}", shelf=shelf), name="c")
    assert queries() == one


def test_one_bad_object_does_not_hide_the_others(shelf: Shelf, expect_log: Any) -> None:
    expect_log("realtime.serializers", "cannot be published")
    bad, good = Book.objects.create(title="bad", shelf=shelf), Book.objects.create(title="good", shelf=shelf)
    bad.rating = math.nan
    assert [told["title"] for _, told in BookSerializer.publish_all([bad, good])] == ["good"]


def test_everything_is_never_published_by_default() -> None:
    class Careless(ModelSerializer):
        class Meta:
            model = Book

    class All(ModelSerializer):
        class Meta:
            model = Book
            publish_fields = "__all__"

    for serializer in (Careless, All):
        with pytest.raises(ImproperlyConfigured, match="publish_fields"):
            _ = serializer.opts


@pytest.mark.parametrize(
    "name", ["BookSerializer", "library.BookSerializer", "tests.library.serializers.BookSerializer"]
)
def test_a_serializer_is_found_by_its_name(name: str) -> None:
    assert resolve_serializer(name, "tests.library.models") is BookSerializer


@pytest.mark.parametrize("name", ["NoSerializer", "library.Nothing", "Book"])
def test_a_name_that_means_no_serializer_says_so(name: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"[sS]erializer"):
        resolve_serializer(name, "tests.library.models")


# What clients may set


def test_an_object_is_made_from_data_and_initial(shelf: Shelf) -> None:
    made = BookSerializer(
        data={
            "title": "New",
            "shelf": shelf.pk,
            "price": "2.5",
            "due": "2026-01-02T03:04:05+02:00",
            "code": str(uuid.UUID(int=1)),
        },
        initial={"secret": "from the server"},
    ).save()
    made.refresh_from_db()
    assert (made.title, made.shelf, made.price, made.secret) == ("New", shelf, Decimal("2.50"), "from the server")
    assert made.due == datetime.datetime(2026, 1, 2, 1, 4, 5, tzinfo=datetime.UTC)


def test_an_object_is_written_once(shelf: Shelf) -> None:
    with CaptureQueriesContext(connection) as captured:
        BookSerializer(data={"title": "New", "shelf": shelf.pk}).save()
    writes = [q["sql"] for q in captured if q["sql"].startswith(("INSERT", "UPDATE"))]
    assert len(writes) == 1


@pytest.mark.parametrize(
    "name", ["secret", "id", "pk", "shelf_id", "shelf__name", "changed_at", "_state", "nothing", "save"]
)
def test_what_may_not_be_set_is_refused_by_the_name_the_client_used(name: str, book: Book) -> None:
    assert errors({name: 1, "pages": 9}, book) == {name: ["This cannot be set."]}
    book.refresh_from_db()
    assert (book.pages, book.secret) == (3, "hidden")


def test_the_type_may_come_along(book: Book) -> None:
    assert saved({"_type": "book", "pages": 4}, book).pages == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("title", 5), ("title", ["x"]), ("title", None), ("title", "x" * 41), ("title", "a\x00b"), ("title", "\udfff"),
        ("title", ""), ("pages", "many"), ("pages", 1.5), ("pages", True), ("pages", None), ("pages", 2**63),
        ("pages", {}), ("pages", -1), ("price", "1.234"), ("price", "NaN"), ("price", 1e30), ("price", True),
        ("rating", "inf"), ("rating", math.inf), ("rating", 10**400), ("on_loan", "perhaps"), ("on_loan", []),
        ("due", "yesterday"), ("due", 5), ("due", "2026-02-30T00:00:00Z"), ("due", "0001-01-01T00:00:00+14:00"),
        ("code", "5"), ("code", 5), ("extra", {"a": math.nan}), ("extra", {"a": "\x00"}), ("extra", None),
        ("cover", "../../etc/passwd"), ("cover", {"url": "x"}),
        ("shelf", None), ("shelf", -1), ("shelf", 10**30), ("shelf", "x"), ("shelf", True), ("shelf", [1]),
        ("keywords", 1), ("keywords", [0]), ("keywords", ["x"]), ("keywords", [None]), ("keywords", [{"word": "new"}]),
        ("chapters", "x"), ("chapters", [10**30]),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_an_error_of_its_field(name: str, value: Any, book: Book) -> None:
    found = errors({name: value}, book)
    assert list(found) in ([name], ["__all__"])
    assert all(found.values())


def test_errors_of_several_fields_come_together(book: Book) -> None:
    assert set(errors({"pages": "x", "title": "", "nothing": 1}, book)) == {"pages", "title", "nothing"}


def test_own_validation_is_told_by_field(shelf: Shelf) -> None:
    assert errors({"title": "forbidden", "shelf": shelf.pk}) == {"title": ["This book may not be here."]}


def test_a_missing_value_is_an_error_when_an_object_is_made() -> None:
    assert set(errors({})) == {"title", "shelf"}


def test_unique_together_is_an_answer_and_not_a_crash(book: Book, shelf: Shelf) -> None:
    assert "__all__" in errors({"title": "Atlas", "shelf": shelf.pk})


def test_constraints_of_the_model_are_checked(book: Book) -> None:
    assert errors({"pages": -5}, book) == {"__all__": ["Constraint “library_book_pages” is violated."]}


def test_a_model_says_nothing_about_fields_that_clients_do_not_know(shelf: Shelf, book: Book) -> None:
    refused = BookSerializer(data={"title": "same", "shelf": shelf.pk}, initial={"secret": "same"})
    with pytest.raises(ModelValidationError) as caught:
        refused.save()
    assert caught.value.get_error_dict() == {"__all__": ["This cannot be saved."]}


def test_an_update_leaves_other_fields_alone(book: Book) -> None:
    Book.objects.filter(pk=book.pk).update(title="")
    book.refresh_from_db()
    assert saved({"pages": 8}, book).pages == 8


def test_a_related_object_must_be_one_that_may_be_named(book: Book, shelf: Shelf) -> None:
    class Narrow(BookSerializer):
        def related_queryset(self, name: str) -> Any:
            return super().related_queryset(name).filter(name="lower")

    with pytest.raises(ModelValidationError) as caught:
        Narrow(data={"shelf": shelf.pk}, instance=book).save()
    assert caught.value.get_error_dict() == {"shelf": ["There is no such object."]}


def test_many_to_many_becomes_the_list(book: Book) -> None:
    first, second = Keyword.objects.create(word="a"), Keyword.objects.create(word="b")
    book.keywords.add(first)
    assert set(saved({"keywords": [second.pk, second.pk]}, book).keywords.all()) == {second}
    assert not saved({"keywords": []}, book).keywords.exists()


def test_nested_objects_are_made_where_a_serializer_is_declared(shelf: Shelf) -> None:
    made = saved({"title": "New", "shelf": {"name": "made"}, "chapters": [{"name": "one"}, {"name": "two"}]})
    assert made.shelf.name == "made"
    assert [chapter.name for chapter in made.chapters.all()] == ["one", "two"]


def test_an_error_inside_a_nested_object_leaves_nothing_behind(shelf: Shelf) -> None:
    found = errors({"title": "New", "shelf": {"name": "made"}, "chapters": [{"name": ""}]})
    assert found == {"chapters.name": ["This field cannot be blank."]}
    assert not Book.objects.exists()
    assert not Shelf.objects.filter(name="made").exists()


def test_a_child_of_another_parent_cannot_be_taken(book: Book, shelf: Shelf) -> None:
    other = Book.objects.create(title="Other", shelf=shelf)
    theirs = Chapter.objects.create(book=other, name="theirs")
    assert errors({"chapters": [theirs.pk]}, book) == {"chapters": ["There is no such object."]}


def test_a_published_object_with_keys_can_be_sent_back_whole(book: Book) -> None:
    own = Chapter.objects.create(book=book, name="own")
    assert saved({"title": "Atlas", "shelf": book.shelf_id, "chapters": [own.pk], "cover": None}, book).title == "Atlas"


def test_a_chosen_key_never_overwrites_a_row(db: Any) -> None:
    from tests.app.models import Named

    class Chosen(ModelSerializer):
        class Meta:
            model = Named
            publish_fields = ("code",)
            update_fields = ("code", "size")

    Chosen(data={"code": "a", "size": 1}).save()
    with pytest.raises(ModelValidationError):
        Chosen(data={"code": "a", "size": 2}).save()
    row = Named.objects.get()
    with pytest.raises(ModelValidationError):
        Chosen(data={"code": "b"}, instance=row).save()
    assert list(Named.objects.values_list("code", "size")) == [("a", 1)]


def test_data_must_be_an_object() -> None:
    with pytest.raises(ModelValidationError):
        ShelfSerializer(data=["name"])  # type: ignore[arg-type]


def test_a_serializer_without_a_model_checks_values() -> None:
    class Search(Serializer):
        class Meta:
            update_fields = "words"

        def validate_words(self, val: Any) -> None:
            if not val:
                raise ModelValidationError({"words": "Say something."})

    assert Search(data={"words": "x"}, initial={"limit": 5}).save() == {"words": "x", "limit": 5}
    with pytest.raises(Invalid) as caught:
        Search(data={"words": "", "other": 1}).save()
    assert caught.value.data == {"words": ["Say something."], "other": ["This cannot be set."]}


class StumblingSerializer(ModelSerializer):
    class Meta:
        model = Shelf
        publish_fields = "name"
        update_fields = "name"

    def validate_name(self, val: Any) -> None:
        if len(val) > 10 or val.startswith("!"):
            raise ModelValidationError({"name": "Too long."})
        if val == "broken":
            raise TypeError("a fault of the app")


@pytest.mark.parametrize("value", [5, None, True, 1.5, ["a"], {"a": 1}])
def test_a_validator_that_stumbles_over_what_its_field_does_not_take_is_the_clients_fault(value: Any) -> None:
    with pytest.raises(Invalid) as caught:
        StumblingSerializer(data={"name": value}).save()
    assert list(caught.value.data) == ["name"]


def test_a_validator_that_stumbles_over_a_good_value_is_the_apps_fault() -> None:
    with pytest.raises(TypeError):
        StumblingSerializer(data={"name": "broken"}).save()
