"""What was: states, readings and commands, append-only and never needed to say how things are now.

Each row keeps the location that its device had then. Who may not see that location does not see the row, also after
the device has moved.
"""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from realtime.models import SelfPublishModel


class Moment(SelfPublishModel):
    """What the three have in common."""

    device = models.ForeignKey("devices.Device", on_delete=models.CASCADE, db_index=False)
    location = models.ForeignKey("devices.Location", on_delete=models.SET_NULL, null=True, blank=True)

    class Meta:
        abstract = True


class Status(Moment):
    """On or off, from `valid_at` on. Written when it changed."""

    serializer_class = "StatusSerializer"

    is_on = models.BooleanField()
    valid_at = models.DateTimeField(db_index=True)
    source = models.CharField(max_length=20)

    class Meta:
        verbose_name_plural = "statuses"
        ordering = ("-valid_at", "-pk")
        indexes = (models.Index(fields=["device", "-valid_at"], name="devices_status_latest"),)

    def __str__(self) -> str:
        return f"{'on' if self.is_on else 'off'} at {self.valid_at}"


class Attribute(Moment):
    """A reading. Written as often as the type says (`record`)."""

    serializer_class = "AttributeSerializer"

    name = models.CharField(max_length=32)
    value = models.FloatField()
    units = models.CharField(max_length=200, blank=True)
    valid_at = models.DateTimeField(db_index=True)
    received_at = models.DateTimeField()

    class Meta:
        ordering = ("-valid_at", "-pk")
        indexes = (
            models.Index(fields=["device", "name", "-valid_at"], name="devices_attribute_latest"),
            models.Index(fields=["device", "-valid_at"], name="devices_attribute_device"),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.value} {self.units} at {self.valid_at}"


class Command(Moment):
    """A wish on its way to the device. `values` are absolute, never "toggle"; a device may be told twice.

    States change by one UPDATE … WHERE state IN (…), so that of two who end a command only one does.
    """

    serializer_class = "CommandSerializer"

    class State(models.TextChoices):
        QUEUED = "queued"  # committed
        SENT = "sent"  # handed to the device's connection
        ACKED = "acked"  # the device has understood
        DONE = "done"  # the device reports these values
        FAILED = "failed"  # the device or its vendor refused
        EXPIRED = "expired"  # nothing came in time
        CANCELLED = "cancelled"  # a newer command wants something else

    OPEN = (State.QUEUED, State.SENT, State.ACKED)

    values = models.JSONField()
    version = models.BigIntegerField()
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    # The name as it was: the log stays readable when the user is gone.
    by = models.CharField(max_length=150, blank=True)
    via = models.CharField(max_length=20)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField()
    code = models.CharField(max_length=32, blank=True)
    error = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("-created_at", "-pk")
        indexes = (
            models.Index(fields=["device", "-created_at"], name="devices_command_latest"),
            models.Index(fields=["created_at"], name="devices_command_created"),
            models.Index(
                fields=["expires_at"], condition=Q(state__in=("queued", "sent", "acked")), name="devices_command_open"
            ),
        )

    def __str__(self) -> str:
        return f"{self.values} ({self.state})"
