"""The promise, route by route: snapshot, act, apply what was sent, compare with a fresh snapshot.

Every verb of every route that changes something stands in `ACTIONS`; a route or verb without a row fails. Several
people watch each action through subscriptions of their own, so that what enters or leaves a filter is compared too.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from devices import commands, reports
from devices.models import Device, Location, Membership
from realtime import registry
from realtime.routers import ModelRouter
from realtime.testing import TestConnection
from tests.app.models import Named, Place, Shy, Thing, Unique
from tests.devices import base
from tests.library.models import Book, Chapter, Keyword, Shelf
from tests.library.models import Membership as Shelving
from tests.promise.screens import Objects, resyncs, screen

pytestmark = pytest.mark.django_db(transaction=True)

READING = {"get_list", "get_single", "subscribe", "unsubscribe"}


@dataclass
class World:
    """Rows of every app, and three people: staff sees all, an operator one location and one shelf, a viewer nothing."""

    staff: User
    operator: User
    viewer: User
    device: Device
    other: Device
    book: Book
    shelf: Shelf
    thing: Thing


@pytest.fixture
def world() -> World:
    here, there = base.location("Greenhouse"), base.location("Workshop")
    base.location("Empty")
    shelf = Shelf.objects.create(name="upper")
    Shelf.objects.create(name="lower")
    book = Book.objects.create(title="Atlas", shelf=shelf, pages=100)
    Chapter.objects.create(book=book, name="one")
    operator = base.person("operator", "operator", here)
    Shelving.objects.create(user=operator, shelf=shelf)
    place = Place.objects.create(name="here")
    Named.objects.create(code="a", size=1)
    Unique.objects.create(size=1)
    Shy.objects.create(hidden=False)
    return World(
        staff=base.person("staff", is_staff=True, is_superuser=True),
        operator=operator,
        viewer=base.person("viewer"),
        device=base.dimmer("Grow light"),
        other=base.dimmer("Bench light", location=there),
        book=book,
        shelf=shelf,
        thing=Thing.objects.create(name="thing", place=place, size=1),
    )


Act = Callable[[World], Any]


def call(route: str, verb: str, make: Callable[[World], dict[str, Any]], who: str = "staff") -> Act:
    """The verb as a client calls it; a refusal is the test's mistake."""

    def act(world: World) -> None:
        reply = TestConnection(getattr(world, who)).call_verb(route, verb, **make(world))
        assert reply["context"]["state"] == "success", reply

    return act


def reported(world: World) -> None:
    commands.want(world.device.pk, {"on": True}, user=world.operator, via="test")
    reports.report(world.device.pk, {"on": True, "level": 41}, source="device")


# route, verb → what to do. Model routes name every verb that writes; verbs that only read say so by None.
ACTIONS: dict[tuple[str, str], Act | None] = {
    ("location", "create"): call("location", "create", lambda w: {"name": "Cellar"}),
    ("location", "update"): call("location", "update", lambda w: {"id": w.device.location_id, "name": "Glasshouse"}),
    ("location", "delete"): call("location", "delete", lambda w: {"id": Location.objects.get(name="Empty").pk}),
    ("location", "roles"): None,
    ("device", "create"): call(
        "device", "create", lambda w: {"name": "New", "type": "dimmer", "location": w.device.location_id}
    ),
    ("device", "update"): call("device", "update", lambda w: {"id": w.device.pk, "desired": {"on": True}}, "operator"),
    ("device", "delete"): call("device", "delete", lambda w: {"id": w.device.pk}),
    ("device", "report"): call("device", "report", lambda w: {"id": w.device.pk, "values": {"on": True, "level": 7}}),
    ("device", "retry"): None,  # below, with a wish that failed
    ("book", "create"): call("book", "create", lambda w: {"title": "New", "shelf": w.shelf.pk}, "operator"),
    ("book", "update"): call("book", "update", lambda w: {"id": w.book.pk, "pages": 5, "on_loan": True}, "operator"),
    ("book", "delete"): call("book", "delete", lambda w: {"id": w.book.pk}, "operator"),
    ("book", "lend"): None,
    ("shelf", "create"): call("shelf", "create", lambda w: {"name": "third"}),
    ("shelf", "update"): call("shelf", "update", lambda w: {"id": w.shelf.pk, "name": "renamed"}),
    ("chapter", "create"): call(
        "book", "update", lambda w: {"id": w.book.pk, "chapters": [{"name": "two"}]}
    ),  # a chapter is made through its book
    ("chapter", "update"): call(
        "chapter", "update", lambda w: {"id": Chapter.objects.values_list("pk", flat=True)[0], "name": "renamed"}
    ),
    ("chapter", "delete"): call("chapter", "delete", lambda w: {"id": Chapter.objects.values_list("pk", flat=True)[0]}),
}

# Writes that no verb makes.
WRITES: dict[str, Act] = {
    "queryset.update": lambda w: Book.objects.update(pages=7),
    "bulk_create": lambda w: Book.objects.bulk_create(Book(title=f"b{n}", shelf=w.shelf) for n in range(3)),
    "raw SQL": lambda w: connection.cursor().execute("UPDATE library_book SET on_loan = NOT on_loan"),
    "cascade": lambda w: w.shelf.delete(),
    "moved out of a scope": lambda w: Book.objects.update(shelf=Shelf.objects.get(name="lower")),
    "m2m": lambda w: w.book.keywords.add(Keyword.objects.create(word="maps")),
    "what is shown changed": lambda w: Shelf.objects.filter(pk=w.shelf.pk).update(name="renamed"),
    "key changed": lambda w: Named.objects.filter(code="a").update(code="b"),
    "a device reports": reported,
    "a wish fails and is retried": lambda w: failed_and_retried(w),
    "a device moves": lambda w: Device.objects.filter(pk=w.device.pk).update(location=w.other.location),
    "rights lost": lambda w: Membership.objects.filter(user=w.operator).delete(),
    "rights won": lambda w: Membership.objects.create(user=w.viewer, location=w.device.location, role="viewer"),
    "delete and create again": lambda w: again(w),
}


