"""The public test helpers: a client without a server, and what writes would publish."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction

import realtime
from realtime.testing import TestConnection, capture_changes
from tests.library.models import Book, Chapter, Keyword, Membership, Shelf
from tests.library.serializers import BookSerializer

pytestmark = pytest.mark.django_db


@pytest.fixture
def shelf() -> Shelf:
    return Shelf.objects.create(name="upper")


@pytest.fixture
def operator(shelf: Shelf) -> User:
    user = User.objects.create(username="operator")
    Membership.objects.create(user=user, shelf=shelf)
    return user


@pytest.fixture
def manager() -> User:
    return User.objects.create(username="manager", is_staff=True)


def published(book: Book) -> dict[str, Any]:
    told = BookSerializer(instance=BookSerializer.get_queryset().get(pk=book.pk)).serialize()
    assert told is not None
    return told


# capture_changes


def test_a_write_is_captured_as_it_would_be_published(shelf: Shelf) -> None:
    with capture_changes() as changes:
        book = Book.objects.create(title="Atlas", shelf=shelf)
    (change,) = changes
    assert (change.action, change.stream, change.id, change.data) == ("created", "book", book.pk, published(book))


def test_whoever_writes_is_captured(shelf: Shelf) -> None:
    one, two = (Book.objects.create(title=title, shelf=shelf) for title in ("one", "two"))
    with capture_changes() as changes:
        Book.objects.filter(pk=one.pk).update(pages=5)
        Book.objects.filter(pk=two.pk).delete()
    assert [(change.action, change.id) for change in changes] == [("updated", one.pk), ("deleted", two.pk)]


def test_what_was_rolled_back_or_changed_nothing_is_not_captured(shelf: Shelf) -> None:
    book = Book.objects.create(title="Atlas", shelf=shelf)
    with capture_changes() as changes:
        Book.objects.filter(pk=book.pk).update(pages=book.pages)
        with transaction.atomic():
            Book.objects.create(title="Ghost", shelf=shelf)
            transaction.set_rollback(True)
    assert changes == []


def test_each_block_captures_its_own(shelf: Shelf) -> None:
    with capture_changes() as first:
        book = Book.objects.create(title="Atlas", shelf=shelf)
    with capture_changes() as second:
        Book.objects.filter(pk=book.pk).update(pages=2)
    assert [[change.action for change in changes] for changes in (first, second)] == [["created"], ["updated"]]
    assert second[0].before == ({**second[0].now, "pages": 1},)  # type: ignore[dict-item]


def test_objects_that_show_what_changed_are_captured(shelf: Shelf) -> None:
    book = Book.objects.create(title="Atlas", shelf=shelf)
    with capture_changes() as changes:
        Shelf.objects.filter(pk=shelf.pk).update(name="renamed")
    assert {change.stream: change.data for change in changes}["book"]["shelf"]["name"] == "renamed"  # type: ignore[index]
    with capture_changes() as changes:
        Chapter.objects.create(book=book, name="one")
        book.keywords.add(Keyword.objects.create(word="maps"))
    told = next(change.data for change in changes if change.stream == "book")
    assert told == published(book)


def test_events_rights_and_resyncs_stand_beside(shelf: Shelf, operator: User) -> None:
    with capture_changes() as changes:
        realtime.publish_data("room-1", {"hello": "world"})
        Membership.objects.all().delete()
        with realtime.suppress(Book):
            Book.objects.create(title="Silent", shelf=shelf)
    assert [event.data for event in changes.events] == [{"hello": "world"}]
    assert [control.users for control in changes.controls] == [(operator.pk,)]
    assert changes.resyncs == ["book"]
    assert changes == []


def test_an_object_that_cannot_be_published_fails_the_test(shelf: Shelf) -> None:
    deep: list[Any] = []
    for _ in range(40):
        deep = [deep]
    with pytest.raises(AssertionError, match=r"library\.book"), capture_changes():
        Book.objects.create(title="Deep", shelf=shelf, extra={"deep": deep})


# TestConnection


def test_a_call_gets_its_reply(operator: User, shelf: Shelf) -> None:
    client = TestConnection(operator)
    reply = client.call_verb("book", "create", title="Atlas", shelf=shelf.pk)
    assert (reply["context"]["state"], reply["data"]) == ("success", published(Book.objects.get()))
    assert client.last_message == reply


def test_a_refusal_is_a_reply_with_its_code(operator: User) -> None:
    reply = TestConnection(operator).call_verb("book", "get_single", id=-1)
    assert (reply["context"]["state"], reply["context"]["error"]["code"]) == ("error", "not_found")
    reply = TestConnection().call_verb("book", "get_list")
    assert (reply["context"]["state"], reply["data"]) == ("login_required", None)
    reply = TestConnection(operator).create("book", {"title": "x" * 50})
    assert set(reply["data"]) == {"title", "shelf"}


def test_what_json_cannot_say_does_not_come_in(operator: User) -> None:
    reply = TestConnection(operator).call_verb("room", "echo", text=float("nan"))
    assert reply["context"]["error"]["code"] == "bad_call"


def test_a_subscriber_gets_what_others_write(operator: User, shelf: Shelf) -> None:
    client = TestConnection(operator)
    client.subscribe("book", "books")
    book = Book.objects.create(title="Atlas", shelf=shelf)
    assert client.last_pub is not None
    assert (client.last_pub["action"], client.last_pub["channel"]) == ("created", f"book|shelf:{shelf.pk}")
    assert client.get_last_published_data() == published(book)
    client.unsubscribe("book", "books")
    before = len(client.published_data)
    Book.objects.filter(pk=book.pk).update(pages=9)
    assert len(client.published_data) == before


def test_what_may_not_be_seen_does_not_come(operator: User) -> None:
    client = TestConnection(operator)
    client.subscribe("book", "books")
    Book.objects.create(title="Elsewhere", shelf=Shelf.objects.create(name="lower"))
    assert client.published_data == []


def test_an_object_that_leaves_the_filter_is_removed_without_its_new_contents(operator: User, shelf: Shelf) -> None:
    book = Book.objects.create(title="Atlas", shelf=shelf)
    client = TestConnection(operator)
    client.subscribe("book", "books", snapshot=True)
    assert client.collection("books") == {book.pk: published(book)}
    Book.objects.filter(pk=book.pk).update(shelf=Shelf.objects.create(name="lower"), title="Secret")
    assert client.last_pub is not None
    assert (client.last_pub["action"], client.last_pub["gone"]) == ("deleted", False)
    assert client.last_pub["data"] == {"id": book.pk, "_type": "book"}
    assert client.collection("books") == {}


def test_snapshot_and_changes_equal_a_new_snapshot(operator: User, shelf: Shelf) -> None:
    client, fresh = TestConnection(operator), TestConnection(operator)
    client.subscribe("book", "books", {"pages__gt": 2}, snapshot=True)
    for number in range(6):
        client.create("book", {"title": f"{number}", "shelf": shelf.pk, "pages": number})
    Book.objects.filter(pages=5).update(pages=1)
    Book.objects.filter(pages=0).update(pages=7, on_loan=True)
    Book.objects.filter(pages=4).delete()
    shelf.name = "renamed"
    shelf.save()
    fresh.subscribe("book", "books", {"pages__gt": 2}, snapshot=True)
    assert client.collection("books") == fresh.collection("books")
    assert {each["pages"] for each in client.collection("books").values()} == {3, 7}
    assert {each["shelf"]["name"] for each in client.collection("books").values()} == {"renamed"}


def test_a_right_that_is_taken_ends_the_subscription(operator: User, shelf: Shelf) -> None:
    client = TestConnection(operator)
    client.subscribe("book", "books", snapshot=True)
    Membership.objects.all().delete()
    assert client.last_pub is not None
    assert client.last_pub["action"] == "resync"
    before = len(client.published_data)
    Book.objects.create(title="Atlas", shelf=shelf)
    assert len(client.published_data) == before
    client.subscribe("book", "books", snapshot=True)
    assert client.collection("books") == {}


def test_a_right_that_was_given_to_the_user_counts_at_once(manager: User, shelf: Shelf) -> None:
    client = TestConnection(manager)
    Book.objects.create(title="Atlas", shelf=shelf)
    assert len(client.call_verb("book", "get_list")["data"]) == 1
    User.objects.filter(pk=manager.pk).update(is_staff=False)
    assert client.call_verb("book", "get_list")["data"] == []


def test_messages_without_a_model_arrive(db: Any) -> None:
    client = TestConnection()
    assert client.subscribe("room", "mine", {"room": "1"})["data"] == "subscribed"
    realtime.publish_data("room-1", {"hello": "world"})
    realtime.publish_data("room-2", "not ours")
    assert [(frame["channel"], frame["data"]) for frame in client.published_data] == [("room-1", {"hello": "world"})]


def test_a_list_of_subscriptions_is_answered_one_by_one(operator: User) -> None:
    client = TestConnection(operator)
    client.call_verb("session", "subscribe", subscriptions=[
        {"route": "book", "channel": "a"}, {"route": "room", "channel": "b", "room": "closed"},
    ])  # fmt: skip
    assert [frame["context"]["state"] for frame in client.sent_data] == ["success", "error"]


def test_a_fault_of_the_app_fails_the_test() -> None:
    with pytest.raises(ZeroDivisionError):
        TestConnection().call_verb("room", "crash")
