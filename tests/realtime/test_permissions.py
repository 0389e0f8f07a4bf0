"""Permissions: who may use which verb, and what somebody who may not is told."""

# ruff: noqa: RUF012  routers of one test each

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User

from realtime import registry
from realtime.errors import LoginRequired as LoginRequiredError
from realtime.errors import NotAllowed
from realtime.permissions import DjangoModelPermission, IsStaff, LoginRequired, RoutePermission
from realtime.routers import Router
from tests.realtime.callers import Caller, anonymous, ask, operator, staff

pytestmark = pytest.mark.django_db


@dataclass(frozen=True)
class DeviceIdentity:
    subject: str = "a device"


@pytest.fixture(autouse=True)
def routes() -> Iterator[None]:
    before = dict(registry.routes)
    yield
    registry.routes.clear()
    registry.routes.update(before)


def guarded(*permissions: Any) -> None:
    class Guarded(Router):
        route_name = "guarded"
        permission_classes = permissions
        valid_verbs = ["look", "touch"]

        def look(self, **kwargs: Any) -> str:
            return "seen"

        def touch(self) -> str:
            return "touched"

    registry.register(Guarded)


def outcome(caller: Caller, verb: str = "look") -> Any:
    try:
        return ask(caller, "guarded", verb).data
    except (NotAllowed, LoginRequiredError) as error:
        return error.code


def test_a_router_is_closed_until_it_says_who_may_come() -> None:
    class Default(Router):
        route_name = "default"
        valid_verbs = ["look"]

        def look(self) -> str:
            return "seen"

    registry.register(Default)
    with pytest.raises(LoginRequiredError):
        ask(anonymous(), "default", "look")
    assert ask(operator(), "default", "look").data == "seen"


def test_an_empty_list_makes_a_route_public() -> None:
    guarded()
    assert outcome(anonymous()) == outcome(Caller(None)) == "seen"


@pytest.mark.parametrize("permission", [LoginRequired, LoginRequired()])
def test_classes_and_instances_both_do(permission: Any) -> None:
    guarded(permission)
    assert (outcome(anonymous()), outcome(Caller(None)), outcome(operator())) == (
        "login_required", "login_required", "seen",
    )  # fmt: skip


def test_a_permission_can_be_for_some_verbs_only() -> None:
    guarded(LoginRequired(verbs=["touch"]))
    assert (outcome(anonymous()), outcome(anonymous(), "touch")) == ("seen", "login_required")


def test_staff_only() -> None:
    guarded(IsStaff())
    assert (outcome(anonymous()), outcome(operator()), outcome(staff())) == ("login_required", "not_allowed", "seen")


def test_djangos_own_permissions() -> None:
    guarded(DjangoModelPermission("library.change_book"))
    caller = operator()
    assert outcome(caller) == "not_allowed"
    caller.user.user_permissions.add(Permission.objects.get(codename="change_book"))
    assert outcome(Caller(User.objects.get(pk=caller.user.pk))) == "seen"


def test_signing_in_is_not_asked_of_a_device() -> None:
    guarded(LoginRequired())
    caller = anonymous()
    caller.identity = DeviceIdentity()
    assert outcome(caller) == "not_allowed"


def test_the_first_refusal_is_the_answer() -> None:
    asked: list[str] = []

    class Refusing(RoutePermission):
        def __init__(self, name: str, allowed: bool) -> None:
            self.name, self.allowed = name, allowed

        def test_permission(self, router: Any, verb: str, **kwargs: Any) -> bool:
            asked.append(self.name)
            return self.allowed

    guarded(Refusing("a", True), Refusing("b", False), Refusing("c", True))
    assert outcome(operator()) == "not_allowed"
    assert asked == ["a", "b"]


def test_a_ported_permission_may_answer_itself() -> None:
    class Ported(RoutePermission):
        def test_permission(self, handler: Any, verb: str, **kwargs: Any) -> bool:
            return handler.connection.user is not None and kwargs.get("word") == "open"

        def permission_failed(self, handler: Any) -> None:
            handler.send_login_required()

    guarded(Ported())
    answer = ask(operator(), "guarded", "look")
    assert (answer.state, answer.data) == ("login_required", None)
    assert ask(operator(), "guarded", "look", word="open").data == "seen"


def test_a_permission_that_fails_without_a_word_still_refuses() -> None:
    class Silent(RoutePermission):
        def test_permission(self, router: Any, verb: str, **kwargs: Any) -> bool:
            return False

        def permission_failed(self, router: Any) -> None:
            pass

    guarded(Silent())
    assert (outcome(anonymous()), outcome(operator())) == ("login_required", "not_allowed")


def test_the_decorator_guards_one_verb() -> None:
    with pytest.raises(LoginRequiredError):
        ask(anonymous(), "room", "members")
    assert ask(operator(), "room", "members").data == ["operator"]
