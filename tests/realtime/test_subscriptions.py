"""Subscriptions: which channel a caller may join, and the snapshot that goes with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from realtime.answers import Plan
from realtime.errors import BadArgs, BadFilter, LoginRequired, NotAllowed
from realtime.filters import Filter
from realtime.protocol import Call
from realtime.routers import entries, plan
from tests.library.models import Book, Membership, Shelf
from tests.library.serializers import BookSerializer
from tests.realtime.callers import Caller, anonymous, ask, operator, staff

pytestmark = pytest.mark.django_db


@pytest.fixture
def shelf() -> Shelf:
    return Shelf.objects.create(name="upper")


@pytest.fixture
def member(shelf: Shelf) -> Caller:
    caller = operator()
    Membership.objects.create(user=caller.user, shelf=shelf)
    return caller


def planned(caller: Caller, **args: Any) -> Plan:
    found = ask(caller, "book", "subscribe", channel="books", **args).plan
    assert found is not None
    return found


def test_a_subscription_replies_with_object_map_and_channels(member: Caller, shelf: Shelf) -> None:
    answer = ask(member, "book", "subscribe", channel="books")
    assert answer.data == BookSerializer.get_object_map()
    assert answer.channel_data == {
        "local_channel": "books", "remote_channels": [f"book|shelf:{shelf.pk}"], "action": "subscribe",
    }  # fmt: skip
    assert answer.plan is not None
    assert (answer.plan.kind, answer.plan.stream, answer.plan.local) == ("model", "book", "books")


def test_the_callers_rights_are_part_of_the_channel(member: Caller, shelf: Shelf) -> None:
    assert planned(staff()).channels == ("book|",)
    assert planned(member, pages__gt=5).channels == (f"book|pages__gt:5|shelf:{shelf.pk}",)
    other = Shelf.objects.create(name="other")
    Membership.objects.create(user=member.user, shelf=other)
    assert planned(member).channels == (f"book|shelf:{shelf.pk}||shelf:{other.pk}",)


def test_nobody_widens_what_they_may_see(member: Caller, shelf: Shelf) -> None:
    other = Shelf.objects.create(name="other")
    Book.objects.create(title="Elsewhere", shelf=other)
    found = planned(member, shelf=other.pk)
    assert found.filter is not None and found.snapshot is not None
    assert not found.filter.passes({"shelf": other.pk, "pages": 1})
    assert found.snapshot().objects == []


def test_without_any_right_there_is_nothing_and_no_error() -> None:
    found = planned(operator())
    assert found.filter == Filter.nothing()
    assert found.channels == ("book|none",)


@pytest.mark.parametrize("args", [{"secret": "x"}, {"shelf__name": "x"}, {"pages": "x"}, {"channels": 1}])
def test_a_filter_that_is_not_allowed_joins_nothing(args: dict[str, Any], member: Caller) -> None:
    with pytest.raises(BadFilter):
        planned(member, **args)


@pytest.mark.parametrize("channel", [None, "", 5, ["x"], "x" * 201])
def test_the_clients_own_name_is_a_short_text(channel: Any, member: Caller) -> None:
    with pytest.raises(BadArgs):
        ask(member, "book", "subscribe", channel=channel)


def test_a_subscription_is_judged_anew_by_todays_rights(member: Caller) -> None:
    call = Call("subscribe", "book", {"channel": "books", "_snapshot": True, "_since": {}}, "c1")
    before = plan(member, call)
    assert before.channels == planned(member).channels
    Membership.objects.all().delete()
    assert plan(member, call).channels != before.channels
    with pytest.raises(LoginRequired):
        plan(anonymous(), call)


def test_leaving_needs_no_right() -> None:
    answer = ask(anonymous(), "book", "unsubscribe", channel="books")
    assert (answer.data, answer.drop, answer.plan) == ("unsubscribed", "books", None)


def test_data_channels_are_the_routers_choice() -> None:
    answer = ask(anonymous(), "room", "subscribe", channel="mine", room="r1")
    assert answer.data == "subscribed"
    assert answer.plan is not None
    assert (answer.plan.kind, answer.plan.stream, answer.plan.channels) == ("data", "!data", ("room-r1",))
    with pytest.raises(NotAllowed):
        ask(anonymous(), "room", "subscribe", channel="mine", room="closed")


# Snapshots


def test_a_snapshot_is_what_passes_with_the_journals_revisions(member: Caller, shelf: Shelf) -> None:
    book = Book.objects.create(title="Atlas", shelf=shelf)
    gone = Book.objects.create(title="Gone", shelf=shelf)
    gone_key = str(gone.pk)
    gone.delete()
    read = planned(member).snapshot
    assert read is not None
    shot = read()
    assert [(key, json.loads(raw.text)) for key, raw in shot.objects] == [
        (str(book.pk), json.loads(json.dumps(BookSerializer(instance=book).serialize())))
    ]
    assert set(shot.revisions) == {str(book.pk), gone_key}
    assert all(dirty for _, dirty in shot.revisions.values())


def test_a_snapshot_of_a_filter_holds_what_the_filter_lets_pass(shelf: Shelf) -> None:
    for pages in (1, 5, 9):
        Book.objects.create(title=f"{pages}", shelf=shelf, pages=pages)
    read = planned(staff(), pages__gt=4).snapshot
    assert read is not None
    assert [json.loads(raw.text)["pages"] for _, raw in read().objects] == [5, 9]


def test_an_object_too_large_to_be_told_does_not_hide_the_others(shelf: Shelf, settings: Any, expect_log: Any) -> None:
    expect_log("realtime.subscriptions", "library.book .* is left out")
    good, large, also = (Book.objects.create(title=title, shelf=shelf) for title in ("A", "b" * 15, "Z"))
    read = planned(staff()).snapshot
    assert read is not None
    assert len(read().objects) == 3
    texts = {key: len(raw.text) for key, raw in read().objects}
    settings.REALTIME_OUTBOX_BYTES = 4 * (texts[str(large.pk)] - 1)
    assert [key for key, _ in read().objects] == [str(good.pk), str(also.pk)]


@pytest.mark.django_db(transaction=True)
def test_a_snapshot_is_one_view_that_keeps_no_writer_waiting(shelf: Shelf) -> None:
    Book.objects.create(title="Atlas", shelf=shelf)
    read = planned(staff()).snapshot
    assert read is not None
    with CaptureQueriesContext(connection) as captured:
        read()
    begun = [q["sql"] for q in captured if q["sql"].startswith("BEGIN")]
    assert len(begun) <= 1
    assert not [sql for sql in begun if "IMMEDIATE" in sql]


# Lists of subscriptions


def test_a_list_of_subscriptions_is_so_many_calls() -> None:
    call = Call(
        "subscribe", "book",
        {"subscriptions": [
            {"channel": "a"}, {"channel": "b", "secret": 1}, {"route": "room", "channel": "c", "room": "r"},
            {"route": "nowhere", "channel": "d"},
        ]},
        "c9",
    )  # fmt: skip
    assert [(entry.route, entry.args, entry.callbackname) for entry in entries(call)] == [
        ("book", {"channel": "a"}, "c9"),
        ("book", {"channel": "b", "secret": 1}, "c9"),
        ("room", {"channel": "c", "room": "r"}, "c9"),
        ("nowhere", {"channel": "d"}, "c9"),
    ]


@pytest.mark.parametrize(
    "args",
    [
        {"subscriptions": {}}, {"subscriptions": [1]}, {"subscriptions": [{"route": 5}]}, {"subscriptions": None},
        {"subscriptions": [], "channel": "x"}, {"subscriptions": [{"subscriptions": []}]},
    ],
)  # fmt: skip
def test_a_malformed_list_is_one_error(args: dict[str, Any]) -> None:
    with pytest.raises(BadArgs):
        entries(Call("subscribe", "book", args, "c9"))
