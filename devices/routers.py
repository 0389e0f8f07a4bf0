"""Routes of the devices' world: who sees which rows, and who may call what.

| | anonymous | viewer | operator | manager | staff |
|---|---|---|---|---|---|
| locations, devices, histories: see | no | theirs | theirs | theirs | all |
| device: ask for values, retry | no | no | yes | yes | yes |
| device: name, detail, location, enabled; location: name, time zone, icon | no | no | no | yes | yes |
| device: report, as its program does; create, delete, everything else of a device | no | no | no | no | yes |

What somebody may not see does not exist for them (`not_found`); what they see and may not do is `not_allowed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from devices import commands, reports, rights
from devices.models import Membership
from devices.serializers import (
    AttributeSerializer,
    CommandSerializer,
    DeviceSerializer,
    DeviceTypeSerializer,
    LocationSerializer,
    MembershipSerializer,
    StatusSerializer,
    via,
)
from realtime.errors import BadArgs, NotAllowed
from realtime.permissions import IsStaff, LoginRequired, RoutePermission
from realtime.routers import BaseRouter, ModelRouter, register, verb

Role = rights.Role
READ_ONLY = ("create", "update", "delete")
# One page of a history, and what a subscription to it begins with.
NEWEST = 200


class Theirs(BaseRouter):
    """Of what is shown, those who are not staff see what their memberships name."""

    permission_classes: ClassVar[Sequence[RoutePermission]] = (LoginRequired(), IsStaff(("create", "delete")))
    rights_from: ClassVar[Mapping[Any, str]] = {Membership: "user_id"}

    def theirs(self, field: str) -> dict[str, Any] | None:
        """The scope of the caller by the column that names the location; None: everything."""
        return None if rights.is_staff(self.user) else {f"{field}__in": sorted(rights.roles(self.user))}


@register
class LocationRouter(Theirs, ModelRouter):
    route_name = "location"
    serializer_class = LocationSerializer
    scope_fields = ("id",)

    def get_subscription_contexts(self, **kwargs: Any) -> dict[str, Any] | None:
        return self.theirs("id")

    def get_update_data(self, obj: Any, **kwargs: Any) -> Mapping[str, Any]:
        rights.require(self.user, Role.MANAGER, obj.pk)
        return kwargs

    @verb
    def roles(self) -> dict[str, str]:
        """What the caller may do, by location."""
        return {str(pk): role for pk, role in rights.roles(self.user).items()}


@register
class MembershipRouter(ModelRouter):
    """The caller's own memberships, live: a panel locks its switches by them."""

    route_name = "membership"
    serializer_class = MembershipSerializer
    exclude_verbs = READ_ONLY
    scope_fields = ("user",)

    def get_subscription_contexts(self, **kwargs: Any) -> dict[str, Any]:
        return {"user": self.user.pk}


@register
class DeviceTypeRouter(ModelRouter):
    route_name = "devicetype"
    serializer_class = DeviceTypeSerializer
    exclude_verbs = READ_ONLY


@register
class DeviceRouter(Theirs, ModelRouter):
    route_name = "device"
    serializer_class = DeviceSerializer
    permission_classes = (LoginRequired(), IsStaff(("create", "delete", "report")))
    filter_fields: ClassVar = {
        "uid": ("exact",),  # a device's own program knows nothing else of itself
        "location": ("exact", "in", "isnull"),
        "type": ("exact", "in"),
        "is_on": ("exact", "isnull"),
        "presence": ("exact", "in"),
        "enabled": ("exact",),
    }
    managed = frozenset({"desired", "name", "detail", "location", "enabled"})

    def get_subscription_contexts(self, **kwargs: Any) -> dict[str, Any] | None:
        return self.theirs("location")

    def get_update_data(self, obj: Any, **kwargs: Any) -> Mapping[str, Any]:
        if not kwargs.keys() <= self.managed and not rights.is_staff(self.user):
            raise NotAllowed
        rights.require(self.user, Role.OPERATOR if kwargs.keys() <= {"desired"} else Role.MANAGER, obj.location_id)
        return kwargs

    @verb
    def retry(self, id: Any) -> Any:
        """Ask again for what went wrong last; the reply is the device."""
        device = self.visible_object({"id": id})
        rights.require(self.user, Role.OPERATOR, device.location_id)
        commands.retry(device.pk, user=self.user, via=via(self.caller.identity))
        return self.fresh(device).serialize()

    @verb
    def report(self, id: Any, values: Any, version: Any = None) -> Any:
        """What the device says of itself, `version` being the newest `desired_version` it knows; the reply is the
        device. What is older than an earlier report is a sign of life and changes nothing else."""
        if version is not None and (isinstance(version, bool) or not isinstance(version, int)):
            raise BadArgs("'version' is the number that stood in 'desired_version'.")
        device = self.visible_object({"id": id})
        reports.report(device.pk, values, version=version, source=via(self.caller.identity))
        return self.fresh(device).serialize()


class HistoryRouter(Theirs, ModelRouter):
    """Rows of one device, which every call must name. They are seen by who sees the location they were made in."""

    exclude_verbs = (*READ_ONLY, "get_single")
    filter_fields: ClassVar[Mapping[str, tuple[str, ...]]] = {"device": ("exact",)}
    scope_fields = ("location",)
    paginate_by = NEWEST
    snapshot_limit = NEWEST

    def get_subscription_contexts(self, **kwargs: Any) -> dict[str, Any]:
        # Nothing is asked of the device itself: whether it exists, or where it is now, is nobody's to learn here.
        if kwargs["device"] is None:
            raise BadArgs("The argument 'device' is missing.")
        return {"device": kwargs["device"], **(self.theirs("location") or {})}


@register
class StatusRouter(HistoryRouter):
    route_name = "status"
    serializer_class = StatusSerializer


@register
class AttributeRouter(HistoryRouter):
    route_name = "attribute"
    serializer_class = AttributeSerializer
    filter_fields: ClassVar = {
        "device": ("exact",),
        "name": ("exact", "in"),
        "valid_at": ("gt", "gte", "lt", "lte"),
    }


@register
class CommandRouter(HistoryRouter):
    route_name = "command"
    serializer_class = CommandSerializer
