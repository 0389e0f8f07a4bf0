"""Locations, who may do what in them, devices and their four truths. Histories and commands are in `history`."""

from __future__ import annotations

import secrets
import zoneinfo
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from devices import schema
from devices.changed import ChangedOnly
from devices.history import Attribute, Command, Status
from realtime.models import SelfPublishModel

__all__ = ["Attribute", "Command", "Device", "DeviceType", "Lease", "Location", "Membership", "Status"]

# An icon's name in the panel's own set; unknown names are drawn as a chip.
ICON = RegexValidator(r"^[a-z0-9-]*\Z", "An icon's name is lower case letters, digits and -.")
# Part of topics and URLs, printed on labels: what cannot be mistaken there.
UID = RegexValidator(r"^[a-z0-9][a-z0-9._-]*\Z", "Lower case letters, digits and . _ - are possible.")


def check_timezone(name: str) -> None:
    try:
        zoneinfo.ZoneInfo(name)
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise ValidationError("There is no such time zone; write it as Europe/Rome.") from None


def check_schema(value: Any) -> None:
    if found := schema.problems(value):
        raise ValidationError(found)


def check_values(value: Any) -> None:
    if not isinstance(value, dict):
        raise ValidationError("An object is expected.")
    if schema.size(value) > schema.VALUES_BYTES:
        raise ValidationError("This is too large.")


def new_uid() -> str:
    return secrets.token_hex(6)


class Location(SelfPublishModel, ChangedOnly):
    serializer_class = "LocationSerializer"

    name = models.CharField(max_length=100, unique=True)
    timezone = models.CharField(max_length=64, default="UTC", validators=[check_timezone])
    icon = models.CharField(max_length=40, blank=True, validators=[ICON])

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Membership(SelfPublishModel, ChangedOnly):
    """What a user may do in a location. Staff need none."""

    serializer_class = "MembershipSerializer"

    class Role(models.TextChoices):
        VIEWER = "viewer", "viewer: sees"
        OPERATOR = "operator", "operator: switches"
        MANAGER = "manager", "manager: changes"

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    location = models.ForeignKey(Location, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role, default=Role.VIEWER)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["user", "location"], name="devices_membership_once"),)

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.location}"


class DeviceType(SelfPublishModel, ChangedOnly):
    """What devices of a kind can report and be asked for."""

    serializer_class = "DeviceTypeSerializer"

    # The key: devices name it in their own column, so that lists can be filtered by it.
    slug = models.SlugField(primary_key=True, max_length=50)
    name = models.CharField(max_length=100)
    icon = models.CharField(max_length=40, blank=True, validators=[ICON])
    schema = models.JSONField(default=dict, blank=True, validators=[check_schema])
    expected_every = models.PositiveIntegerField(
        default=60, help_text="Seconds between two reports; a device silent for longer counts as offline."
    )

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name


class Device(SelfPublishModel, ChangedOnly):
    """One device. `desired` is what people want, `reported` what it said; neither is ever shown for the other.

    Wishes are made by `commands.want`, which checks them; whoever writes `desired` itself is obeyed as well, once
    `commands.adopt` has seen it. All that is shown of a device stands in its own row.
    """

    serializer_class = "DeviceSerializer"

    class Presence(models.TextChoices):
        UNKNOWN = "unknown"  # never heard of
        ONLINE = "online"
        SLEEPING = "sleeping"  # said that it will be silent
        OFFLINE = "offline"  # silent for longer than its type expects, or said goodbye
        LOST = "lost"  # its connection broke

    uid = models.CharField(max_length=64, unique=True, default=new_uid, validators=[UID])
    name = models.CharField(max_length=100)
    detail = models.CharField(max_length=100, blank=True, help_text="Make, model or place, beside the type's name.")
    type = models.ForeignKey(DeviceType, on_delete=models.PROTECT, related_name="devices")
    location = models.ForeignKey(
        Location,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="devices",
        db_index=False,  # the index with the name serves
        help_text="Without one only staff see it.",
    )
    vendor = models.CharField(max_length=32, blank=True)
    vendor_id = models.CharField(max_length=100, blank=True)
    # Never published: addresses and keys of the maker's own protocol stand here.
    vendor_config = models.JSONField(default=dict, blank=True, validators=[check_values])
    enabled = models.BooleanField(default=True)

    desired = models.JSONField(default=dict, blank=True, validators=[check_values])
    desired_version = models.BigIntegerField(default=0)
    # `desired` as far as commands exist for it: where the two differ, somebody wrote `desired` directly.
    commanded = models.JSONField(default=dict, blank=True, editable=False)
    reported = models.JSONField(default=dict, blank=True)
    reported_at = models.DateTimeField(null=True, blank=True)
    acked_version = models.BigIntegerField(default=0)
    # `reported["on"]`, for lists and filters.
    is_on = models.BooleanField(null=True, blank=True)
    presence = models.CharField(max_length=8, choices=Presence, default=Presence.UNKNOWN)
    last_seen = models.DateTimeField(null=True, blank=True)
    # What is open, and how the last wish went wrong: copies of commands, written with them.
    pending = models.JSONField(null=True, blank=True, editable=False)
    failed = models.JSONField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ("name", "pk")
        indexes = (
            models.Index(fields=["name", "id"], name="devices_device_name"),
            models.Index(fields=["location", "name"], name="devices_device_place"),
            models.Index(fields=["presence", "last_seen"], name="devices_device_seen"),
            models.Index(fields=["id"], condition=Q(pending__isnull=False), name="devices_device_pending"),
        )
        constraints = (
            models.UniqueConstraint(
                fields=["vendor", "vendor_id"], condition=~Q(vendor_id=""), name="devices_device_vendor_once"
            ),
        )

    def __str__(self) -> str:
        return self.name


class Lease(models.Model):
    """Who alone does a piece of work now, among all processes on this database."""

    name = models.CharField(primary_key=True, max_length=50)
    holder = models.CharField(max_length=64)
    until = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name} until {self.until}"
