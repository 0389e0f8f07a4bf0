"""Whose identity or rights end is out, in every process, whoever wrote it and however."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.utils import timezone

from devices.models import Device, Membership
from realtime.models import Token
from tests.promise.equality import equal, watched
from tests.promise.greenhouse import Greenhouse
from tests.promise.installation import SCALE, Installation, until
from tests.promise.storm import NEXT
from tests.realtime.serving import Peer, peer, person, session_of, token_of

pytestmark = pytest.mark.e2e


def log_out(user: User, session: str) -> None:
    Session.objects.get(pk=session).delete()


def change_password(user: User, session: str) -> None:
    user.set_password("another")
    user.save()


def deactivate(user: User, session: str) -> None:
    user.is_active = False
    user.save()


def revoke(user: User, session: str) -> None:
    token = Token.objects.get(user=user)
    token.revoked_at = timezone.now()
    token.save()


# What ends: whether of a token or a session, and how by instance, by queryset, and by SQL.
ENDS: dict[str, tuple[str, list[Any]]] = {
    "logout": (
        "session",
        [
            log_out,
            lambda user, session: Session.objects.filter(pk=session).delete(),
            "DELETE FROM django_session WHERE session_key = '{session}'",
        ],
    ),
    "password": (
        "session",
        [
            change_password,
            lambda user, session: User.objects.filter(pk=user.pk).update(password="!"),
            "UPDATE auth_user SET password = 'x' WHERE id = {user}",
        ],
    ),
    "deactivated": (
        "session",
        [
            deactivate,
            lambda user, session: User.objects.filter(pk=user.pk).update(is_active=False),
            "UPDATE auth_user SET is_active = false WHERE id = {user}",
        ],
    ),
    "deactivated, with a token": (
        "token",
        [
            deactivate,
            lambda user, session: User.objects.filter(pk=user.pk).update(is_active=False),
            "UPDATE auth_user SET is_active = false WHERE id = {user}",
        ],
    ),
    "revoked": (
        "token",
        [
            revoke,
            lambda user, session: Token.objects.filter(user=user).update(revoked_at=timezone.now()),
            "UPDATE realtime_token SET revoked_at = CURRENT_TIMESTAMP WHERE user_id = {user}",
        ],
    ),
}
WAYS = ("by instance", "by queryset", "by SQL")


def test_ended_identities_are_closed_on_every_server_within_five_seconds(installation: Installation) -> None:
    ended: dict[str, float] = {}
    closed: dict[str, list[tuple[int, float]]] = {}

    def watch(client: Peer) -> tuple[int, float]:
        return client.closed(), time.monotonic()

    with contextlib.ExitStack() as stack:
        bystander = stack.enter_context(peer(installation.ports[0], token=token_of(person("bystander"))))
        todo: list[tuple[str, Callable[[], None]]] = []
        clients: dict[str, list[Peer]] = {}
        for what, (kind, ways) in ENDS.items():
            for way, act in zip(WAYS, ways, strict=True):
                name = f"{what} {way}"
                user = person(name)
                session = session_of(user) if kind == "session" else ""
                known = {"session": session} if session else {"token": token_of(user)}
                clients[name] = [stack.enter_context(peer(port, **known)) for port in installation.ports]
                if isinstance(act, str):
                    sql = act.format(user=user.pk, session=session)
                    todo.append((name, lambda sql=sql: installation.program(sql)))  # type: ignore[misc]
                else:
                    todo.append((name, lambda act=act, user=user, session=session: act(user, session)))  # type: ignore[misc]
        pool = stack.enter_context(ThreadPoolExecutor(sum(map(len, clients.values()))))
        waiting = {name: [pool.submit(watch, client) for client in each] for name, each in clients.items()}
        for name, act in todo:
            act()
            ended[name] = time.monotonic()
        closed = {name: [future.result(30) for future in futures] for name, futures in waiting.items()}
        assert bystander.call("whoami", "session")["data"]["user"]["username"] == "bystander"
    took = {name: max(at for _, at in each) - ended[name] for name, each in closed.items()}
    worst = max(took, key=lambda name: took[name])
    print(f"{installation.kind}: {len(took)} ways, the slowest {worst!r} after {took[worst]:.3f} s")
    assert {code for each in closed.values() for code, _ in each} == {4001}
    assert took[worst] <= 5 * SCALE


def by_instance(house: Greenhouse, inst: Installation, membership: Membership) -> None:
    membership.delete()


def by_queryset(house: Greenhouse, inst: Installation, membership: Membership) -> None:
    Membership.objects.filter(pk=membership.pk).delete()


def by_sql(house: Greenhouse, inst: Installation, membership: Membership) -> None:
    inst.program(f"DELETE FROM devices_membership WHERE id = {membership.pk}")


def elsewhere(house: Greenhouse, inst: Installation, membership: Membership) -> None:
    Membership.objects.filter(pk=membership.pk).update(location=house.there)


def with_its_location(house: Greenhouse, inst: Installation, membership: Membership) -> None:
    house.here.delete()


@pytest.mark.parametrize("lose", [by_instance, by_queryset, by_sql, elsewhere, with_its_location])
def test_a_lost_membership_takes_its_objects_away_within_a_second(installation: Installation, lose: Any) -> None:
    house = Greenhouse.make()
    for number in range(len(installation.ports)):
        house.alias(f"operator {number}", "operator")
    with watched(installation, house, "staff", *(n for n in house.people if n.startswith("operator "))) as followers:
        operators = {who: one for who, one in followers.items() if who != "staff"}
        before = set(Device.objects.filter(location=house.here).values_list("pk", flat=True))
        assert all(set(one.screens()["devices"]) == before for one in operators.values())
        lose(house, installation, Membership.objects.get(user=house.people["operator"]))
        lost = time.monotonic()
        took = until(
            lambda: all(not before & set(one.screens()["devices"]) for one in operators.values()),
            "objects that are gone",
            1 * SCALE,
        )
        frames = {who: len(one.frames) for who, one in operators.items()}
        Device.objects.filter(pk__in=before).update(detail="not for them", **NEXT)
        for who in operators:
            house.theirs[who] = {house.here.pk, house.there.pk} if lose is elsewhere else house.theirs[who]
        equal(installation, house, followers, lost)
        assert not [f for who, one in operators.items() for f in one.frames[frames[who] :] if "not for them" in str(f)]
        print(f"{installation.kind}: {lose.__name__}: gone after {took:.3f} s")


@pytest.mark.parametrize("how", ["queryset", "SQL"])
def test_a_staff_member_that_is_none_any_more_sees_what_is_left(installation: Installation, how: str) -> None:
    house = Greenhouse.make()
    with watched(installation, house, "staff") as followers:
        user = house.people["staff"]
        if how == "queryset":
            User.objects.filter(pk=user.pk).update(is_staff=False)
        else:
            installation.program(f"UPDATE auth_user SET is_staff = false WHERE id = {user.pk}")
        print(f"{installation.kind}: {equal(installation, house, followers, time.monotonic()):.3f} s")
        assert followers["staff"].screens()["devices"] == {}
