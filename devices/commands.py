"""The way of a wish: `want` makes it, the device's side tells that it was `sent`, a report or `fail` ends it.

Every function here is one transaction that locks the device's row first and its commands after it, so any number of
processes may call any of them at once.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone

from devices import schema
from devices.models import Command, Device
from devices.settings import settings
from realtime.errors import Conflict, Invalid, NotFound

OPEN = Command.OPEN
State = Command.State

#: Who wrote a wish that came through no call: the admin's SQL, a script, another program.
DATABASE = "database"


# -- wishes ----------------------------------------------------------------------------------------------------


def want(
    device_id: Any, values: Mapping[str, Any], *, user: Any, via: str, now: datetime.datetime | None = None
) -> Command:
    """Ask the device for these values; other keys stay as they were asked for.

    `Invalid` with messages by key, `Conflict` for a disabled device, `NotFound`.
    """
    with transaction.atomic():
        device = locked(device_id)
        if errors := schema.check_wish(device.type.schema, values):
            raise Invalid(data=errors)
        if not device.enabled:
            raise Conflict("This device is disabled.")
        now = now or timezone.now()
        # What somebody wrote directly a moment ago was asked for earlier than this.
        adopt_locked(device, now)
        return _ask(device, dict(values), user, via, now)


def retry(device_id: Any, *, user: Any, via: str, now: datetime.datetime | None = None) -> Command:
    """Ask again for what went wrong last. `Conflict` if nothing did, or nothing that asking again could mend."""
    with transaction.atomic():
        values = (locked(device_id).failed or {}).get("values")
        if not values:
            raise Conflict("There is nothing to try again.")
        return want(device_id, values, user=user, via=via, now=now)


def adopt(device_id: Any, *, now: datetime.datetime | None = None) -> None:
    """Make the command for what was written into `desired` directly. What no device could obey is taken back."""
    with transaction.atomic():
        device = locked(device_id)
        adopt_locked(device, now or timezone.now())
        # Equal as JSON is not yet equal as the text that SQLite keeps, by which the sweeper looks for differences.
        device.commanded = device.desired
        device.save(update_fields=["desired", "commanded"])


def adopt_locked(device: Device, now: datetime.datetime) -> None:
    """As `adopt`, for a row that the caller's transaction has locked."""
    desired, commanded = device.desired, device.commanded
    if schema.same(desired, commanded):
        return
    asked = desired if isinstance(desired, dict) else {}
    changed = {key: value for key, value in asked.items() if not schema.same(value, commanded.get(key))}
    errors = schema.check_wish(device.type.schema, changed) if changed or not isinstance(desired, dict) else {}
    wishes = {} if "__all__" in errors else {key: value for key, value in changed.items() if key not in errors}
    # A key that is missing is left as it was, as in a wish: whoever writes the whole column may mean one key of it.
    device.desired = commanded
    if wishes:
        _ask(device, wishes, None, DATABASE, now)
    if errors:
        said = "; ".join(f"{key}: {' '.join(messages)}" for key, messages in errors.items())
        device.failed = failure(None, "invalid", said[: Command._meta.get_field("error").max_length or 0], None, now)
    device.save(update_fields=["desired", "commanded", "failed"])


def _ask(device: Device, values: dict[str, Any], user: Any, via: str, now: datetime.datetime) -> Command:
    overtaken = [command for command in open_of(device) if command.values.keys() & values.keys()]
    Command.objects.filter(pk__in=[command.pk for command in overtaken], state__in=OPEN).update(
        state=State.CANCELLED, ended_at=now, code="superseded", error="A newer command took its place."
    )
    # The keys that only the older ones had are still asked for, so the newer one answers for them too.
    kept = {key: value for command in overtaken for key, value in command.values.items() if key not in values}
    device.desired = device.commanded = {**device.desired, **values}
    device.desired_version += 1
    known = user if getattr(user, "is_authenticated", False) else None
    command = Command.objects.create(
        device=device,
        location_id=device.location_id,
        values={**kept, **values},
        version=device.desired_version,
        requested_by=known,
        by="" if known is None else known.get_username()[:150],
        via=via,
        created_at=now,
        expires_at=now + datetime.timedelta(seconds=settings.COMMAND_SECONDS),
    )
    device.failed = None
    device.pending = summary(open_of(device))
    device.save(update_fields=["desired", "commanded", "desired_version", "failed", "pending"])
    return command


# -- on the way ------------------------------------------------------------------------------------------------


