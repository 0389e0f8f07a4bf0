"""A small greenhouse to test in, and a clock that goes only when told to."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from django.contrib.auth.models import AnonymousUser, User

from devices.models import Device, DeviceType, Location, Membership
from realtime.protocol import Call
from realtime.routers import run

# Long ago, so that the sweeper's own clock is always later.
NOON = datetime.datetime(2020, 5, 1, 12, tzinfo=datetime.UTC)

DIMMER = {
    "on": {"kind": "bool", "writable": True, "main": True},
    "level": {"kind": "number", "min": 0, "max": 100, "step": 1, "unit": "%", "writable": True},
    "mode": {"kind": "enum", "options": ["day", "night"], "writable": True},
    "label": {"kind": "text", "writable": True},
    "power": {"kind": "number", "unit": "W", "record": 30},
    "starts": {"kind": "number", "record": 0},
}


def at(seconds: float) -> datetime.datetime:
    return NOON + datetime.timedelta(seconds=seconds)


def dimmer_type() -> DeviceType:
    found, _ = DeviceType.objects.get_or_create(
        slug="dimmer", defaults={"name": "Dimmer", "icon": "lightbulb", "schema": DIMMER, "expected_every": 10}
    )
    return found


def location(name: str = "Greenhouse") -> Location:
    return Location.objects.get_or_create(name=name)[0]


def dimmer(name: str = "Grow light", **values: Any) -> Device:
    values = {"location": location(), "reported": {"on": False, "level": 40}, "is_on": False, **values}
    values.setdefault("desired", {})
    values.setdefault("commanded", values["desired"])
    return Device.objects.create(name=name, type=dimmer_type(), **values)


def person(name: str, role: str | None = None, place: Location | None = None, **values: Any) -> User:
    user = User.objects.create_user(name, **values)
    if role is not None:
        Membership.objects.create(user=user, location=place or location(), role=role)
    return user


@dataclass
class Caller:
    user: Any
    identity: Any
    connection_id: str = "c1"


def caller(user: Any = None, kind: str = "session") -> Caller:
    """The user as a server has it for one call: read anew."""
    read = AnonymousUser() if user is None else type(user).objects.get(pk=user.pk)
    return Caller(read, SimpleNamespace(kind=kind, subject=None))


def call(user: Any, verb: str, route: str, **args: Any) -> Any:
    """The data of the answer to a call of this user; errors are raised."""
    return run(caller(user), Call(verb, route, args, "cb")).data
