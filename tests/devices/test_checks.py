from __future__ import annotations

from typing import Any

import pytest
from django.apps import apps
from django.utils.module_loading import import_string

from devices.checks import check_settings
from devices.service import Service


def ids() -> list[str | None]:
    return [found.id for found in check_settings()]


def test_the_defaults_are_in_order() -> None:
    assert ids() == []


@pytest.mark.parametrize("value", [0, -1, "10", None, True])
def test_a_setting_that_makes_no_sense_stops_the_start(settings: Any, value: Any) -> None:
    settings.DEVICES_COMMAND_SECONDS = value
    assert ids() == ["devices.E002"]


def test_times_without_a_zone_stop_it_too(settings: Any) -> None:
    settings.USE_TZ = False
    assert ids() == ["devices.E001"]


def test_the_server_finds_the_services_that_the_app_names() -> None:
    named = apps.get_app_config("devices").services  # type: ignore[attr-defined]
    assert all(isinstance(import_string(name)(), Service) for name in named)
