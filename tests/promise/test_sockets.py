"""The promise through real sockets: whatever writes, every screen equals the database within two seconds."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from devices import reports
from devices.models import Device, Location
from tests.devices import base
from tests.promise.equality import equal, watched
from tests.promise.follower import Follower
from tests.promise.greenhouse import Greenhouse
from tests.promise.installation import SCALE, STRANGER, Installation, until
from tests.promise.proxy import Proxy
from tests.promise.storm import NEXT, PHANTOM, Writer
from tests.realtime.serving import peer

pytestmark = pytest.mark.e2e

# PROMISE_SEEDS=a,b,c in the environment tries others.
SEEDS = os.environ.get("PROMISE_SEEDS", "1").split(",")


def verb(inst: Installation, house: Greenhouse, who: str, name: str, route: str, /, **args: Any) -> Any:
    with peer(inst.port(1), token=house.tokens[who]) as client:
        reply = client.call(name, route, **args)
    assert reply["context"]["state"] == "success", reply
    return reply["data"]


def first(place: Location) -> Device:
    found = Device.objects.filter(location=place).first()
    assert found is not None
    return found


def save(inst: Installation, house: Greenhouse) -> None:
    device = first(house.here)
    device.name = "renamed"
    device.save()


def bulk(inst: Installation, house: Greenhouse) -> None:
    kind = base.dimmer_type()
    Device.objects.bulk_create(Device(name=f"new {n}", type=kind, location=house.here) for n in range(20))
    devices = list(Device.objects.all())
    for device in devices:
        device.detail = "bulk"
    Device.objects.bulk_update(devices, ["detail"])


def delete(inst: Installation, house: Greenhouse) -> None:
    first(house.here).delete()
    Device.objects.filter(location=house.there).delete()


def other_program(inst: Installation, house: Greenhouse) -> None:
    inst.program(
        f"UPDATE devices_device SET detail = 'by hand', location_id = {house.there.pk} WHERE name = 'device 0'"
    )
    inst.program("DELETE FROM devices_device WHERE name = 'device 1'")
    inst.program("UPDATE devices_device SET name = 'by a stranger' WHERE name = 'device 2'", role=STRANGER)


def by_verbs(inst: Installation, house: Greenhouse) -> None:
    verb(inst, house, "operator", "update", "device", id=first(house.here).pk, desired={"on": True})
    made = verb(inst, house, "staff", "create", "device", name="made", type="dimmer", location=house.there.pk)
    verb(inst, house, "staff", "update", "device", id=made["id"], location=house.here.pk)
    verb(inst, house, "staff", "delete", "device", id=first(house.there).pk)
    verb(inst, house, "staff", "update", "location", id=house.here.pk, name="Glasshouse")


WRITES: dict[str, Callable[[Installation, Greenhouse], object]] = {
    "save": save,
    "queryset update": lambda inst, house: Device.objects.update(is_on=True, **NEXT),
    "bulk": bulk,
    "delete": delete,
    "moved": lambda inst, house: Device.objects.filter(location=house.here).update(location=house.there),
    "taken out of every location": lambda inst, house: Device.objects.update(location=None),
    "a shown row renamed": lambda inst, house: Location.objects.filter(pk=house.here.pk).update(name="Glasshouse"),
    "a location deleted": lambda inst, house: house.there.delete(),
    "verbs": by_verbs,
    "a report": lambda inst, house: reports.report(first(house.here).pk, {"on": True, "level": 7}),
    "another program": other_program,
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_on_every_screen(installation: Installation, name: str) -> None:
    house = Greenhouse.make()
    with watched(installation, house, "staff", "operator", "viewer", "stranger") as followers:
        before = {who: follower.screens() for who, follower in followers.items()}
        WRITES[name](installation, house)
        written = time.monotonic()
        assert {who: house.expected(who, follower.wanted) for who, follower in followers.items()} != before
        print(f"{installation.kind}: {name} {equal(installation, house, followers, written):.3f} s")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_storm_of_writes_ends_with_equal_screens(installation: Installation, seed: str) -> None:
    """Three writers at once, while clients come, are cut with and without a word, and go on at another server."""
    print(f"{installation.kind}, seed {seed}")
    house = Greenhouse.make(12)
    witness = base.dimmer("witness", location=house.here)
    chance = random.Random(seed)
    writers = [Writer(installation, house, f"{seed}-{number}", 70) for number in range(3)]
    with contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(port)) for port in installation.ports]
        followers: dict[str, Follower] = {}

        def another() -> None:
            who = f"{chance.choice(['staff', 'operator', 'viewer'])} {len(followers)}"
            house.alias(who, who.split()[0])
            # Half of them over lines that are cut.
            ports = chance.choice([installation.ports, [proxy.port for proxy in proxies]])
            wanted = house.everything()
            if "viewer" not in who:
                wanted["statuses"] = ("status", {"device": witness.pk})
            followers[who] = stack.enter_context(house.follower(chance.sample(ports, len(ports)), who, wanted))

        for _ in range(4):
            another()
        for writer in writers:
            writer.start()
        while any(writer.is_alive() for writer in writers):
            if len(followers) < 14:
                another()
            if chance.random() < 0.4:
                chance.choice([Proxy.cut, Proxy.reset, Proxy.leave])(chance.choice(proxies))
            writers[0].join(0.3)
        ended = time.monotonic()
        assert [writer.errors for writer in writers] == [[], [], []]
        print(sum((writer.done for writer in writers), Counter()))
        # The promise counts from when those that were cut last are back.
        until(lambda: all(one.settled for one in followers.values()), "all clients", 5 * SCALE)
        back = time.monotonic()
        took = equal(installation, house, followers, back)
        print(f"all back after {back - ended:.3f} s, equal {took:.3f} s later")
        assert not [frame for one in followers.values() for frame in one.frames if PHANTOM in str(frame)]
        told = Counter(str(r["context"].get("recovered")) for one in followers.values() for r in one.replies("devices"))
        print(f"recovered: {dict(told)}")
