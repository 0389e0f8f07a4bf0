"""The promise, for every route of the devices' world: what a client shows that began with a snapshot and followed the
changes is what a fresh snapshot shows, whoever it is and whatever happened in between."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from devices import commands, readings, reports
from devices.models import Attribute, Command, Device, DeviceType, Location, Membership, Status
from devices.sweeper import sweep
from realtime.testing import TestConnection
from tests.devices.base import at, dimmer, location, person

pytestmark = pytest.mark.django_db


def one() -> Device:
    return Device.objects.get(uid="one")


def sql(text: str, *values: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(text, values)


def want(**values: Any) -> None:
    commands.want(one().pk, values, user=None, via="x", now=at(0))


def member(name: str) -> Any:
    return Membership.objects.filter(user__username=name)


STEPS: dict[str, Callable[[], Any]] = {
    "a wish": lambda: want(on=True),
    "a newer wish": lambda: want(on=False, level=3),
    "sent": lambda: commands.sent(one().pk, 99),
    "a report": lambda: reports.report(one().pk, {"on": True, "power": 40.5, "starts": 1}, now=at(1)),
    "the report that was wanted": lambda: reports.report(one().pk, {"on": False, "level": 3}, now=at(2)),
    "a wish by SQL": lambda: sql("UPDATE devices_device SET desired = %s", '{"level": 77}'),
    "the sweeper": lambda: commands.adopt(one().pk, now=at(3)),
    "a refusal": lambda: reports.refuse(one().pk, 99, "refused", "no", now=at(4)),
    "the wish again": lambda: commands.retry(one().pk, user=None, via="x", now=at(5)),
    "much later": sweep,
    "another name": lambda: Device.objects.filter(uid="one").update(name="Renamed"),
    "another name of the place": lambda: Location.objects.filter(name="Greenhouse").update(icon="sprout", name="Glass"),
    "another schema": lambda: DeviceType.objects.update(schema={"on": {"kind": "bool"}}, name="Switch"),
    "away": lambda: Device.objects.filter(uid="one").update(location=location("Workshop")),
    "a report from there": lambda: reports.report(one().pk, {"on": True, "power": 7.0}, now=at(99)),
    "back": lambda: Device.objects.filter(uid="one").update(location=Location.objects.get(name="Glass")),
    "to nowhere": lambda: Device.objects.filter(uid="one").update(location=None),
    "back again": lambda: Device.objects.filter(uid="one").update(location=Location.objects.get(name="Glass")),
    "another role": lambda: member("viewer").update(role="manager"),
    "one more place": lambda: Membership.objects.create(
        user=User.objects.get(username="viewer"), location=location("Workshop"), role="viewer"
    ),
    "no more rights": lambda: member("viewer").delete(),
    "rights again": lambda: Membership.objects.create(
        user=User.objects.get(username="viewer"), location=location("Glass"), role="viewer"
    ),
    "no more staff": lambda: User.objects.filter(username="staff").update(is_staff=False),
    "staff again": lambda: User.objects.filter(username="staff").update(is_staff=True),
    "a new device": lambda: dimmer("Two", uid="two", location=location("Glass")),
    "history goes": lambda: readings.prune(now=at(10**8)),
    "the place goes": lambda: Location.objects.filter(name="Glass").delete(),
    "the device goes": lambda: Device.objects.filter(uid="one").delete(),
}

ROUTES = ("device", "location", "devicetype", "membership", "status", "attribute", "command")
HISTORIES = ("status", "attribute", "command")


def subscribe(client: TestConnection, route: str, device: int) -> None:
    args = {"device": device} if route in HISTORIES else {}
    assert client.subscribe(route, route, args, snapshot=True)["context"]["state"] == "success"


def fresh(user: User, route: str, device: int) -> dict[Any, Any]:
    client = TestConnection(user)
    subscribe(client, route, device)
    return client.collection(route)


@pytest.mark.parametrize("name", ["viewer", "staff", "stranger"])
def test_snapshot_and_changes_are_a_fresh_snapshot(name: str) -> None:
    device = dimmer(uid="one", desired={"on": False, "level": 40})
    person("viewer", "viewer")
    person("staff", is_staff=True)
    user = User.objects.filter(username=name).first() or person(name)
    client = TestConnection(user)
    for route in ROUTES:
        subscribe(client, route, device.pk)
    seen = 0
    for step, happen in STEPS.items():
        happen()
        frames = len(client.sent_data)
        for frame in client.sent_data[seen:]:
            if frame.get("action") == "resync":
                route = frame["channel"].partition("|")[0]
                subscribe(client, route, device.pk)
        seen = frames
        for route in ROUTES:
            assert (step, route, client.collection(route)) == (step, route, fresh(user, route, device.pk))


def test_each_of_these_steps_changes_something() -> None:
    """Or the test above would compare nothing."""
    dimmer(uid="one", desired={"on": False, "level": 40})
    person("viewer", "viewer")
    person("staff", is_staff=True)
    models: list[Any] = [Device, Location, DeviceType, Membership, Status, Attribute, Command, User]
    before: list[Any] = []
    for step, happen in STEPS.items():
        happen()
        now = [list(model.objects.order_by("pk").values()) for model in models]
        assert (step, now != before) == (step, True)
        before = now
