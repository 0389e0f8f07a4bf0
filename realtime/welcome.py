"""What a client is told of itself and of this server: the answer to `whoami` and `login` on the route `session`."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from realtime.limits import Limits
from realtime.protocol import PROTOCOL_VERSION
from realtime.settings import settings

# The one route that the server answers itself.
SESSION = "session"


def introduction(user: Any, limits: Limits) -> dict[str, Any]:
    return {
        "user": _named(user),
        "time": timezone.now(),
        "protocol": PROTOCOL_VERSION,
        "limits": {
            "message_bytes": limits.message_bytes,
            "subscriptions": limits.subscriptions,
            "calls_per_second": limits.calls_per_second,
            "filter_values": limits.filter_values,
            "verb_seconds": settings.VERB_SECONDS,
            "heartbeat_seconds": settings.HEARTBEAT_SECONDS,
            "heartbeat_hidden_seconds": settings.HEARTBEAT_HIDDEN_SECONDS,
        },
    }


def _named(user: Any) -> dict[str, Any] | None:
    if getattr(user, "pk", None) is None:
        return None
    return {
        "id": user.pk,
        "username": user.get_username(),
        "name": user.get_full_name() if hasattr(user, "get_full_name") else "",
        "is_staff": bool(getattr(user, "is_staff", False)),
    }
