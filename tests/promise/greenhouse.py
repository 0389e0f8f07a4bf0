"""Who is there and what they may see; and what each of their screens must show, computed from the rows alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import User

from devices.models import Device, Location, Membership, Status
from devices.serializers import DeviceSerializer, LocationSerializer, MembershipSerializer, StatusSerializer
from realtime.protocol import dumps
from tests.devices import base
from tests.promise.follower import Follower, Wanted
from tests.promise.screens import OPENED, Objects
from tests.realtime.serving import token_of

SERIALIZERS = {
    "device": DeviceSerializer,
    "location": LocationSerializer,
    "membership": MembershipSerializer,
    "status": StatusSerializer,
}


@dataclass
class Greenhouse:
    """Two locations. The operator and the viewer may see one each, staff sees all, a stranger nothing."""

    here: Location
    there: Location
    people: dict[str, User] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    #: The locations that each may see; None: all. Not what stands in the database now, but what was right all along.
    theirs: dict[str, set[int] | None] = field(default_factory=dict)

    @classmethod
    def make(cls, devices: int = 6) -> Greenhouse:
        house = cls(base.location("Greenhouse"), base.location("Workshop"))
        house.admit("staff", is_staff=True)
        house.admit("operator", "operator", house.here)
        house.admit("viewer", "viewer", house.there)
        house.admit("stranger")
        for number in range(devices):
            base.dimmer(f"device {number}", location=(house.here, house.there)[number % 2])
        return house

    def admit(self, name: str, role: str | None = None, place: Location | None = None, **values: Any) -> None:
        self.people[name] = base.person(name, role, place, **values)
        self.tokens[name] = token_of(self.people[name])
        self.theirs[name] = None if self.people[name].is_staff else {place.pk} if place else set()

    def alias(self, name: str, who: str) -> None:
        """One more client of somebody who is there."""
        for known in (self.people, self.tokens, self.theirs):
            known[name] = known[who]  # type: ignore[index, assignment]

    def follower(self, ports: int | Sequence[int], name: str, wanted: Wanted | None = None) -> Follower:
        return Follower(ports, self.tokens[name], wanted or self.everything())

    def everything(self) -> Wanted:
        return {
            "devices": ("device", {}),
            "on": ("device", {"is_on": True}),
            "here": ("device", {"location": self.here.pk}),
            "locations": ("location", {}),
        }

    # -- what must be shown ------------------------------------------------------------------------------------------

    def expected(self, name: str, wanted: Wanted) -> dict[str, Objects]:
        """From the rows, by rules written here once more: not by the code that is tested."""
        user = User.objects.get(pk=self.people[name].pk)
        theirs = set(Membership.objects.filter(user=user).values_list("location", flat=True))
        found: dict[str, Objects] = {}
        for local, (route, args) in wanted.items():
            rows: Any = {"device": Device, "location": Location, "status": Status}[route].objects.all()
            if route == "device":
                rows = rows.select_related("type", "location")
            found[local] = {
                row.pk: on_the_wire(route, row)
                for row in rows
                if (user.is_staff or (row.pk if route == "location" else row.location_id) in theirs)
                and all(_matches(row, name, value) for name, value in args.items())
            }
        return found

    def leaks(self, name: str, follower: Follower) -> list[dict[str, Any]]:
        """What this person, whose memberships never changed, was sent and may not see."""
        theirs = self.theirs[name]
        return [
            shown
            for shown in objects(follower.frames)
            if theirs is not None
            and (
                (shown["_type"] == "device" and shown["location"] not in theirs)
                or (shown["_type"] == "location" and shown["id"] not in theirs)
            )
        ]


def objects(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Every object that was sent whole, in order."""
    found: list[dict[str, Any]] = []
    for frame in list(frames):
        if frame["type"] == "change" and frame["action"] != "deleted":
            found.append(frame["data"])
        elif frame["type"] == "reply" and isinstance(frame["data"], list):
            found += [each for each in frame["data"] if "_type" in each]
    return found


def backwards(frames: list[dict[str, Any]]) -> list[str]:
    """Devices that a subscription was shown older than before, each with all that it was shown of them; each write here
    raises `acked_version`."""
    trails: dict[tuple[str, Any], list[tuple[int, str]]] = {}
    channels: dict[str, list[str]] = {}
    wrong: set[tuple[str, Any]] = set()
    for frame in list(frames):
        told = frame.get("channel_data") or {}
        shown: list[dict[str, Any]] = []
        if frame["type"] == OPENED:
            channels = {}
        elif told.get("action") == "subscribe":
            channels[told["local_channel"]] = told["remote_channels"]
            shown = frame["data"] if isinstance(frame["data"], list) else []
        elif frame["type"] == "change" and frame["action"] != "deleted":
            shown = [frame["data"]]
        concerned = [told["local_channel"]] if told else [n for n, of in channels.items() if frame.get("channel") in of]
        for local in concerned:
            for device in shown:
                if device["_type"] == "device":
                    trail = trails.setdefault((local, device["id"]), [])
                    if trail and device["acked_version"] < trail[-1][0]:
                        wrong.add((local, device["id"]))
                    trail.append(
                        (device["acked_version"], f"{frame['at']:.3f} {frame['type']} {frame.get('offset', '')}")
                    )
    return [f"{key}: {trails[key]}" for key in wrong]


def on_the_wire(route: str, row: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(dumps(SERIALIZERS[route](instance=row).serialize()))
    return found


def _matches(row: Any, name: str, value: Any) -> bool:
    return bool(getattr(row, f"{name}_id", None) == value or getattr(row, name, None) == value)
