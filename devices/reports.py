"""What devices say: the only way into `reported`, and the end of the wishes that it fulfils."""

from __future__ import annotations

import datetime
from typing import Any

from django.db import transaction
from django.db.models import Min
from django.utils import timezone

from devices import commands, readings, schema
from devices.models import Command, Device, DeviceType
from devices.settings import settings
from realtime.errors import Invalid

OPEN = Command.OPEN
State = Command.State
Presence = Device.Presence
SAID = (
    "reported", "reported_at", "is_on", "presence", "last_seen", "acked_version", "desired", "commanded", "pending",
    "failed",
)  # fmt: skip


def report(
    device_id: Any,
    values: dict[str, Any],
    *,
    version: int | None = None,
    source: str = "device",
    now: datetime.datetime | None = None,
) -> bool:
    """Take what a device says of itself. `version`: the newest `desired_version` that it knows, if it knows any.

    False: older than what it said before, and ignored but for being a sign of life. `Invalid`, `NotFound`.
    """
    with transaction.atomic():
        device = commands.locked(device_id)
        # Clocks of several machines: what is shown must not run backwards.
        now = max(now or timezone.now(), device.last_seen or datetime.datetime.min.replace(tzinfo=datetime.UTC))
        if errors := schema.check_report(device.type.schema, values):
            raise Invalid(data=errors)
        reported = {**device.reported, **values}
        if len(reported) > schema.KEYS or schema.size(reported) > schema.VALUES_BYTES:
            raise Invalid(data={"__all__": ["This device reports too much."]})
        device.last_seen, device.presence = now, Presence.ONLINE
        if version is not None and version < device.acked_version:
            device.save(update_fields=["last_seen", "presence"])
            return False
        # What was written into `desired` directly must count as a wish before the report is held against it.
        commands.adopt_locked(device, now)
        was_on, before = device.is_on, device.reported
        device.reported, device.reported_at = reported, now
        device.is_on = _switch(reported)
        if version is not None:
            # A version that was never given out, as after a restored backup, acknowledges nothing beyond.
            device.acked_version = max(device.acked_version, min(version, device.desired_version))
        device.pending = commands.summary(_answer(device, version, now))
        device.save(update_fields=SAID)
        readings.keep(device, values, before, was_on, source=source, now=now)
    return True


def refuse(device_id: Any, version: int, code: str, message: str, *, now: datetime.datetime | None = None) -> int:
    """The device will not do what was wanted up to this version; how many commands that ended."""
    open_ones = Command.objects.filter(device_id=device_id, version__lte=version, state__in=OPEN)
    ended = [pk for pk in open_ones.values_list("pk", flat=True) if commands.fail(pk, code, message, now=now)]
    with transaction.atomic():
        device = commands.locked(device_id)
        now = now or timezone.now()
        device.last_seen, device.presence = max(now, device.last_seen or now), Presence.ONLINE
        device.save(update_fields=["last_seen", "presence"])
    return len(ended)


def silence(*, now: datetime.datetime | None = None) -> int:
    """Call offline who was expected to report and did not; how many."""
    now = now or timezone.now()
    least = DeviceType.objects.aggregate(least=Min("expected_every"))["least"]
    if least is None:
        return 0
    online = Device.objects.filter(presence=Presence.ONLINE, last_seen__lt=now - _patience(least))
    ended = 0
    for pk, seen, every in online.order_by("pk").values_list("pk", "last_seen", "type__expected_every"):
        if seen is not None and seen < now - _patience(every):
            # One by one: a statement over many rows could lock them in another order than somebody else does.
            still = Device.objects.filter(pk=pk, presence=Presence.ONLINE, last_seen=seen)
            ended += still.update(presence=Presence.OFFLINE)
    return ended


def _patience(every: int) -> datetime.timedelta:
    return datetime.timedelta(seconds=max(every * 1.5, every + settings.SILENCE_SECONDS))


def _answer(device: Device, version: int | None, now: datetime.datetime) -> list[Command]:
    """Hold the report against what was wanted; the commands that stay open."""
    left: list[Command] = []
    for command in commands.open_of(device):
        # A device that tells versions may say the right thing for an older reason, and change it in a moment.
        answered = version is None or version >= command.version
        one = Command.objects.filter(pk=command.pk, state__in=OPEN)
        if answered and _satisfied(device, command.values):
            one.update(state=State.DONE, ended_at=now, code="", error="")
            continue
        if answered and version is not None and command.state != State.ACKED:
            one.update(state=State.ACKED)
            command.state = State.ACKED
        left.append(command)
    open_keys = {key for command in left for key in command.values}
    # Where nothing is open, a change came from the device, by its button or its own rule: `desired` follows, or the
    # server would fight the person who pressed it.
    device.desired = device.commanded = {
        key: device.reported.get(key, value) if key not in open_keys and not _satisfied(device, {key: value}) else value
        for key, value in device.desired.items()
    }
    if device.failed is not None and device.failed["values"] and _satisfied(device, device.failed["values"]):
        device.failed = None
    return left


def _satisfied(device: Device, values: dict[str, Any]) -> bool:
    return all(
        key in device.reported and schema.satisfied(device.type.schema.get(key), value, device.reported[key])
        for key, value in values.items()
    )


def _switch(reported: dict[str, Any]) -> bool | None:
    is_on = reported.get("on")
    return is_on if isinstance(is_on, bool) else None