def sent(device_id: Any, version: int, *, now: datetime.datetime | None = None) -> int:
    """The device's connection has taken what was wanted up to this version; how many commands that moved on."""
    with transaction.atomic():
        device = locked(device_id)
        moved = advance(device, State.SENT, (State.QUEUED,), version, sent_at=now or timezone.now())
        if moved:
            settle(device)
        return moved


def advance(device: Device, to: State, after: Iterable[State], version: int, **values: Any) -> int:
    """Move the open commands up to a version on; the row is locked by the caller, who settles it."""
    rows = Command.objects.filter(device=device, version__lte=version, state__in=list(after))
    return rows.update(state=to, **values)


# -- ends ------------------------------------------------------------------------------------------------------


def fail(
    command_id: Any, code: str, message: str, *, state: State = State.FAILED, now: datetime.datetime | None = None
) -> bool:
    """End an open command without success: what it wanted falls back to what is reported. False: it had ended."""
    device_id = Command.objects.filter(pk=command_id).values_list("device_id", flat=True).first()
    if device_id is None:
        return False
    with transaction.atomic():
        device = locked(device_id)
        # What was written directly is a wish of its own, and must not be lost in the falling back.
        now = now or timezone.now()
        adopt_locked(device, now)
        message = message[:200]
        ended = Command.objects.filter(pk=command_id, state__in=OPEN)
        if not ended.update(state=state, ended_at=now, code=code[:32], error=message):
            return False
        values: dict[str, Any] = Command.objects.values_list("values", flat=True).get(pk=command_id)
        desired = {key: value for key, value in device.desired.items() if key not in values}
        desired |= {key: device.reported[key] for key in values if key in device.reported}
        device.desired = device.commanded = desired
        # A device that took the wish and acts on it late must learn that it no longer holds.
        device.desired_version += 1
        device.failed = failure(command_id, code, message, values, now)
        settle(device, "desired", "commanded", "desired_version", "failed")
    return True


def expire(*, now: datetime.datetime | None = None) -> int:
    """End every overdue command; how many."""
    now = now or timezone.now()
    overdue = Command.objects.filter(state__in=OPEN, expires_at__lte=now).order_by("pk")
    ended = 0
    for pk, state, offline in overdue.values_list("pk", "state", "device__presence"):
        if state != State.QUEUED:
            code, message = "no_answer", "The device did not answer."
        elif offline in (Device.Presence.OFFLINE, Device.Presence.LOST, Device.Presence.UNKNOWN):
            code, message = "undelivered", "The device is offline."
        else:
            code, message = "undelivered", "The device could not be reached."
        ended += fail(pk, code, message, state=State.EXPIRED, now=now)
    return ended


# -- the device's own row --------------------------------------------------------------------------------------


def locked(device_id: Any) -> Device:
    """The device with its type, its row locked until the end of the transaction. `NotFound`."""
    # SQLite has no row locks and needs none: its transactions are IMMEDIATE, so writers take turns from the start.
    rows = Device.objects.select_for_update(of=("self",)).select_related("type")
    device = rows.filter(pk=device_id).first()
    if device is None:
        raise NotFound("There is no such device.")
    # Whoever writes by SQL may leave anything anywhere; `desired` is looked at by `adopt`.
    for name in ("commanded", "reported"):
        if not isinstance(getattr(device, name), dict):
            setattr(device, name, {})
    if schema.problems(device.type.schema):
        device.type.schema = {}
    return device


def open_of(device: Device) -> list[Command]:
    return list(Command.objects.filter(device=device, state__in=OPEN).order_by("version"))


def settle(device: Device, *fields: str) -> None:
    """Save these fields, and `pending` as the commands now say."""
    device.pending = summary(open_of(device))
    device.save(update_fields=["pending", *fields])


def summary(commands: Iterable[Command]) -> dict[str, Any] | None:
    """Open commands as `Device.pending` shows them: the newest says who and since when."""
    listed = sorted(commands, key=lambda command: command.version)
    if not listed:
        return None
    newest = listed[-1]
    return {
        "command": newest.pk,
        "values": {key: value for command in listed for key, value in command.values.items()},
        "since": newest.created_at.isoformat(),
        "until": newest.expires_at.isoformat(),
        "by": newest.by,
        "via": newest.via,
        "state": str(newest.state),
    }


def failure(
    command_id: Any, code: str, message: str, values: dict[str, Any] | None, now: datetime.datetime
) -> dict[str, Any]:
    """How the last wish went wrong, as `Device.failed` shows it; without `values` there is nothing to try again."""
    return {"command": command_id, "code": code, "message": message, "at": now.isoformat(), "values": values}
