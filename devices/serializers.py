"""What clients see of the devices' world, and what they may set."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import router, transaction
from django.db.models import QuerySet

from devices import commands, rights
from devices.models import Attribute, Command, Device, DeviceType, Location, Membership, Status
from realtime.errors import Invalid
from realtime.serializers import ModelSerializer, ModelValidationError


class LocationSerializer(ModelSerializer):
    class Meta:
        model = Location
        publish_fields = ("name", "timezone", "icon")
        update_fields = ("name", "timezone", "icon")


class MembershipSerializer(ModelSerializer):
    class Meta:
        model = Membership
        publish_fields = ("user", "location", "role")


class DeviceTypeSerializer(ModelSerializer):
    class Meta:
        model = DeviceType
        publish_fields = ("name", "icon", "schema", "expected_every")


class DeviceSerializer(ModelSerializer):
    """All that a card shows, so that one change draws it. `desired` is set by asking for it, never by writing it."""

    shows: ClassVar = {"type": DeviceType, "location": Location}

    class Meta:
        model = Device
        publish_fields = (
            "uid", "name", "detail", "type", "location", "enabled", "desired", "desired_version", "reported",
            "reported_at", "acked_version", "is_on", "presence", "last_seen", "pending", "failed",
        )  # fmt: skip
        update_fields = ("uid", "name", "detail", "type", "location", "enabled", "desired")

    @classmethod
    def prefetched(cls, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return super().prefetched(queryset).select_related("type", "location")

    def serialize_type_name(self, device: Device) -> str:
        return device.type.name

    def serialize_icon(self, device: Device) -> str:
        return device.type.icon

    def serialize_schema(self, device: Device) -> Any:
        return device.type.schema

    def serialize_location_name(self, device: Device) -> str | None:
        return None if device.location is None else device.location.name

    def related_queryset(self, name: str) -> QuerySet[Any]:
        """Nobody brings a device to where they may not take it away again."""
        found = super().related_queryset(name)
        user = getattr(self.caller, "user", None)
        if name != "location" or rights.is_staff(user):
            return found
        managed = [pk for pk, role in rights.roles(user).items() if rights.allows(role, rights.Role.MANAGER)]
        return found.filter(pk__in=managed)

    def save(self) -> Any:
        wished = "desired" in self.data
        wish = self.data.pop("desired", None)
        with transaction.atomic(using=router.db_for_write(Device)):
            device = super().save()
            if wished:
                self._want(device, wish)
        return device

    def _want(self, device: Device, wish: Any) -> None:
        identity = getattr(self.caller, "identity", None)
        try:
            commands.want(device.pk, wish, user=getattr(self.caller, "user", None), via=via(identity))
        except Invalid as error:
            raise ModelValidationError(
                {"desired" if key == "__all__" else f"desired.{key}": said for key, said in error.data.items()}
            ) from None


class StatusSerializer(ModelSerializer):
    class Meta:
        model = Status
        publish_fields = ("device", "is_on", "valid_at", "source")


class AttributeSerializer(ModelSerializer):
    class Meta:
        model = Attribute
        publish_fields = ("device", "name", "value", "units", "valid_at", "received_at")


class CommandSerializer(ModelSerializer):
    class Meta:
        model = Command
        publish_fields = (
            "device", "values", "version", "state", "by", "via", "created_at", "sent_at", "ended_at", "expires_at",
            "code", "error",
        )  # fmt: skip


def via(identity: Any) -> str:
    """By which way a wish came, as the log names it."""
    kind = getattr(identity, "kind", None)
    return {"session": "panel", "token": "api", None: "api"}.get(kind, str(kind))
