"""What every router has: verbs, permissions, one reply per call."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, TypeVar

from asgiref.sync import async_to_sync
from django.core.exceptions import ImproperlyConfigured, PermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.http import Http404

from realtime import subscriptions
from realtime.answers import ERROR, LOGIN_REQUIRED, SUCCESS, Answer, Caller, Plan
from realtime.arguments import bind, call_hook, split
from realtime.errors import Invalid, NotAllowed, NotFound, UnknownVerb
from realtime.fields import publish_value
from realtime.permissions import LoginRequired, RoutePermission, refuse
from realtime.protocol import Call

Method = TypeVar("Method", bound=Callable[..., Any])

# What they do is more than their method: rights are judged, snapshots read.
ON_THREADS = ("subscribe", "unsubscribe")


def verb(method: Method) -> Method:
    """Offer a method to clients; naming it in `valid_verbs` does the same."""
    method.is_verb = True  # type: ignore[attr-defined]
    return method


class BaseRouter:
    """One object answers one call. Verbs are methods: they `send` the reply or return its data, or raise a
    RealtimeError. They run in a worker thread, so they may use the ORM; a verb that is `async def` is awaited on the
    server's loop, so it may neither use the ORM nor anything else that others would have to wait for."""

    route_name: ClassVar[str] = ""
    valid_verbs: ClassVar[Sequence[str]] = (
        "get_list", "get_single", "create", "update", "delete", "subscribe", "unsubscribe",
    )  # fmt: skip
    exclude_verbs: ClassVar[Sequence[str]] = ()
    # Asked in order. An empty list makes a route public, which nobody should do by forgetting a line.
    permission_classes: ClassVar[Sequence[RoutePermission | type[RoutePermission]]] = (LoginRequired,)
    # Models whose rows the contexts or channels are computed from → their column with the user's key.
    rights_from: ClassVar[Mapping[Any, str]] = {}
    serializer: Any = None

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        # SwampDragon's name for whoever calls.
        self.connection = caller
        self.context: dict[str, Any] = {}
        self.reply: Answer | None = None
        self._plan: Plan | None = None
        self._drop: str | None = None

    @property
    def user(self) -> Any:
        return self.caller.user

    @classmethod
    def get_name(cls) -> str:
        if not cls.route_name or not isinstance(cls.route_name, str):
            raise ImproperlyConfigured(f"{cls.__module__}.{cls.__qualname__}.route_name is missing.")
        return cls.route_name

    @classmethod
    def verbs(cls) -> frozenset[str]:
        marked = (name for name in dir(cls) if getattr(getattr(cls, name, None), "is_verb", False))
        return frozenset({*cls.valid_verbs, *marked} - set(cls.exclude_verbs))

    @classmethod
    def awaits(cls, verb: str) -> bool:
        """Whether it is a verb for the loop."""
        return verb not in ON_THREADS and inspect.iscoroutinefunction(getattr(cls, verb, None)) and cls._offers(verb)

    @classmethod
    def asks_database(cls) -> bool:
        """Whether one of the permissions may use the ORM."""
        return any(permission.uses_database for permission in cls.permission_classes)

    # Answering

    def answer(self, call: Call) -> Answer:
        """The reply to the call; RealtimeError refuses it, anything else is a fault of the app."""
        asked = self.asked(call)
        if asked is not None:
            with _refusals():
                returned = asked()
                if inspect.iscoroutine(returned):
                    returned = async_to_sync(_result)(returned)
            self._returned(returned, asked.keywords)
        return self._replied()

    async def answer_on_loop(self, asked: partial[Any] | None) -> Answer:
        """As `answer`, for what `asked` found."""
        if asked is not None:
            with _refusals():
                returned = await asked()
            self._returned(returned, asked.keywords)
        return self._replied()

    def asked(self, call: Call) -> partial[Any] | None:
        """The verb with its arguments, if the caller may call it; None: a permission has replied something else."""
        args = self._open(call)
        method = getattr(self, call.verb)
        # Leaving needs no right: who may no longer subscribe must still be able to go.
        if call.verb != "unsubscribe" and not self._permitted(call.verb, args):
            return None
        bind(method, args)
        return partial(method, **args)

    def plan(self, call: Call) -> Plan:
        """What this subscribe call entitles to now, without replying; RealtimeError if to nothing any more."""
        args = self._open(call)
        if not self._permitted(call.verb, args):
            refuse(self.caller)
        bind(self.subscribe, args)
        local = subscriptions.local_channel(args.pop("channel"))
        with _refusals():
            return self.make_plan(local=local, args=args)

    def make_plan(self, local: str, args: Mapping[str, Any]) -> Plan:
        return subscriptions.data_plan(self, local, args)

    # Replying

    def get_client_context(self, verb: str, **kwargs: Any) -> dict[str, Any]:
        """More for the client to know with each reply, as `context.client_context`."""
        return {}

    def send(self, data: Any, channel_setup: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        """Reply with success. A call gets one reply: a second is the app's mistake."""
        self._succeed(publish_value(data), channel_setup, kwargs)

    def send_error(self, data: Any, channel_setup: Mapping[str, Any] | None = None) -> None:
        self._answer(publish_value(data), ERROR, channel_setup)

    def send_login_required(self, channel_setup: Mapping[str, Any] | None = None) -> None:
        self._answer(None, LOGIN_REQUIRED, channel_setup)

    @staticmethod
    def make_channel_data(client_channel: str, server_channels: Iterable[str], action: str) -> dict[str, Any]:
        return {"local_channel": client_channel, "remote_channels": list(server_channels), "action": action}

    # Verbs

    def get_list(self, **kwargs: Any) -> Any:
        raise UnknownVerb

    def get_single(self, **kwargs: Any) -> Any:
        raise UnknownVerb

    def create(self, **kwargs: Any) -> Any:
        raise UnknownVerb

    def update(self, **kwargs: Any) -> Any:
        raise UnknownVerb

    def delete(self, **kwargs: Any) -> Any:
        raise UnknownVerb

    def get_subscription_channels(self, **kwargs: Any) -> Iterable[str]:
        """The data channels that these arguments of the client subscribe; `publish_data` sends to them."""
        raise UnknownVerb

    def subscribe(self, channel: Any, **kwargs: Any) -> None:
        local = subscriptions.local_channel(channel)
        self._plan = self.make_plan(local, kwargs)
        told = "subscribed" if self._plan.kind == "data" else self._plan.object_map
        self._succeed(told, self.make_channel_data(local, self._plan.channels, "subscribe"), kwargs)

    def unsubscribe(self, channel: Any, **kwargs: Any) -> None:
        self._drop = subscriptions.local_channel(channel)
        self._succeed("unsubscribed", self.make_channel_data(self._drop, (), "unsubscribe"), kwargs)

    def publish(self, channels: Iterable[str], publish_data: Any) -> None:
        """`realtime.publish_data` on several channels: sent when, and only when, the transaction commits."""
        from realtime import journal

        for channel in channels:
            journal.publish_data(channel, publish_data)

    # Private

    @classmethod
    def _offers(cls, verb: str) -> bool:
        """Whether it is one of `verbs`, and a method."""
        method = getattr(cls, verb, None)
        offered = verb in cls.valid_verbs or getattr(method, "is_verb", False)
        return offered and verb not in cls.exclude_verbs and callable(method)

    def _returned(self, returned: Any, args: Mapping[str, Any]) -> None:
        if self.reply is None:
            self._succeed(publish_value(returned), None, args)

    def _replied(self) -> Answer:
        reply: Answer = self.reply  # type: ignore[assignment]  # `_permitted` and `send` have set it
        reply.plan, reply.drop = self._plan, self._drop
        return reply

    def _open(self, call: Call) -> dict[str, Any]:
        """The verb's own arguments, for a verb that this router has."""
        if not self._offers(call.verb):
            raise UnknownVerb
        args, reserved = split(call.args)
        self.context = {"client_callback_name": call.callbackname, "verb": call.verb}
        if "_page" in reserved:
            self.context["page"] = reserved["_page"]
        return args

    def _permitted(self, verb: str, args: Mapping[str, Any]) -> bool:
        """False when a permission's own `permission_failed` has replied; otherwise a refusal is raised."""
        for permission in self.permission_classes:
            asked = permission() if isinstance(permission, type) else permission
            if not call_hook(asked.test_permission, self, verb, **args):
                asked.permission_failed(self)
                if self.reply is None:
                    refuse(self.caller)
                return False
        return True

    def _succeed(self, data: Any, channel_setup: Mapping[str, Any] | None, kwargs: Mapping[str, Any]) -> None:
        """Reply with what is in the wire's form already: nobody walks through a long list twice."""
        self.context["state"] = SUCCESS
        more = call_hook(self.get_client_context, self.context.get("verb"), **kwargs)
        self._answer(data, SUCCESS, channel_setup, more)

    def _answer(
        self,
        data: Any,
        state: str,
        channel_setup: Mapping[str, Any] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        if self.reply is not None:
            raise RuntimeError(f"{type(self).__name__} has replied to this call already.")
        told = {**self.context.get("client_context", {}), **(more or {})}
        self.reply = Answer(
            data=data,
            state=state,
            page=told.pop("page", None),
            client_context=publish_value(told) if told else None,
            channel_data=dict(channel_setup) if channel_setup is not None else None,
        )

    def _update_client_context(self, data: Mapping[str, Any]) -> None:
        self.context.setdefault("client_context", {}).update(data)


async def _result(awaitable: Any) -> Any:
    return await awaitable


@contextmanager
def _refusals() -> Iterator[None]:
    """Django's own ways to refuse mean the same here as in a view."""
    try:
        yield
    except PermissionDenied as error:
        raise NotAllowed(str(error) or None) from error
    except Http404 as error:
        raise NotFound from error
    except DjangoValidationError as error:
        told = error.message_dict if hasattr(error, "error_dict") else {"__all__": error.messages}
        raise Invalid(data=told) from error
