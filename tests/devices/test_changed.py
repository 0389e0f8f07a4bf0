from __future__ import annotations

import pytest
from django.db import connection
from django.db.models import F
from django.test.utils import CaptureQueriesContext

from devices.models import Device
from tests.devices.base import dimmer

pytestmark = pytest.mark.django_db


def loaded() -> Device:
    return Device.objects.get(pk=dimmer().pk)


def test_saving_an_old_instance_leaves_what_others_wrote() -> None:
    old = loaded()
    Device.objects.filter(pk=old.pk).update(reported={"on": True}, name="Lamp")
    old.detail = "bench 2"
    old.save()
    now = Device.objects.get(pk=old.pk)
    assert (now.reported, now.name, now.detail) == ({"on": True}, "Lamp", "bench 2")


def test_a_value_changed_in_place_is_saved() -> None:
    device = loaded()
    device.desired["on"] = True
    device.save()
    assert Device.objects.get(pk=device.pk).desired == {"on": True}


def test_true_and_one_are_different_in_json() -> None:
    device = loaded()
    device.desired = {"on": 1}
    device.save()
    device.desired = {"on": True}
    device.save()
    assert Device.objects.get(pk=device.pk).desired["on"] is True


def test_saving_without_a_change_asks_the_database_nothing() -> None:
    device = loaded()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        device.save()
    assert len(queries) == 0


def test_naming_fields_saves_those_and_keeps_the_others_for_later() -> None:
    device = loaded()
    device.name, device.detail = "Lamp", "bench 2"
    device.save(update_fields=["name"])
    assert Device.objects.get(pk=device.pk).detail == ""
    device.save()
    assert Device.objects.get(pk=device.pk).detail == "bench 2"


def test_a_new_instance_is_saved_whole_and_then_only_by_what_changed() -> None:
    device = dimmer("Fresh")
    Device.objects.filter(pk=device.pk).update(name="Lamp")
    device.detail = "x"
    device.save()
    now = Device.objects.get(pk=device.pk)
    assert (now.name, now.detail) == ("Lamp", "x")


def test_refreshing_makes_what_was_read_the_new_ground() -> None:
    device = loaded()
    Device.objects.filter(pk=device.pk).update(name="Lamp")
    device.refresh_from_db()
    Device.objects.filter(pk=device.pk).update(name="Lantern")
    device.save()
    assert Device.objects.get(pk=device.pk).name == "Lantern"


def test_an_expression_is_saved() -> None:
    device = loaded()
    device.desired_version = F("desired_version") + 1  # type: ignore[assignment]
    device.save()
    assert Device.objects.get(pk=device.pk).desired_version == 1


def test_a_deferred_field_stays_untouched() -> None:
    device = Device.objects.only("name").get(pk=dimmer().pk)
    device.name = "Lamp"
    with CaptureQueriesContext(connection) as queries:
        device.save()
    assert len(queries) == 1
    assert Device.objects.get(pk=device.pk).name == "Lamp"
