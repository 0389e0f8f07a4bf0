from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from devices import commands, reports
from devices.models import Command, Device, DeviceType, Location
from tests.devices.base import dimmer, dimmer_type, location, person

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(person("boss", is_staff=True, is_superuser=True))
    return client


def page(device: Device) -> str:
    return reverse("admin:devices_device_change", args=[device.pk])


def form(client: Client, url: str) -> dict[str, Any]:
    """The fields of the page's form as a browser would send them back."""
    text = client.get(url).content.decode()
    fields = dict(re.findall(r'<input[^>]*? name="([^"]+)" value="([^"]*)"', text))
    fields |= dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', text))
    fields |= dict(re.findall(r'<textarea name="([^"]+)"[^>]*>\s*(.*?)</textarea>', text, re.S))
    for name, body in re.findall(r'<select name="([^"]+)"[^>]*>(.*?)</select>', text, re.S):
        fields[name] = next(iter(re.findall(r'<option value="([^"]*)" selected', body)), "")
    for name in re.findall(r'<input type="checkbox" name="([^"]+)"[^>]* checked', text):
        fields[name] = "on"
    return {name: html.unescape(value) for name, value in fields.items() if not name.startswith("_")}


def fresh(device: Device) -> Device:
    return Device.objects.get(pk=device.pk)


def test_what_is_saved_as_wanted_is_asked_for(browser: Client) -> None:
    device = dimmer(desired={"on": False, "level": 40})
    sent = form(browser, page(device)) | {"desired": '{"on": true, "level": 40}', "name": "Lamp"}
    assert browser.post(page(device), sent).status_code == 302
    now, command = fresh(device), Command.objects.get()
    assert (now.name, now.desired) == ("Lamp", {"on": True, "level": 40})
    assert (command.values, command.by, command.via) == ({"on": True}, "boss", "admin")


def test_a_form_that_was_open_for_long_undoes_nothing(browser: Client) -> None:
    device = dimmer(desired={"on": False, "level": 40})
    sent = form(browser, page(device))
    commands.want(device.pk, {"level": 90}, user=None, via="panel")
    reports.report(device.pk, {"level": 90})
    assert browser.post(page(device), sent | {"detail": "bench 2"}).status_code == 302
    now = fresh(device)
    assert (now.detail, now.desired["level"], now.reported["level"]) == ("bench 2", 90, 90)
    assert Command.objects.count() == 1


def test_a_wrong_wish_is_a_message_in_the_form(browser: Client) -> None:
    device = dimmer()
    answer = browser.post(page(device), form(browser, page(device)) | {"desired": '{"level": 300}'})
    assert "level: From 0 to 100 is possible." in answer.content.decode()
    assert not Command.objects.exists()


@pytest.mark.parametrize("text", ["[1]", "nonsense", '{"on": NaN}', '"x"'])
def test_what_is_no_object_is_a_message_too(browser: Client, text: str) -> None:
    device = dimmer()
    assert browser.post(page(device), form(browser, page(device)) | {"desired": text}).status_code == 200
    assert fresh(device).desired == {}


def test_a_disabled_device_is_not_asked(browser: Client) -> None:
    device = dimmer(enabled=False)
    answer = browser.post(page(device), form(browser, page(device)) | {"desired": '{"on": true}'})
    assert "This device is disabled." in answer.content.decode()


def test_a_device_is_added_with_what_is_wanted_of_it(browser: Client) -> None:
    dimmer_type()
    url = reverse("admin:devices_device_add")
    sent = form(browser, url) | {"name": "New", "type": "dimmer", "desired": '{"on": true}', "enabled": "on"}
    assert browser.post(url, sent).status_code == 302
    device = Device.objects.get(name="New")
    assert (device.desired, Command.objects.get().device) == ({"on": True}, device)


def test_many_are_switched_together_and_each_that_cannot_is_named(browser: Client) -> None:
    sensor = DeviceType.objects.create(slug="sensor", name="Sensor", schema={"t": {"kind": "number"}})
    devices = [dimmer("A"), dimmer("B"), Device.objects.create(name="Probe", type=sensor)]
    sent = {"action": "turn_on", "_selected_action": [device.pk for device in devices]}
    answer = browser.post(reverse("admin:devices_device_changelist"), sent, follow=True)
    said = [str(message) for message in answer.context["messages"]]
    assert said == ["Probe: This device has no such key.", "2 asked."]
    assert [fresh(device).desired for device in devices] == [{"on": True}, {"on": True}, {}]


def test_a_list_that_was_open_for_long_undoes_nothing(browser: Client) -> None:
    device, url = dimmer(), reverse("admin:devices_device_changelist")
    sent = form(browser, url) | {"_save": "Save"}
    reports.report(device.pk, {"on": True})
    sent["form-0-location"] = str(location("Workshop").pk)
    assert browser.post(url, sent).status_code == 302
    now = fresh(device)
    assert (str(now.location), now.is_on) == ("Workshop", True)


@pytest.mark.parametrize("model", ["device", "devicetype", "location", "membership", "status", "attribute", "command"])
def test_every_list_can_be_searched(browser: Client, model: str, django_assert_max_num_queries: Any) -> None:
    for n in range(5):
        device = dimmer(f"D{n}")
        commands.want(device.pk, {"on": True}, user=None, via="x")
        reports.report(device.pk, {"on": True, "power": 5})
        person(f"p{n}", "viewer")
    url = reverse(f"admin:devices_{model}_changelist")
    with django_assert_max_num_queries(14):
        assert browser.get(url, {"q": "D1"}).status_code == 200


def test_histories_can_only_be_read(browser: Client) -> None:
    device = dimmer()
    command = commands.want(device.pk, {"on": True}, user=None, via="x")
    assert browser.get(reverse("admin:devices_command_add")).status_code == 403
    url = reverse("admin:devices_command_change", args=[command.pk])
    assert browser.get(url).status_code == 200
    assert browser.post(url, {"state": "done"}).status_code == 403


def test_a_type_s_schema_is_checked_and_its_slug_stays(browser: Client) -> None:
    url = reverse("admin:devices_devicetype_change", args=[dimmer_type().pk])
    sent = form(browser, url) | {"schema": '{"on": {"kind": "colour"}}'}
    assert "kind is one of" in browser.post(url, sent).content.decode()
    sent = sent | {"schema": json.dumps({"on": {"kind": "bool"}}), "slug": "other", "name": "Renamed"}
    assert browser.post(url, sent).status_code == 302
    assert list(DeviceType.objects.values_list("slug", "name")) == [("dimmer", "Renamed")]


@pytest.mark.parametrize(("zone", "status"), [("Europe/Rome", 302), ("Mars/Base", 200), ("../etc/passwd", 200)])
def test_a_location_has_a_time_zone_that_exists(browser: Client, zone: str, status: int) -> None:
    url = reverse("admin:devices_location_add")
    sent = form(browser, url) | {"name": "Cellar", "timezone": zone}
    assert browser.post(url, sent).status_code == status
    assert Location.objects.filter(name="Cellar").exists() == (status == 302)
