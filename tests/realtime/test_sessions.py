"""Identities: recognised by cookie or token, and asked again whether they hold."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.models import Session
from django.utils import timezone

from realtime import sessions, tokens
from realtime.sessions import Identity
from tests.realtime.serving import person, session_of

pytestmark = pytest.mark.django_db

ENGINES = ["db", "cached_db", "cache", "signed_cookies"]


def known(key: str) -> Identity:
    identity = sessions.from_cookie(key)
    assert identity is not None
    return identity


@pytest.mark.parametrize("engine", ENGINES)
def test_a_session_is_its_user_whatever_store_it_is_in(settings: Any, engine: str) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    user = person()
    identity = known(session_of(user))
    assert (identity.kind, identity.user) == ("session", user)
    assert sessions.holding([identity]) == {identity}


@pytest.mark.parametrize("engine", ENGINES)
def test_what_was_never_a_session_is_nobody(settings: Any, engine: str) -> None:
    settings.SESSION_ENGINE = f"django.contrib.sessions.backends.{engine}"
    for key in ("", "invented", "a" * 32, "x:y:z", "'; --"):
        assert sessions.from_cookie(key) is None, key


def test_a_session_of_somebody_who_never_signed_in_is_nobody() -> None:
    store: Any = sessions._store()()
    store["basket"] = 1
    store.create()
    assert sessions.from_cookie(store.session_key) is None


def test_looking_at_a_session_writes_nothing(django_assert_num_queries: Any) -> None:
    key = session_of(person())
    before = list(Session.objects.values())
    known(key)
    sessions.from_cookie("invented")
    assert list(Session.objects.values()) == before


@pytest.mark.parametrize(
    "end",
    [
        lambda user: Session.objects.all().delete(),
        lambda user: Session.objects.update(expire_date=timezone.now()),
        lambda user: type(user).objects.update(is_active=False),
        lambda user: type(user).objects.update(password="other"),
        lambda user: type(user).objects.all().delete(),
    ],
    ids=["deleted", "expired", "inactive", "password", "user deleted"],
)
def test_a_session_ends_however_it_is_ended(end: Any) -> None:
    user = person()
    identity = known(session_of(user))
    end(user)
    assert sessions.holding([identity]) == set()
    assert sessions.from_cookie(identity.secret) is None


def test_a_session_made_under_an_earlier_secret_key_still_holds(settings: Any) -> None:
    identity = known(session_of(person()))
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another"
    assert sessions.holding([identity]) == {identity}


def test_a_session_longer_by_use_gets_its_new_end() -> None:
    identity = known(session_of(person()))
    later = timezone.now() + dt.timedelta(days=99)
    Session.objects.update(expire_date=later)
    assert [held.expires for held in sessions.holding([identity])] == [later]


def test_a_token_is_its_user_until_it_is_revoked_or_ends() -> None:
    user = person()
    row, text = tokens.create(user, "script")
    identity = sessions.from_token(text)
    assert identity is not None and identity.user == user
    assert sessions.holding([identity]) == {identity}
    row.expires_at = timezone.now()
    row.save()
    assert sessions.holding([identity]) == set()
    assert sessions.from_token(text) is None


def test_no_token_is_kept_or_shown() -> None:
    row, text = tokens.create(person(), "script")
    identity = sessions.from_token(text)
    secret = text.rpartition("_")[2]
    assert secret not in repr(identity)
    assert all(secret not in str(value) for value in type(row).objects.values()[0].values())


def test_neither_session_nor_password_hash_is_in_the_repr() -> None:
    user = person()
    key = session_of(user)
    assert key not in repr(known(key))
    assert known(key).auth_hash not in repr(known(key))


def test_many_identities_are_asked_for_in_few_queries(django_assert_max_num_queries: Any) -> None:
    users = get_user_model()._default_manager.bulk_create(
        [get_user_model()(username=f"person {number}") for number in range(40)]
    )
    held = [tokens.create(user, "x")[1] for user in users]
    identities = [identity for text in held if (identity := sessions.from_token(text))]
    with django_assert_max_num_queries(3):
        assert sessions.holding([*identities, sessions.anonymous()]) == {*identities, sessions.anonymous()}


def test_a_call_sees_its_user_as_it_is_now() -> None:
    user = person()
    identity = known(session_of(user))
    type(user).objects.update(is_staff=True)
    fresh = sessions.refreshed(identity)
    assert fresh is not None and fresh.user.is_staff
    type(user).objects.update(password="other")
    assert sessions.refreshed(identity) is None


def test_the_anonymous_need_no_query(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        assert sessions.refreshed(sessions.anonymous()) == sessions.anonymous()
        assert sessions.holding([sessions.anonymous()]) == {sessions.anonymous()}
