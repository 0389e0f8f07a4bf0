from __future__ import annotations

import threading
from typing import Any

import pytest
from django.db import OperationalError

from devices import commands
from devices.models import Command, Device
from devices.service import Service
from devices.sweeper import Sweeper, adopt_written, mend_pending, sweep
from tests.devices.base import at, dimmer, dimmer_type


@pytest.mark.django_db
def test_every_wish_that_was_written_gets_its_command() -> None:
    devices = [dimmer(f"D{n}") for n in range(3)]
    Device.objects.filter(pk__in=[d.pk for d in devices[:2]]).update(desired={"on": True})
    assert (adopt_written(), adopt_written()) == (2, 0)
    assert Command.objects.count() == 2


@pytest.mark.django_db
def test_spelling_alone_is_no_wish_and_is_seen_once() -> None:
    from django.db import connection

    device = dimmer(desired={"on": True, "level": 3})
    with connection.cursor() as cursor:
        cursor.execute("UPDATE devices_device SET desired = %s WHERE id = %s", ['{"level":3,   "on":true}', device.pk])
    adopt_written()
    assert (adopt_written(), Command.objects.count()) == (0, 0)


@pytest.mark.django_db
def test_a_removed_command_leaves_nothing_pending() -> None:
    lost, waiting = dimmer(), dimmer("Other")
    commands.want(waiting.pk, {"on": True}, user=None, via="x")
    commands.want(lost.pk, {"on": True}, user=None, via="x")
    Command.objects.filter(device=lost).delete()
    assert mend_pending() == 1
    assert [Device.objects.get(pk=d.pk).pending is None for d in (lost, waiting)] == [True, False]


@pytest.mark.django_db
def test_a_type_that_somebody_broke_stops_nobody_else(settings: Any) -> None:
    settings.DEVICES_COMMAND_SECONDS = -1
    broken = dimmer_type()
    sound = dimmer("Sound")
    commands.want(sound.pk, {"on": True}, user=None, via="x")
    broken.schema = [{"on": 5}]
    broken.save()
    Device.objects.filter(pk=sound.pk).update(desired={"on": 5})
    sweep()
    now = Device.objects.get(pk=sound.pk)
    assert (now.pending, now.desired) == (None, {"on": False})


# -- the thread


class Counting(Service):
    interval = 0.001

    def __init__(self, failing: int = 0) -> None:
        super().__init__()
        self.failing, self.steps, self.finished = failing, 0, False
        self.enough = threading.Event()

    def step(self) -> None:
        self.steps += 1
        if self.steps == 5:
            self.enough.set()
        if self.steps <= self.failing:
            raise OperationalError("password is hunter2")

    def finish(self) -> None:
        self.finished = True


def test_a_service_works_until_it_is_stopped() -> None:
    service = Counting()
    service.start()
    assert service.enough.wait(10)
    assert service.health() == {"ok": True, "error": ""}
    service.stop()
    assert service.finished
    assert not service.health()["ok"]


def test_errors_are_logged_once_shown_without_detail_and_outlived(expect_log: Any) -> None:
    logged = expect_log("tests.devices.test_sweeper", "tried again")
    service = Counting(failing=3)
    service._once(0)
    assert service.health()["error"] == "OperationalError"
    pauses = [service._once(0.5) for _ in range(2)]
    assert pauses == [1.0, 1.0]
    assert service._once(4) < 0.1
    assert service.health()["error"] == ""
    assert len(logged) in (0, 1)  # filled when the test ends; a second record would fail it


def test_a_service_can_be_stopped_before_it_began_and_started_again() -> None:
    service = Counting()
    service.stop()
    service.start()
    assert service.enough.wait(10)
    service.stop()


@pytest.mark.django_db(transaction=True)
def test_the_sweeper_sweeps() -> None:
    device = dimmer()
    command = commands.want(device.pk, {"on": True}, user=None, via="x", now=at(-100))
    sweeper = Sweeper()
    sweeper.start()
    deadline = threading.Event()
    for _ in range(100):
        if Command.objects.get(pk=command.pk).state == "expired":
            break
        deadline.wait(0.05)
    sweeper.stop()
    assert Command.objects.get(pk=command.pk).state == "expired"
    assert sweeper.health()["error"] == ""
