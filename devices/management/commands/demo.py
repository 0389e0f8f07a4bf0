"""`manage.py demo`: something to look at. Running it again adds what is missing and changes nothing."""

from __future__ import annotations

import datetime
import math
import os
import random
import secrets
from pathlib import Path
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils import timezone

from devices.demo import EXPECTED, LOCATIONS, TYPES, USERS, Demo, chosen
from devices.models import Attribute, Device, DeviceType, Location, Membership, Status
from devices.simulator import VENDOR

# A day, a point every ten minutes.
HISTORY = 144
PACE = datetime.timedelta(minutes=10)
MOST = 20_000


class Command(BaseCommand):
    help = "Make three locations, simulated devices with a day of history, and the users `operator` and `viewer`."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--devices", type=int, default=15, help="how many (15)")
        parser.add_argument(
            "--password-file",
            help="give the users random passwords, and append them to this file, which only its owner can read",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 <= options["devices"] <= MOST:
            raise CommandError(f"--devices is a number from 0 to {MOST}.")
        file = options["password_file"]
        with transaction.atomic():
            made = make_devices(chosen(options["devices"]))
            users = make_users(None if file is None else Path(file))
        if options["verbosity"]:
            self.stdout.write(f"{made} devices made, users made: {', '.join(users) or 'none'}.")
            if users and file is None:
                self.stdout.write("They cannot sign in yet: `manage.py changepassword NAME` gives a password.")


def make_devices(wanted: list[Demo]) -> int:
    now = timezone.now()
    for slug, (name, icon, schema) in TYPES.items():
        values = {"name": name, "icon": icon, "schema": schema, "expected_every": EXPECTED}
        DeviceType.objects.get_or_create(slug=slug, defaults=values)
    places = {
        name: Location.objects.get_or_create(name=name, defaults={"icon": icon})[0] for name, icon in LOCATIONS.items()
    }
    known = set(Device.objects.values_list("uid", flat=True))
    missing = [demo for demo in wanted if demo.uid not in known]
    made = Device.objects.bulk_create([_device(demo, places[demo.location], now) for demo in missing])
    statuses: list[Status] = []
    attributes: list[Attribute] = []
    for device, demo in zip(made, missing, strict=True):
        _history(device, demo, now, statuses, attributes)
    Status.objects.bulk_create(statuses, batch_size=1000)
    Attribute.objects.bulk_create(attributes, batch_size=1000)
    return len(made)


def _device(demo: Demo, place: Location, now: datetime.datetime) -> Device:
    schema = TYPES[demo.type][2]
    desired = {key: value for key, value in demo.values.items() if schema[key].get("writable")}
    seen = None if demo.silent is None else now - datetime.timedelta(minutes=demo.silent)
    return Device(
        uid=demo.uid,
        name=demo.name,
        detail=demo.detail,
        type_id=demo.type,
        location=place,
        vendor=VENDOR,
        vendor_id=demo.uid,
        vendor_config=demo.config,
        desired=desired,
        commanded=desired,
        reported=demo.values,
        reported_at=seen or now,
        is_on=demo.values.get("on"),
        # Unknown until it speaks: what stands here was made up.
        presence=Device.Presence.UNKNOWN if seen is None else Device.Presence.OFFLINE,
        last_seen=seen,
    )


def _history(
    device: Device, demo: Demo, now: datetime.datetime, statuses: list[Status], attributes: list[Attribute]
) -> None:
    """A day in which the switch was used a few times, and ends as the device now is."""
    chance = random.Random(demo.uid)
    place = {"device": device, "location_id": device.location_id}
    last = (device.last_seen or now) - PACE
    on = demo.values.get("on")
    was_on: list[bool | None] = [on]  # newest first
    while len(was_on) < HISTORY:
        change = on is not None and len(was_on) > 1 and chance.random() < 0.04
        was_on.append(not was_on[-1] if change else was_on[-1])
    numbers = {key: spec for key, spec in TYPES[demo.type][2].items() if "record" in spec}
    for step in range(HISTORY - 1, -1, -1):
        at, is_on = last - PACE * step, was_on[step]
        if is_on is not None and (step == HISTORY - 1 or was_on[step + 1] is not is_on):
            statuses.append(Status(**place, is_on=is_on, valid_at=at, source="device"))
        for key, spec in numbers.items():
            value = round(_past(demo, key, is_on, step, chance), int(spec["decimals"]))
            attributes.append(
                Attribute(**place, name=key, value=value, units=spec["unit"], valid_at=at, received_at=at)
            )


def _past(demo: Demo, key: str, is_on: bool | None, step: int, chance: random.Random) -> float:
    how = demo.config.get("readings", {}).get(key, {})
    value = float(demo.values[key])
    if "on" in how:
        value = float(how["on"]) * demo.values.get("level", 100) / 100 if is_on else 0.0
    else:
        value -= float(how.get("swing", 0)) * math.sin(2 * math.pi * step / HISTORY * 24 / how.get("hours", 24))
    return max(0.0, value + chance.gauss(0, how.get("noise", 0))) if value else 0.0


def make_users(file: Path | None) -> list[str]:
    """The demo's users as far as they are missing, and an administrator where there is none."""
    model: Any = get_user_model()
    names = list(USERS)
    if not model.objects.filter(is_superuser=True).exists():
        names.append("admin")
    missing = [name for name in names if not model.objects.filter(**{model.USERNAME_FIELD: name}).exists()]
    passwords = {name: secrets.token_urlsafe(12) for name in missing} if file is not None else {}
    if file is not None and passwords:
        # Before the users: a password that nobody can read again would be worse than a line without a user.
        _append(file, passwords)
    for name in missing:
        make = model.objects.create_superuser if name == "admin" else model.objects.create_user
        user = make(name, password=passwords.get(name))
        for place, role in USERS.get(name, {}).items():
            Membership.objects.create(user=user, location=Location.objects.get(name=place), role=role)
    return missing


def _append(file: Path, passwords: dict[str, str]) -> None:
    handle = os.open(file, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w") as lines:
        os.fchmod(handle, 0o600)
        lines.writelines(f"{name} {password}\n" for name, password in passwords.items())
