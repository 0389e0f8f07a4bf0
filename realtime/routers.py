"""The routers' public face, and the two functions through which the server uses them: `run` and `plan`."""

from __future__ import annotations

from functools import partial
from typing import Any

from realtime import registry
from realtime.answers import ERROR, LOGIN_REQUIRED, SUCCESS, Answer, Caller, Plan, Snapshot
from realtime.errors import UnknownRoute
from realtime.model_router import ModelRouter
from realtime.protocol import Call
from realtime.registry import register
from realtime.router import BaseRouter, verb
from realtime.subscriptions import entries

__all__ = [
    "ERROR", "LOGIN_REQUIRED", "SUCCESS", "Answer", "BaseModelRouter", "BaseRouter", "Caller", "ModelRouter", "Plan",
    "Router", "Snapshot", "entries", "plan", "register", "run", "verb",
]  # fmt: skip

# SwampDragon's names.
Router = BaseRouter
BaseModelRouter = ModelRouter


def run(caller: Caller, call: Call) -> Answer:
    """The answer to one call (`entries` takes lists apart). It uses the ORM: call it in a worker thread.

    Refusals are raised as RealtimeError; anything else raised is a fault to be logged and answered as `internal`.
    """
    return _router(caller, call).answer(call)


def awaits(call: Call) -> bool:
    """Whether the call is for a verb that is awaited on the loop; it is answered by `begin` and `answer_on_loop`."""
    router_class = registry.routes.get(call.route)
    return router_class is not None and router_class.awaits(call.verb)


def asks_database(call: Call) -> bool:
    """Whether `begin` belongs into a worker thread."""
    return registry.routes[call.route].asks_database()


def begin(caller: Caller, call: Call) -> tuple[BaseRouter, partial[Any] | None]:
    """For a call that `awaits`: everything before the verb itself, which is refused as by `run`."""
    begun = _router(caller, call)
    return begun, begun.asked(call)


def plan(caller: Caller, call: Call) -> Plan:
    """What an accepted subscribe call entitles its caller to *now*; RealtimeError: to nothing any more."""
    return _router(caller, call).plan(call)


def _router(caller: Caller, call: Call) -> BaseRouter:
    router_class = registry.routes.get(call.route)
    if router_class is None:
        raise UnknownRoute
    return router_class(caller)
