"""Lines that are cut, and clients that come back: nothing missed, nothing asked for twice, or an honest snapshot."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import pytest

from devices.models import Device, Membership
from realtime import journal
from tests.devices import base
from tests.promise.equality import equal, watched
from tests.promise.follower import Follower
from tests.promise.greenhouse import Greenhouse
from tests.promise.installation import Installation, until
from tests.promise.proxy import Proxy
from tests.promise.settings import REALTIME_HISTORY_CHANGES as HISTORY
from tests.promise.storm import NEXT
from tests.realtime.serving import peer

pytestmark = pytest.mark.e2e


def statements(inst: Installation, house: Greenhouse) -> list[int]:
    """How many statements each server has sent that name the devices' table."""
    found = []
    for port in inst.ports:
        with peer(port, token=house.tokens["stranger"]) as client:
            found.append(client.call("count", "statements", table="devices_device")["data"])
    return found


def published() -> None:
    """Everything written so far is on the bus."""
    until(lambda: journal.pending()[0] == 0, "the journal's end")


@contextlib.contextmanager
def away(follower: Follower) -> Iterator[None]:
    """What happens while it is gone, and does not come back before the relay has told it to the others."""
    follower.drop()
    yield
    published()
    come_back(follower)


def come_back(follower: Follower) -> None:
    connections = follower.connections
    follower.come_back()
    until(lambda: follower.connections > connections and follower.settled, "its return")


def test_a_cut_without_a_word_is_continued_and_asks_nothing_of_the_table(installation: Installation) -> None:
    house = Greenhouse.make()
    with contextlib.ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(port)) for port in installation.ports]
        follower = stack.enter_context(house.follower([proxy.port for proxy in proxies], "staff"))
        until(lambda: follower.settled and follower.continuable, "its positions")
        for proxy in proxies:
            proxy.vanish()
            proxy.close()
        device = Device.objects.filter(location=house.here).earliest("pk")
        cut = time.monotonic()
        for number in range(50):
            Device.objects.filter(pk__in=[device.pk, device.pk + number % 6]).update(detail=f"cut {number}", **NEXT)
            time.sleep(max(0.0, cut + 3 * (number + 1) / 50 - time.monotonic()))  # three seconds are what is tested
        published()
        asked = statements(installation, house)
        # As a client does that misses its heartbeats; it comes back through the same cable, to the next server.
        follower.drop()
        for proxy in proxies:
            proxy.reopen()
        back = time.monotonic()
        come_back(follower)
        assert [follower.replies(local)[-1]["context"]["recovered"] for local in follower.wanted] == [True] * 4
        assert statements(installation, house) == asked
        print(f"{installation.kind}: equal {equal(installation, house, {'staff': follower}, back):.3f} s after the cut")


@pytest.mark.parametrize("how", ["cut", "reset", "leave"])
def test_however_a_line_ends_the_client_continues(installation: Installation, how: str) -> None:
    house = Greenhouse.make()
    with Proxy(installation.ports[0]) as proxy, house.follower(proxy.port, "operator") as follower:
        until(lambda: follower.settled and follower.continuable, "its positions")
        proxy.close()
        getattr(proxy, how)()
        Device.objects.update(location=house.there, **NEXT)
        Device.objects.filter(name="device 0").update(location=house.here, **NEXT)
        Device.objects.filter(name="device 1").update(location=house.here, **NEXT)
        published()
        back = time.monotonic()
        connections = follower.connections
        proxy.reopen()
        until(lambda: follower.connections > connections and follower.settled, "its return")
        assert follower.replies("devices")[-1]["context"]["recovered"] is True
        equal(installation, house, {"operator": follower}, back)


def test_who_was_away_for_longer_than_the_history_gets_a_snapshot(installation: Installation) -> None:
    house = Greenhouse.make(HISTORY // 2)
    with watched(installation, house, "operator") as followers:
        follower = followers["operator"]
        until(lambda: follower.continuable, "its positions")
        with away(follower):
            for _ in range(3):
                Device.objects.update(**NEXT)
                published()
        assert follower.replies("devices")[-1]["context"]["recovered"] is False
        assert follower.replies("locations")[-1]["context"]["recovered"] is True
        equal(installation, house, followers, time.monotonic())


@pytest.mark.parametrize("change", ["begins anew", "of another database"])
def test_a_stream_that_began_anew_cannot_be_continued(installation: Installation, change: str) -> None:
    house = Greenhouse.make()
    with watched(installation, house, "staff") as followers:
        follower = followers["staff"]
        until(lambda: follower.continuable, "its positions")
        with away(follower):
            if change == "begins anew":
                journal.whole("devices.device")
            else:
                journal.renew_identity()
            Device.objects.update(**NEXT)
        assert follower.replies("devices")[-1]["context"]["recovered"] is False
        equal(installation, house, followers, time.monotonic())


def test_who_may_see_other_things_meanwhile_gets_a_snapshot_of_them(installation: Installation) -> None:
    house = Greenhouse.make()
    with watched(installation, house, "operator", "viewer") as followers:
        for who, follower in followers.items():
            until(lambda one=follower: one.continuable, f"the positions of {who}")  # type: ignore[misc]
        with away(followers["operator"]), away(followers["viewer"]):
            Membership.objects.create(user=house.people["operator"], location=house.there)
            house.theirs["operator"] = {house.here.pk, house.there.pk}
            Membership.objects.filter(user=house.people["viewer"]).delete()
            Device.objects.update(detail="meanwhile", **NEXT)
        for follower in followers.values():
            assert follower.replies("devices")[-1]["context"]["recovered"] is False
        equal(installation, house, followers, time.monotonic())
        assert followers["viewer"].screens()["devices"] == {}
        assert "meanwhile" not in str(followers["viewer"].frames)


def test_ten_thousand_objects_go_to_a_slow_reader_while_they_change(installation: Installation) -> None:
    house = Greenhouse.make(0)
    kind = base.dimmer_type()
    Device.objects.bulk_create(
        (Device(name=f"device {n}", type=kind, location=house.here) for n in range(10_000)), batch_size=1000
    )
    published()
    pks = list(Device.objects.order_by("name").values_list("pk", flat=True))
    wanted = {"devices": ("device", {})}
    with Proxy(installation.ports[0]) as proxy:
        proxy.rate = 3 * 1024 * 1024
        began = time.monotonic()
        with house.follower(proxy.port, "staff", wanted) as follower:
            until(lambda: len(follower.frames) > 3, "the first part")
            # The first, the last, and many between, so that changes hit what was sent and what was not.
            for number in range(40):
                Device.objects.filter(pk__in=pks[number::40][:20]).update(detail=f"{number}", **NEXT)
            assert not follower.settled
            until(lambda: follower.settled, "the last part")
            took = time.monotonic() - began
            parts = [frame for frame in follower.frames if "part" in frame.get("context", {})]
            equal(installation, house, {"staff": follower}, time.monotonic())
            assert follower.codes == [] and len(follower.replies("devices")) == 1
    print(f"{installation.kind}: {len(parts)} parts in {took:.1f} s")
    Device.objects.all().delete()
    published()
