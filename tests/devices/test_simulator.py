from __future__ import annotations

import io
import os
import signal
import threading
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from devices import commands
from devices.lease import Holder
from devices.models import Command, Device, Lease
from devices.simulator import Service, Simulator
from devices.sweeper import sweep
from tests.devices.base import at, dimmer

pytestmark = pytest.mark.django_db


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class World:
    """A simulator whose time passes in steps of a tenth of a second."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.simulator = Simulator(seed=1, clock=self.clock, **options)

    def live(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            self.simulator.step()
            self.clock.now += 0.1


def simulated(name: str = "Lamp", **values: Any) -> Device:
    values = {"vendor": "simulated", "vendor_id": name, **values}
    return dimmer(name, **values)


def fresh(device: Device) -> Device:
    return Device.objects.get(pk=device.pk)


def want(device: Device, **values: Any) -> Command:
    return commands.want(device.pk, values, user=None, via="panel")


def test_a_wish_is_sent_obeyed_and_confirmed() -> None:
    lamp, world = simulated(), World()
    command = want(lamp, on=True)
    world.live(0.2)
    assert Command.objects.get(pk=command.pk).state == "sent"
    world.live(1)
    now = fresh(lamp)
    assert Command.objects.get(pk=command.pk).state == "done"
    assert (now.reported["on"], now.is_on, now.presence, now.pending) == (True, True, "online", None)


def test_what_sql_wants_is_obeyed_too() -> None:
    lamp, world = simulated(), World()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE devices_device SET desired = %s WHERE id = %s", ['{"on": true}', lamp.pk])
    world.live(1.5)
    assert fresh(lamp).is_on is True
    assert [(c.state, c.via) for c in Command.objects.all()] == [("done", "database")]


def test_what_a_shell_saves_is_obeyed_too() -> None:
    lamp, world = fresh(simulated()), World()
    lamp.desired["level"] = 77
    lamp.save()
    world.live(1.5)
    assert fresh(lamp).reported["level"] == 77


def test_only_devices_of_this_vendor_that_are_enabled_are_driven() -> None:
    others = [dimmer("Real", vendor="shelly", vendor_id="1"), simulated("Off", enabled=False)]
    World().live(1)
    assert [fresh(device).presence for device in others] == ["unknown", "unknown"]


def test_a_refusal_is_shown_and_taken_back() -> None:
    lamp, world = simulated(vendor_config={"refuse": 1}), World()
    want(lamp, on=True)
    world.live(1)
    now = fresh(lamp)
    assert (now.failed["code"], now.desired["on"], now.is_on) == ("refused", False, False)  # type: ignore[index]


def test_silence_ends_by_the_sweeper(settings: Any) -> None:
    settings.DEVICES_COMMAND_SECONDS = -1
    lamp, world = simulated(vendor_config={"silent": 1}), World()
    command = want(lamp, on=True)
    world.live(1)
    sweep()
    now = fresh(lamp)
    assert Command.objects.get(pk=command.pk).state == "expired"
    assert (now.failed["code"], now.presence) == ("no_answer", "online")  # type: ignore[index]


def test_without_faults_nobody_refuses() -> None:
    lamp, world = simulated(vendor_config={"refuse": 1}), World(faults=False)
    want(lamp, on=True)
    world.live(1)
    assert fresh(lamp).is_on is True


def test_a_second_simulator_goes_on_where_the_first_was() -> None:
    lamp, first, second = simulated(), World(), World()
    want(lamp, on=True)
    first.live(1)
    want(lamp, level=55)
    second.live(1.5)
    assert fresh(lamp).reported["level"] == 55
    want(lamp, on=False)
    first.live(1.5)
    now = fresh(lamp)
    assert (now.is_on, now.reported["level"]) == (False, 55)


def test_a_device_that_is_gone_or_changed_is_no_trouble() -> None:
    lamp, world = simulated(), World()
    world.live(0.5)
    Device.objects.filter(pk=lamp.pk).update(vendor_config=[1])
    world.live(0.5)
    Device.objects.filter(pk=lamp.pk).delete()
    world.live(0.5)
    assert world.simulator._devices == {}


def test_a_faster_rate_is_a_faster_life() -> None:
    lamp, world = simulated(), World(rate=10)
    world.clock.now = 0
    want(lamp, on=True)
    world.live(0.3)
    assert fresh(lamp).is_on is True


# -- who alone simulates


def test_only_one_holds_the_lease_until_it_ends() -> None:
    one, other = Holder("x"), Holder("x")
    assert one.holds(now=at(0)) and not other.holds(now=at(1))
    assert one.holds(now=at(4)) and not other.holds(now=at(6))
    assert other.holds(now=at(9.1)) and not one.holds(now=at(9.2))


def test_a_released_lease_is_free_at_once() -> None:
    one, other = Holder("x"), Holder("x")
    one.holds()
    one.release()
    assert other.holds()


def test_a_lease_can_be_taken_over_and_release_leaves_the_new_holder_alone() -> None:
    one, other = Holder("x"), Holder("x")
    one.holds(now=at(0))
    assert other.holds(take_over=True, now=at(1))
    assert not one.holds(now=at(3))
    one.release()
    assert other.holds(now=at(3)) and not one.holds(now=at(3))


def test_two_services_drive_the_devices_once() -> None:
    simulated()
    first, second = (Service(Simulator(seed=1)) for _ in range(2))
    first.step()
    second.step()
    assert first.simulator._devices and not second.simulator._devices


@pytest.mark.parametrize("arguments", [["--rate", "0"], ["--rate", "nan"], []])
def test_the_command_says_what_it_cannot_do(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("simulate", *arguments)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_the_command_drives_the_devices_until_it_is_told_to_end(ending: signal.Signals) -> None:
    lamp = simulated(vendor_config={"delay": 0})
    commands.want(lamp.pk, {"on": True}, user=None, via="panel")

    def watch() -> None:
        for _ in range(200):
            if fresh(lamp).is_on or pause.wait(0.05):
                break
        connection.close()
        os.kill(os.getpid(), ending)

    pause = threading.Event()
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        call_command("simulate", "--seed", "1", stdout=io.StringIO())
    finally:
        pause.set()
        watcher.join(10)
    assert fresh(lamp).is_on is True
    assert not Lease.objects.exists()
