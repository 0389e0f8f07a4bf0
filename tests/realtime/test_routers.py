"""Routers: verbs, arguments, and that a caller reads and changes only what the contexts let them see."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.http import Http404
from django.test.utils import CaptureQueriesContext

from realtime import registry
from realtime.errors import (
    BadArgs,
    BadFilter,
    Conflict,
    Invalid,
    NotAllowed,
    NotFound,
    RealtimeError,
    UnknownRoute,
    UnknownVerb,
)
from realtime.routers import ModelRouter, Router
from tests.library.models import Book, Chapter, Loan, Membership, Shelf
from tests.library.serializers import BookSerializer
from tests.realtime.callers import Caller, anonymous, ask, operator, staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def shelf() -> Shelf:
    return Shelf.objects.create(name="upper")


@pytest.fixture
def lower() -> Shelf:
    return Shelf.objects.create(name="lower")


@pytest.fixture
def book(shelf: Shelf) -> Book:
    return Book.objects.create(title="Atlas", shelf=shelf, pages=3)


@pytest.fixture
def member(shelf: Shelf) -> Caller:
    caller = operator()
    Membership.objects.create(user=caller.user, shelf=shelf)
    return caller


@pytest.fixture
def route() -> Iterator[Callable[[type[Router]], type[Router]]]:
    """Registers a router for one test."""
    before = dict(registry.routes)
    yield registry.register
    registry.routes.clear()
    registry.routes.update(before)


# Routes, verbs and arguments


def test_a_verb_answers_once() -> None:
    answer = ask(anonymous(), "room", "ping")
    assert (answer.data, answer.state) == ("pong", "success")


def test_what_a_verb_returns_is_its_reply() -> None:
    assert ask(anonymous(), "room", "echo", text="hi", more=[1]).data == {"text": "hi", "loud": False, "more": [1]}


def test_an_error_that_the_router_chose_is_an_answer() -> None:
    answer = ask(anonymous(), "room", "fail")
    assert (answer.data, answer.state) == ({"fail": ["as asked"]}, "error")


def test_an_unknown_route_says_so() -> None:
    with pytest.raises(UnknownRoute):
        ask(anonymous(), "nowhere", "ping")


@pytest.mark.parametrize(
    "verb", ["nothing", "__init__", "send", "answer", "get_list", "_permitted", "user", "route_name"]
)
def test_only_verbs_can_be_called(verb: str) -> None:
    with pytest.raises(UnknownVerb):
        ask(anonymous(), "room", verb)


def test_an_excluded_verb_is_excluded(shelf: Shelf) -> None:
    with pytest.raises(UnknownVerb):
        ask(anonymous(), "shelf", "delete", id=shelf.pk)
    assert Shelf.objects.filter(pk=shelf.pk).exists()


@pytest.mark.parametrize(
    ("verb", "args"),
    [
        ("ping", {"x": 1}), ("echo", {}), ("echo", {"text": 1, "self": 2}), ("echo", {"text": 1, "_own": 2}),
        ("subscribe", {}), ("subscribe", {"channel": "x"}), ("subscribe", {"channel": 5, "room": 1}),
        ("subscribe", {"channel": "", "room": 1}), ("unsubscribe", {}), ("unsubscribe", {"channel": ["x"]}),
    ],
)  # fmt: skip
def test_wrong_arguments_are_told_and_never_a_crash(verb: str, args: dict[str, Any]) -> None:
    with pytest.raises(BadArgs):
        ask(anonymous(), "room", verb, **args)


@pytest.mark.parametrize(
    "name", ["verb", "obj", "obj_id", "router", "kwargs", "data", "channel_setup", "method", "given"]
)
def test_arguments_named_like_the_servers_own_do_no_harm(name: str, member: Caller, book: Book) -> None:
    for verb in ("create", "update", "delete", "get_single"):
        try:
            ask(member, "book", verb, **{name: 1, "id": book.pk})
        except RealtimeError:
            continue


def test_djangos_own_refusals_mean_the_same(route: Any) -> None:
    @route
    class Refusing(Router):
        route_name = "refusing"
        permission_classes = ()
        valid_verbs = ("forbid", "miss")

        def forbid(self) -> None:
            raise PermissionDenied

        def miss(self) -> None:
            raise Http404

    with pytest.raises(NotAllowed):
        ask(anonymous(), "refusing", "forbid")
    with pytest.raises(NotFound):
        ask(anonymous(), "refusing", "miss")


def test_replying_twice_is_the_apps_mistake(route: Any) -> None:
    @route
    class Twice(Router):
        route_name = "twice"
        permission_classes = ()
        valid_verbs = ("talk",)

        def talk(self) -> None:
            self.send(1)
            self.send(2)

    with pytest.raises(RuntimeError, match="replied"):
        ask(anonymous(), "twice", "talk")


NASTY: list[Any] = [
    None, True, False, 0, -1, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1, 10**19, 1.5, -0.0, 1e308, "", " ", "x",
    "1", "true", "null", "\x00", "\ud800", "😀", "x" * 5000, "%s%n", "'; --", "../..", "9999-12-31T23:59:59Z", [], [[]],
    [None], [1, "x"], list(range(200)), {}, {"id": 1}, {"$gt": ""}, {"__proto__": {}}, {"name": {"name": {}}}, [{}] * 3,
]  # fmt: skip


@pytest.mark.parametrize("nasty", NASTY, ids=repr)
def test_no_value_anywhere_is_more_than_a_refusal(nasty: Any, book: Book) -> None:
    calls: list[tuple[str, str, dict[str, Any]]] = [("shelf", "get_list", {"_page": nasty})]
    for name in (*BookSerializer.opts.update_fields, "secret"):
        calls.append(("book", "update", {"id": book.pk, name: nasty}))
    for name in ("shelf", "keywords", "chapters"):
        calls.append(("book", "create", {"title": "New", "shelf": book.shelf_id, name: nasty}))
    for name in ("shelf", "shelf__in", "pages__gt", "on_loan", "title__contains", "secret"):
        calls.append(("book", "subscribe", {"channel": "x", name: nasty}))
    for route in ("book", "shelf"):
        calls += [(route, "get_single", {"id": nasty}), (route, "subscribe", {"channel": nasty})]
    for route, verb, args in calls:
        try:
            answer = ask(staff(), route, verb, **args)
            json.dumps(answer.data, allow_nan=False).encode()
        except RealtimeError as error:
            json.dumps(error.data, allow_nan=False).encode()


# Lists and single objects


def test_a_list_holds_what_the_caller_may_see(member: Caller, book: Book, lower: Shelf) -> None:
    Book.objects.create(title="Elsewhere", shelf=lower)
    assert [told["title"] for told in ask(member, "book", "get_list").data] == ["Atlas"]
    assert len(ask(staff(), "book", "get_list").data) == 2


def test_no_context_at_all_means_nothing(book: Book) -> None:
    assert ask(operator(), "book", "get_list").data == []


def test_a_list_takes_the_filters_of_a_subscription(member: Caller, book: Book) -> None:
    assert ask(member, "book", "get_list", pages__gt=3).data == []
    assert len(ask(member, "book", "get_list", pages__gt=2, title__contains="tla").data) == 1


@pytest.mark.parametrize(
    "name",
    ["secret", "secret__startswith", "shelf__name", "title__regex", "pk", "id", "pages__in", "_connector", "title"],
)
def test_a_filter_that_is_not_allowed_is_refused(name: str, member: Caller, book: Book) -> None:
    with pytest.raises((BadFilter, BadArgs)) as caught:
        ask(member, "book", "get_list", **{name: "x"})
    assert "title" not in str(caught.value).replace(name, "")


def test_one_object_is_told_by_its_id(member: Caller, book: Book) -> None:
    assert ask(member, "book", "get_single", id=book.pk).data["title"] == "Atlas"


def test_what_may_not_be_seen_does_not_exist(member: Caller, lower: Shelf) -> None:
    hidden = Book.objects.create(title="Elsewhere", shelf=lower)
    told: list[str] = []
    for pk in (hidden.pk, hidden.pk + 1000):
        for verb in ("get_single", "update", "delete"):
            with pytest.raises(NotFound) as caught:
                ask(member, "book", verb, id=pk)
            told.append(str(caught.value))
    assert len(set(told)) == 1
    assert Book.objects.filter(pk=hidden.pk).exists()


@pytest.mark.parametrize("value", [None, "x", [1], {"pk": 1}, True, 1.5, 2**63, -(2**63) - 1, 10**30, "\x00", ""])
@pytest.mark.parametrize("route", ["book", "shelf"])
def test_an_id_that_is_none_is_an_error(value: Any, route: str, member: Caller) -> None:
    with pytest.raises((BadArgs, NotFound)):
        ask(member, route, "get_single", id=value)


def test_a_missing_id_is_an_error_in_ported_routers_too(member: Caller) -> None:
    for route in ("book", "shelf"):
        with pytest.raises(BadArgs, match="id"):
            ask(member, route, "get_single")


def test_pages_are_counted_in_pages() -> None:
    for number in range(5):
        Shelf.objects.create(name=f"{number}")
    answer = ask(anonymous(), "shelf", "get_list", _page=2)
    assert [told["name"] for told in answer.data] == ["2", "3"]
    assert answer.page == {"page": 2, "page_count": 3, "has_next": True, "has_previous": True}
    assert answer.client_context == {"asked": "get_list"}


@pytest.mark.parametrize("page", [0, -1, 4, 10**30, "2", 1.0, True, None, [1]])
def test_a_page_that_does_not_exist_is_an_error(page: Any, shelf: Shelf) -> None:
    with pytest.raises(BadArgs):
        ask(anonymous(), "shelf", "get_list", _page=page)


# Writing


def test_create_replies_with_the_stored_object(member: Caller, shelf: Shelf) -> None:
    answer = ask(member, "book", "create", title="New", shelf=shelf.pk, price="1.5")
    row = Book.objects.get()
    assert answer.data == BookSerializer(instance=row).serialize()
    assert answer.data["price"] == "1.50"


def test_initial_values_are_the_servers() -> None:
    ask(anonymous(), "shelf", "create", name="new")
    assert Shelf.objects.get().room == "hall"
    with pytest.raises(Invalid) as caught:
        ask(anonymous(), "shelf", "create", name="other", room="mine")
    assert caught.value.data == {"room": ["This cannot be set."]}


def test_update_replies_with_what_changed(member: Caller, book: Book) -> None:
    answer = ask(member, "book", "update", id=book.pk, pages=4, title="Atlas")
    assert answer.data == {"id": book.pk, "_type": "book", "pages": 4, "label": "Atlas (4)"}


def test_an_update_that_changes_nothing_replies_with_all(member: Caller, book: Book) -> None:
    assert ask(member, "book", "update", id=book.pk, pages=3).data["title"] == "Atlas"


def test_what_is_not_valid_leaves_nothing_behind(member: Caller, book: Book) -> None:
    with pytest.raises(Invalid) as caught:
        ask(member, "book", "update", id=book.pk, pages=9, title="forbidden", secret="x")
    assert set(caught.value.data) == {"title", "secret"}
    book.refresh_from_db()
    assert book.pages == 3


def test_nobody_writes_into_what_they_may_not_see(member: Caller, book: Book, lower: Shelf) -> None:
    for verb, args in (("create", {"title": "New", "pages": "x"}), ("update", {"id": book.pk}), ("create", {})):
        told = []
        for shelf in (lower.pk, lower.pk + 1000):
            with pytest.raises(Invalid) as caught:
                ask(member, "book", verb, **args, shelf=shelf)
            told.append(caught.value.data)
        assert told[0] == told[1] == {"shelf": ["There is no such object."]}
    book.refresh_from_db()
    assert (book.shelf.name, Book.objects.count()) == ("upper", 1)


def test_nobody_moves_an_object_out_of_their_own_sight(member: Caller, book: Book, route: Any) -> None:
    @route
    class Thin(ModelRouter):
        route_name = "thin"
        serializer_class = BookSerializer
        scope_fields = ("pages",)

        def get_subscription_contexts(self, **kwargs: Any) -> Any:
            return {"pages__lt": 10}

    for verb, args in (("update", {"id": book.pk}), ("create", {"title": "Thick", "shelf": book.shelf_id})):
        with pytest.raises(NotAllowed):
            ask(member, "thin", verb, **args, pages=10)
    assert list(Book.objects.values_list("pages", flat=True)) == [3]


def test_who_may_see_nothing_creates_nothing(shelf: Shelf) -> None:
    for pk in (shelf.pk, -1):
        with pytest.raises(NotAllowed):
            ask(operator(), "book", "create", title="New", shelf=pk)


def test_a_router_for_a_model_takes_the_models_serializer(route: Any, book: Book) -> None:
    @route
    class Short(ModelRouter):
        route_name = "short"
        model = Book

    assert ask(operator(), "short", "get_single", id=book.pk).data["title"] == "Atlas"


def test_delete_replies_with_the_object_as_it_was(member: Caller, book: Book) -> None:
    Chapter.objects.create(book=book, name="one")
    answer = ask(member, "book", "delete", id=book.pk)
    assert (answer.data["id"], answer.data["chapters"][0]["name"]) == (book.pk, "one")
    assert not Book.objects.exists()


def test_what_others_need_is_not_deleted_and_nobody_is_told_so(member: Caller, book: Book, route: Any) -> None:
    told: list[Any] = []

    @route
    class Telling(ModelRouter):
        route_name = "telling"
        serializer_class = BookSerializer
        exclude_verbs = ("subscribe",)

        def deleted(self, obj: Any, obj_id: Any, **kwargs: Any) -> None:
            told.append((obj_id, obj.pk, Book.objects.filter(pk=obj_id).exists()))
            super().deleted(obj, obj_id, **kwargs)

    loan = Loan.objects.create(book=book)
    with pytest.raises(Conflict):
        ask(member, "telling", "delete", id=book.pk)
    assert told == []
    loan.delete()
    pk = book.pk
    ask(member, "telling", "delete", id=pk)
    assert told == [(pk, pk, False)]


def test_hooks_are_called_as_in_swampdragon(member: Caller, shelf: Shelf, route: Any) -> None:
    seen: list[Any] = []

    @route
    class Hooked(ModelRouter):
        route_name = "hooked"
        serializer_class = BookSerializer
        exclude_verbs = ("subscribe",)

        def created(self, obj: Any, **kwargs: Any) -> None:
            seen.append(("created", obj.title, kwargs["pages"]))
            self.send({"done": obj.pk})

        def updated(self, obj: Any, **kwargs: Any) -> None:
            seen.append(("updated", kwargs["updated_fields"], kwargs["past_state"]["pages"]))
            super().updated(obj, **kwargs)

        def on_error(self, errors: Any) -> None:
            self.send_error({"mine": errors})

    made = ask(member, "hooked", "create", title="New", shelf=shelf.pk, pages=2)
    assert set(made.data) == {"done"}
    ask(member, "hooked", "update", id=made.data["done"], pages=5)
    assert seen == [("created", "New", 2), ("updated", ["pages", "label"], 2)]
    refused = ask(member, "hooked", "update", id=made.data["done"], pages="x")
    assert (refused.state, list(refused.data["mine"])) == ("error", ["pages"])


def test_a_hook_that_refuses_undoes_the_write(member: Caller, shelf: Shelf, route: Any) -> None:
    @route
    class Strict(ModelRouter):
        route_name = "strict"
        serializer_class = BookSerializer
        exclude_verbs = ("subscribe",)

        def created(self, obj: Any, **kwargs: Any) -> None:
            raise NotAllowed

    with pytest.raises(NotAllowed):
        ask(member, "strict", "create", title="New", shelf=shelf.pk)
    assert not Book.objects.exists()


def test_a_write_that_lost_a_race_is_a_conflict(member: Caller, shelf: Shelf, route: Any) -> None:
    @route
    class Late(ModelRouter):
        route_name = "late"
        serializer_class = BookSerializer
        exclude_verbs = ("subscribe",)

        def created(self, obj: Any, **kwargs: Any) -> None:
            Book.objects.create(title=obj.title, shelf=obj.shelf)

    with pytest.raises(Conflict):
        ask(member, "late", "create", title="New", shelf=shelf.pk)
    assert not Book.objects.exists()


def test_reading_opens_no_transaction(member: Caller, book: Book) -> None:
    with CaptureQueriesContext(connection) as captured:
        ask(member, "book", "get_list")
        ask(member, "book", "get_single", id=book.pk)
    assert not [q["sql"] for q in captured if q["sql"].split()[0] in ("BEGIN", "SAVEPOINT")]


@pytest.mark.django_db(transaction=True)
def test_updates_of_different_fields_at_once_both_stay() -> None:
    user = User.objects.create(username="operator")
    shelf = Shelf.objects.create(name="upper")
    Membership.objects.create(user=user, shelf=shelf)
    book = Book.objects.create(title="Atlas", shelf=shelf)
    together = threading.Barrier(2, timeout=20)
    failed: list[BaseException] = []

    def change(**values: Any) -> None:
        try:
            together.wait()
            for _ in range(10):
                ask(Caller(user), "book", "update", id=book.pk, **values)
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=change, kwargs=values) for values in ({"pages": 7}, {"on_loan": True})]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    book.refresh_from_db()
    assert (failed, book.pages, book.on_loan) == ([], 7, True)
