from __future__ import annotations

import pytest

from devices import readings, reports
from devices.models import Attribute, Command, Device, Status
from tests.devices.base import at, dimmer, location

pytestmark = pytest.mark.django_db

DAY = 24 * 3600


def report(device: Device, seconds: float, **values: object) -> None:
    reports.report(device.pk, values, now=at(seconds))


def kept(name: str) -> list[tuple[float, float]]:
    rows = Attribute.objects.filter(name=name).order_by("valid_at")
    return [(row.value, (row.valid_at - at(0)).total_seconds()) for row in rows]


def test_the_switch_is_kept_when_it_changes() -> None:
    device = dimmer()
    for seconds, on in enumerate([False, True, True, False]):
        report(device, seconds, on=on)
    assert list(Status.objects.order_by("valid_at").values_list("is_on", "source")) == [
        (True, "device"),
        (False, "device"),
    ]


def test_a_reading_is_kept_as_often_as_the_type_says() -> None:
    device = dimmer()
    for seconds in range(0, 70, 10):
        report(device, seconds, power=40 + seconds)
    assert kept("power") == [(40, 0), (70, 30), (100, 60)]


def test_a_reading_without_a_pace_is_kept_when_it_changes() -> None:
    device = dimmer()
    for seconds, starts in enumerate([1, 1, 2, 2, 3]):
        report(device, seconds, starts=starts)
    assert kept("starts") == [(1, 0), (2, 2), (3, 4)]


def test_what_the_type_does_not_record_is_not_kept() -> None:
    report(dimmer(), 0, level=3, rssi=-60, mode="day")
    assert not Attribute.objects.exists()


def test_units_and_place_are_those_of_the_moment() -> None:
    device = dimmer()
    report(device, 0, power=1, on=True)
    Device.objects.filter(pk=device.pk).update(location=location("Workshop"))
    report(device, 40, power=2, on=False)
    rows = Attribute.objects.order_by("valid_at")
    assert [(row.units, str(row.location)) for row in rows] == [("W", "Greenhouse"), ("W", "Workshop")]
    assert [str(row.location) for row in Status.objects.order_by("valid_at")] == ["Greenhouse", "Workshop"]


def test_old_rows_go_and_young_and_open_ones_stay(settings: object) -> None:
    device = dimmer()
    report(device, 0, power=1, on=True)
    report(device, 6 * DAY, power=2, on=False)
    Command.objects.create(device=device, values={}, version=1, via="x", created_at=at(0), expires_at=at(0))
    assert readings.prune(now=at(7 * DAY + 1)) == 2
    assert (kept("power"), Status.objects.count()) == ([(2, 6 * DAY)], 1)
    assert readings.prune(now=at(100 * DAY)) == 2
    assert Command.objects.count() == 1


def test_not_more_is_removed_at_once_than_the_settings_allow(settings: object) -> None:
    settings.DEVICES_PRUNE_ROWS = 2  # type: ignore[attr-defined]
    device = dimmer()
    for n in range(5):
        report(device, n, starts=n)
    assert [readings.prune(now=at(9 * DAY)) for _ in range(4)] == [2, 2, 1, 0]
