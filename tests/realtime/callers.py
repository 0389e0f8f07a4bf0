"""Who calls in the tests of routers, and one call of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.contrib.auth.models import AnonymousUser, User

from realtime.protocol import Call
from realtime.routers import Answer, run


@dataclass
class Caller:
    user: Any
    identity: Any = None
    connection_id: str = "connection"


def anonymous() -> Caller:
    return Caller(AnonymousUser())


def operator(**more: Any) -> Caller:
    user, _ = User.objects.get_or_create(username="operator", defaults=more)
    return Caller(user)


def staff() -> Caller:
    user, _ = User.objects.get_or_create(username="manager", defaults={"is_staff": True})
    return Caller(user)


def ask(caller: Caller, route: str, verb: str, /, **args: Any) -> Answer:
    return run(caller, Call(verb, route, args, "c1"))
