"""Who may see a location and what they may do there: staff anything, others what their memberships say."""

from __future__ import annotations

from typing import Any

from devices.models import Location, Membership
from realtime.errors import NotAllowed

Role = Membership.Role

# Each may do what those before it may.
RANKS = [Role.VIEWER, Role.OPERATOR, Role.MANAGER]


def is_staff(user: Any) -> bool:
    return bool(user is not None and user.is_active and user.is_staff)


def roles(user: Any) -> dict[int, str]:
    """Location → role, of every location that the user sees. Asked once of a user object, as Django does with
    permissions: each call, and each list of subscriptions, reads its user anew."""
    if is_staff(user):
        return dict.fromkeys(Location.objects.values_list("pk", flat=True), str(Role.MANAGER))
    if user is None or not user.is_active or user.pk is None:
        return {}
    if not hasattr(user, "_roles"):
        rows = Membership.objects.filter(user_id=user.pk).values_list("location_id", "role")
        user._roles = dict(sorted(rows))
    found: dict[int, str] = user._roles
    return found


def require(user: Any, role: Role, location_id: Any) -> None:
    """NotAllowed unless the user has at least this role there; what has no location is for staff."""
    if not is_staff(user) and not allows(roles(user).get(location_id), role):
        raise NotAllowed


def allows(found: str | None, role: Role) -> bool:
    return found is not None and RANKS.index(Role(found)) >= RANKS.index(role)
