"""Who may use a router's verbs. A router's `permission_classes` are asked in order; the first refusal is the answer.

Permissions say who may call; *which objects* a caller sees is said by the router's `get_subscription_contexts`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from realtime.errors import LoginRequired as LoginRequiredError
from realtime.errors import NotAllowed

if TYPE_CHECKING:
    from realtime.answers import Caller
    from realtime.routers import BaseRouter

Method = TypeVar("Method", bound=Callable[..., Any])


def is_signed_in(caller: Caller) -> bool:
    user = caller.user
    return user is not None and bool(user.is_authenticated)


def is_known(caller: Caller) -> bool:
    """Signed in as a user, or known in another way, as a device is by its token."""
    return is_signed_in(caller) or getattr(caller.identity, "subject", None) is not None


def refuse(caller: Caller) -> None:
    """NotAllowed, or LoginRequired for someone whom signing in could help."""
    raise NotAllowed if is_known(caller) else LoginRequiredError


class RoutePermission:
    """Override `test_permission`; override `permission_failed` only to answer something else than a refusal."""

    #: False: it asks nothing but the caller, so that for an `async def` verb it need not be asked in a thread.
    uses_database: bool = True

    def test_permission(self, router: BaseRouter, verb: str, **kwargs: Any) -> bool:
        raise NotImplementedError

    def permission_failed(self, router: BaseRouter) -> None:
        refuse(router.caller)


class ForVerbs(RoutePermission):
    """A permission that may be asked for some verbs only; without `verbs`, for all."""

    def __init__(self, verbs: Iterable[str] | None = None) -> None:
        self.verbs = None if verbs is None else frozenset(verbs)

    def test_permission(self, router: BaseRouter, verb: str, **kwargs: Any) -> bool:
        return (self.verbs is not None and verb not in self.verbs) or self.allows(router.caller)

    def allows(self, caller: Caller) -> bool:
        raise NotImplementedError


class LoginRequired(ForVerbs):
    uses_database = False

    def allows(self, caller: Caller) -> bool:
        return is_signed_in(caller)


class IsStaff(ForVerbs):
    uses_database = False

    def allows(self, caller: Caller) -> bool:
        return is_signed_in(caller) and bool(caller.user.is_active and caller.user.is_staff)


class DjangoModelPermission(ForVerbs):
    """Django's own permission, by name (`devices.change_device`)."""

    def __init__(self, permission: str, verbs: Iterable[str] | None = None) -> None:
        super().__init__(verbs)
        self.permission = permission

    def allows(self, caller: Caller) -> bool:
        return is_signed_in(caller) and bool(caller.user.has_perm(self.permission))


def login_required(method: Method) -> Method:
    """Decorate a verb: only for those who are signed in."""

    @functools.wraps(method)
    def checked(self: BaseRouter, *args: Any, **kwargs: Any) -> Any:
        if not is_signed_in(self.caller):
            raise LoginRequiredError
        return method(self, *args, **kwargs)

    @functools.wraps(method)
    async def checked_first(self: BaseRouter, *args: Any, **kwargs: Any) -> Any:
        return await checked(self, *args, **kwargs)

    return cast(Method, checked_first if inspect.iscoroutinefunction(method) else checked)
