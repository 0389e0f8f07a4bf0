"""System checks: what would only show once a device speaks."""

from __future__ import annotations

from typing import Any

from django.conf import settings as django_settings
from django.core.checks import CheckMessage, Error, register

from devices.settings import PREFIX, settings

POSITIVE = ("COMMAND_SECONDS", "SWEEP_SECONDS", "HISTORY_DAYS", "COMMAND_DAYS", "PRUNE_ROWS", "SIMULATOR_SECONDS")


@register
def check_settings(**kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if not django_settings.USE_TZ:
        found.append(Error("Devices need times with a time zone.", hint="Set USE_TZ = True.", id="devices.E001"))
    for name in POSITIVE:
        value = getattr(settings, name)
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            found.append(Error(f"{PREFIX}{name} is {value!r}.", hint="It is a number above 0.", id="devices.E002"))
    return found
