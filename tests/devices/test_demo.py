from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from devices import schema
from devices.demo import DEVICES, TYPES, USERS, chosen
from devices.models import Attribute, Command, Device, DeviceType, Location, Membership, Status
from devices.simulated import Simulated
from devices.simulator import Simulator

pytestmark = pytest.mark.django_db


def demo(*arguments: str) -> None:
    call_command("demo", *arguments, verbosity=0)


def counts() -> list[int]:
    models: list[Any] = [Location, DeviceType, Device, Status, Attribute, Membership, User]
    return [model.objects.count() for model in models]


def test_it_makes_fifteen_devices_in_three_locations_with_a_day_behind_them() -> None:
    demo()
    assert (Location.objects.count(), Device.objects.count()) == (3, 15)
    assert {device.location.devices.count() for device in Device.objects.all() if device.location} == {5}
    assert {row.device_id for row in Attribute.objects.all()} | {row.device_id for row in Status.objects.all()} == set(
        Device.objects.values_list("pk", flat=True)
    )


def test_a_second_time_changes_nothing() -> None:
    demo()
    before = counts()
    Device.objects.filter(name="Exhaust fan").update(name="My fan", desired={"on": False}, commanded={"on": False})
    demo()
    assert counts() == before
    assert Device.objects.filter(name="My fan", desired={"on": False}).exists()


def test_the_number_of_devices_can_be_chosen() -> None:
    demo("--devices", "2")
    assert Device.objects.count() == 2
    demo("--devices", "40")
    assert Device.objects.count() == 40
    assert Device.objects.filter(name="Exhaust fan 3").exists()
    with pytest.raises(CommandError):
        demo("--devices", "-1")


def test_passwords_go_into_a_file_that_only_its_owner_reads(tmp_path: Path) -> None:
    file = tmp_path / "passwords"
    demo("--password-file", str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = [line.split(" ") for line in file.read_text().splitlines()]
    assert [name for name, _ in lines] == ["operator", "viewer", "admin"]
    for name, password in lines:
        assert User.objects.get(username=name).check_password(password)
    demo("--password-file", str(file))
    assert len(file.read_text().splitlines()) == 3


def test_without_a_file_nobody_can_sign_in_with_a_password() -> None:
    demo()
    assert not any(user.has_usable_password() for user in User.objects.all())


def test_an_administrator_who_is_there_stays_the_only_one() -> None:
    User.objects.create_superuser("root")
    demo()
    assert not User.objects.filter(username="admin").exists()


def test_each_device_is_as_its_type_says() -> None:
    for slug, (_, _, described) in TYPES.items():
        assert (slug, schema.problems(described)) == (slug, [])
    for each in DEVICES:
        described = TYPES[each.type][2]
        assert (each.name, schema.check_report(described, each.values)) == (each.name, {})
        assert set(each.config.get("readings", {})) <= set(described)
    assert len({each.uid for each in chosen(60)}) == 60
    assert {place for roles in USERS.values() for place in roles} <= set(
        Location.objects.values_list("name", flat=True)
    ) | {each.location for each in DEVICES}


def test_only_four_of_them_misbehave() -> None:
    moody = {each.name for each in DEVICES if each.config.keys() & {"refuse", "silent", "offline", "outages"}}
    assert moody == {"Vent window", "Humidifier", "Hallway", "CNC controller"}


def test_all_of_them_live() -> None:
    demo()
    now = [1000.0]
    simulator = Simulator(seed=4, clock=lambda: now[0])
    for _ in range(20):
        simulator.step()
        now[0] += 0.5
    silent = Device.objects.exclude(presence="online").values_list("name", flat=True)
    assert list(silent) == ["CNC controller"]
    assert all(isinstance(device, Simulated) for _, device in simulator._devices.values())
    assert not Command.objects.exists()