def failed_and_retried(world: World) -> None:
    command = commands.want(world.device.pk, {"on": True}, user=world.operator, via="test")
    commands.fail(command.pk, "refused", "The valve is stuck.")
    reply = TestConnection(world.operator).call_verb("device", "retry", id=world.device.pk)
    assert reply["context"]["state"] == "success", reply


def again(world: World) -> None:
    pk = world.thing.pk
    Thing.objects.all().delete()
    Thing.objects.create(pk=pk, name="again", place=Place.objects.get(), size=3, on=True)


WATCHED = {
    "device": ("device", {}),
    "devices here": ("device", {"location": "here"}),
    "devices on": ("device", {"is_on": True}),
    "locations": ("location", {}),
    "memberships": ("membership", {}),
    "commands": ("command", {"device": "device"}),
    "statuses": ("status", {"device": "device"}),
    "books": ("book", {}),
    "thick books": ("book", {"pages__gt": 50}),
    "books on loan": ("book", {"on_loan": True}),
    "shelves": ("shelf", {}),
    "chapters": ("chapter", {}),
    "things": ("thing", {}),
    "small things": ("thing", {"size__lt": 2}),
    "named": ("named", {}),
}


def subscribe(client: TestConnection, world: World, local: str) -> None:
    route, args = WATCHED[local]
    wanted = {"here": world.device.location_id, "device": world.device.pk}
    client.subscribe(route, local, {k: wanted.get(v, v) for k, v in args.items()}, snapshot=True)  # type: ignore[call-overload]


def watching(user: User, world: World) -> TestConnection:
    client = TestConnection(user)
    for local in WATCHED:
        subscribe(client, world, local)
    return client


def screens(frames: list[dict[str, Any]]) -> dict[str, Objects]:
    return {local: screen(frames, local) for local in WATCHED}


def verify(world: World, act: Act) -> None:
    """Act while three people watch; their screens must change and equal a fresh look."""
    watchers = {user: watching(user, world) for user in (world.staff, world.operator, world.viewer)}
    before = {user: screens(client.sent_data) for user, client in watchers.items()}
    act(world)
    for user, client in watchers.items():
        for local in WATCHED:
            if resyncs(client.sent_data, local):
                subscribe(client, world, local)
        fresh = screens(watching(user, world).sent_data)
        assert screens(client.sent_data) == fresh
    assert any(screens(client.sent_data) != before[user] for user, client in watchers.items()), "nothing happened"


@pytest.mark.parametrize("route, verb", [key for key, act in ACTIONS.items() if act])
def test_every_verb_leaves_every_screen_equal_to_the_database(world: World, route: str, verb: str) -> None:
    act = ACTIONS[route, verb]
    assert act is not None
    verify(world, act)


@pytest.mark.parametrize("write", WRITES)
def test_every_other_write_leaves_every_screen_equal_to_the_database(world: World, write: str) -> None:
    verify(world, WRITES[write])


def test_no_verb_is_forgotten() -> None:
    offered = {
        (name, verb)
        for name, router in registry.routes.items()
        if issubclass(router, ModelRouter)
        for verb in router.verbs() - READING
    }
    # These apps' routes are there for fields and keys; their writes stand in WRITES and in the journal's own tests.
    plain = {(name, verb) for name, verb in offered if name in {"place", "thing", "named", "unique", "shy", "kinds"}}
    assert offered - plain == set(ACTIONS)


# -- the test must be able to fail ---------------------------------------------------------------------------------


def skip_a_change(frames: list[dict[str, Any]]) -> None:
    del frames[max(n for n, frame in enumerate(frames) if frame["type"] == "change")]


def swap_two_changes(frames: list[dict[str, Any]]) -> None:
    changes = [n for n, frame in enumerate(frames) if frame["type"] == "change" and frame["channel"] == "book|"]
    first, last = changes[0], changes[-1]
    frames[first], frames[last] = frames[last], frames[first]


def make_a_payload_stale(frames: list[dict[str, Any]]) -> None:
    changes = [frame for frame in frames if frame["type"] == "change" and frame["channel"] == "book|"]
    changes[-1]["data"] = changes[0]["data"]


def add_an_extra_row(frames: list[dict[str, Any]]) -> None:
    change = next(frame for frame in frames if frame["type"] == "change")
    frames.append({**change, "action": "created", "data": {**change["data"], "id": -1}})


@pytest.mark.parametrize("plant", [skip_a_change, swap_two_changes, make_a_payload_stale, add_an_extra_row])
def test_a_planted_fault_is_seen(world: World, plant: Callable[[list[dict[str, Any]]], None]) -> None:
    client = watching(world.staff, world)
    for pages in (5, 6):
        Book.objects.update(pages=pages)
        client.deliver()
    Thing.objects.update(size=9)
    fresh = screens(watching(world.staff, world).sent_data)
    frames = copy.deepcopy(client.sent_data)
    assert screens(frames) == fresh
    plant(frames)
    assert screens(frames) != fresh
