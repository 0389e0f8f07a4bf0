"""Keeping histories: which part of a report becomes a row, and how long rows stay."""

from __future__ import annotations

import datetime
from typing import Any

from django.db.models import Model
from django.utils import timezone

from devices import schema
from devices.models import Attribute, Command, Device, Status
from devices.settings import settings


def keep(
    device: Device,
    values: dict[str, Any],
    before: dict[str, Any],
    was_on: bool | None,
    *,
    source: str,
    now: datetime.datetime,
) -> None:
    """Write what a report changed: the switch always, numbers as their type says."""
    place = {"device": device, "location_id": device.location_id}
    if device.is_on is not None and device.is_on is not was_on:
        Status.objects.create(**place, is_on=device.is_on, valid_at=now, source=source[:20])
    numbers = {
        key: spec
        for key, spec in device.type.schema.items()
        if spec["kind"] == "number" and "record" in spec and schema.is_number(values.get(key))
    }
    recent = _recent(device, numbers, now)
    rows = [
        Attribute(
            **place, name=key, value=float(values[key]), units=spec.get("unit", ""), valid_at=now, received_at=now
        )
        for key, spec in numbers.items()
        if (key not in recent if spec["record"] else not schema.same(values[key], before.get(key)))
    ]
    if rows:
        Attribute.objects.bulk_create(rows)


def _recent(device: Device, numbers: dict[str, Any], now: datetime.datetime) -> set[str]:
    """Keys whose last kept reading is younger than the type wants the next one to be."""
    paces = {key: datetime.timedelta(seconds=spec["record"]) for key, spec in numbers.items() if spec["record"]}
    if not paces:
        return set()
    kept = Attribute.objects.filter(device=device, valid_at__gt=now - max(paces.values()))
    return {
        name for name, at in kept.order_by().values_list("name", "valid_at") if name in paces and at > now - paces[name]
    }


def prune(*, now: datetime.datetime | None = None) -> int:
    """Remove a bounded number of rows that are older than the settings want; how many."""
    now = now or timezone.now()
    history = now - datetime.timedelta(days=settings.HISTORY_DAYS)
    log = now - datetime.timedelta(days=settings.COMMAND_DAYS)
    return (
        _remove(Status, valid_at__lt=history)
        + _remove(Attribute, valid_at__lt=history)
        + _remove(Command, created_at__lt=log, ended_at__isnull=False)
    )


def _remove(model: type[Model], **old: Any) -> int:
    oldest = model._default_manager.filter(**old).order_by(next(iter(old)).partition("__")[0])
    keys = list(oldest.values_list("pk", flat=True)[: settings.PRUNE_ROWS])
    return model._default_manager.filter(pk__in=keys).delete()[0] if keys else 0
