"""Relays that stall, relays that are several, and a Redis that dies: late, perhaps, but never wrong."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from devices.models import Device
from realtime.election import Election
from realtime.relay import Relay
from tests.promise.equality import equal, watched
from tests.promise.follower import Follower
from tests.promise.greenhouse import Greenhouse
from tests.promise.installation import Installation, until
from tests.promise.storm import NEXT, Writer
from tests.realtime.relay_base import Worker, publish_due

pytestmark = pytest.mark.e2e

POINTS = ["read", "loaded", "published-half", "published"]


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


@pytest.mark.parametrize("overtaken", [False, True], ids=["alone", "overtaken by another relay"])
def test_a_relay_that_stalls_while_others_write_and_subscribe(
    without_relay: Installation, worker: Worker, overtaken: bool
) -> None:
    house = Greenhouse.make()
    relay = Relay()
    publish_due(relay)
    device = Device.objects.earliest("pk")
    one = Device.objects.filter(pk=device.pk)
    late: dict[str, Follower] = {}
    with watched(without_relay, house, "staff", "operator", "viewer") as followers:
        for point in POINTS:
            one.update(detail=f"before {point}", **NEXT)

            def stall(name: str, point: str = point) -> None:
                if name == point:
                    relay.at = lambda name: None
                    worker.do(lambda: one.update(detail=f"during {point}", location=house.there, **NEXT))
                    who = f"late at {point}"
                    house.alias(who, "operator" if len(late) % 2 else "viewer")
                    late[who] = house.follower(without_relay.port(len(late)), who)
                    until(lambda: late[who].settled, "its snapshot")
                    if overtaken:
                        worker.do(lambda: publish_due(Relay()))
                    worker.do(lambda: one.update(detail=f"after {point}", location=house.here, **NEXT))

            relay.at = stall
            publish_due(relay)
        try:
            assert len(late) == len(POINTS)
            equal(without_relay, house, {**followers, **late}, time.monotonic())
            # Whoever came while the relay stood still waits for nothing.
            until(lambda: all(one.continuable for one in late.values()), "their positions")
        finally:
            for follower in late.values():
                follower.end()


class Deaf(Election):
    """Believes itself alone."""

    def won(self) -> bool:
        return True

    def withdraw(self) -> None:
        pass


def test_several_relays_at_once_do_no_harm(without_relay: Installation) -> None:
    house = Greenhouse.make()
    relays = [Relay(elections=lambda using: Deaf()) for _ in range(3)]
    for relay in relays:
        relay.start()
    try:
        with watched(without_relay, house, "staff", "operator", "viewer") as followers:
            witness(house)
            writers = [Writer(without_relay, house, f"relays-{number}", 40) for number in range(2)]
            run(writers)
            print(f"{without_relay.kind}: equal after {equal(without_relay, house, followers, time.monotonic()):.3f} s")
    finally:
        for relay in relays:
            relay.stop()


@pytest.mark.parametrize("servers", ["postgresql"], indirect=True)
@pytest.mark.parametrize("outage", ["killed", "paused"])
def test_a_bus_that_was_away(installation: Installation, outage: str) -> None:
    redis = installation.redis
    assert redis is not None
    house = Greenhouse.make()
    with watched(installation, house, "staff", "operator", "viewer") as followers:
        witness(house)
        writers = [Writer(installation, house, f"{outage}-{number}", 60) for number in range(2)]

        def go_away() -> None:
            until(lambda: sum(writers[0].done.values()) > 10, "the first writes")
            if outage == "killed":
                redis.stop(signal.SIGKILL)
            else:
                redis.process.send_signal(signal.SIGSTOP)
            time.sleep(2)  # long enough for every deadline to pass
            if outage == "killed":
                redis.start()
            else:
                redis.process.send_signal(signal.SIGCONT)

        breaker = threading.Thread(target=go_away)
        breaker.start()
        run(writers)
        slowest = max(writer.slowest for writer in writers)
        breaker.join()
        back = time.monotonic()
        took = equal(installation, house, followers, back)
        print(f"{outage}: equal {took:.3f} s after it was back; no write took longer than {slowest:.3f} s")
        # And it goes on as if nothing had been.
        Device.objects.update(detail="afterwards", **NEXT)
        print(f"{outage}: afterwards {equal(installation, house, followers, time.monotonic()):.3f} s")


def witness(house: Greenhouse) -> None:
    """The device that storms report for."""
    Device.objects.filter(name="device 0").update(name="witness")


def run(writers: list[Writer]) -> None:
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert not writer.is_alive()
    assert [writer.errors for writer in writers] == [[] for _ in writers]
