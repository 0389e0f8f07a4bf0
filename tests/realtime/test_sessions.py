"""Identities: recognised by cookie or token, and asked again whether they hold."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.utils import timezone

from realtime import sessions, tokens
from realtime.models import Token
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
    secret = text.split("_", 2)[2]  # which may hold an underscore itself
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


# -- several at once


def people(count: int) -> list[Any]:
    return [person(f"person {number}") for number in range(count)]


def test_tokens_that_come_together_are_recognised_in_one_query(django_assert_num_queries: Any) -> None:
    texts = [tokens.create(user, "x")[1] for user in people(9)]
    sessions.from_tokens(texts)  # notes their use
    with django_assert_num_queries(1):
        found = sessions.from_tokens([*texts, "mlt_0_0", "nonsense"])
    assert found.pop("mlt_0_0") is None and found.pop("nonsense") is None
    assert found == {text: sessions.from_token(text) for text in texts}
    assert [found[text].user.username for text in texts if found[text]] == [f"person {n}" for n in range(9)]  # type: ignore[union-attr]


def test_the_use_of_tokens_that_come_together_is_noted_at_once(django_assert_num_queries: Any) -> None:
    texts = [tokens.create(user, "x")[1] for user in people(9)]
    with django_assert_num_queries(2):
        sessions.from_tokens(texts)
    assert not Token.objects.filter(last_used_at=None)


def test_browsers_that_come_together_are_recognised_in_two_queries(django_assert_num_queries: Any) -> None:
    users = people(9)
    keys = [session_of(user) for user in users]
    type(users[0]).objects.filter(pk=users[0].pk).update(is_active=False)
    type(users[1]).objects.filter(pk=users[1].pk).update(password="other")
    Session.objects.filter(session_key=keys[2]).update(expire_date=timezone.now())
    with django_assert_num_queries(2):
        found = sessions.from_cookies([*keys, "no\0thing", "unknown"])
    ended = [*keys[:3], "no\0thing", "unknown"]
    assert {key for key, identity in found.items() if identity is None} == set(ended)
    for key, user in zip(keys[3:], users[3:], strict=True):
        assert found[key] == known(key)
        assert found[key].user == user  # type: ignore[union-attr]


def test_two_browsers_of_one_user_share_no_user_object() -> None:
    user = person()
    first, second = (found for found in sessions.from_cookies([session_of(user), session_of(user)]).values() if found)
    assert first.user == second.user and first.user is not second.user


class Guests(ModelBackend):
    """An app's backend that finds users its own way."""

    def get_user(self, user_id: Any) -> Any:
        return super().get_user(user_id) if user_id != 0 else None


def test_a_backend_that_finds_users_its_own_way_is_asked_for_each(settings: Any) -> None:
    users = people(3)
    keys = [session_of(user) for user in users]
    path = f"{__name__}.Guests"
    for key in keys:
        store = SessionStore(key)
        store["_auth_user_backend"] = path
        store.save()
    assert all(identity is None for identity in sessions.from_cookies(keys).values())
    settings.AUTHENTICATION_BACKENDS = [path]
    assert [identity.user for identity in sessions.from_cookies(keys).values() if identity] == users


class Tills:
    """An app's authenticator from before several could be asked for at once."""

    kind = "till"

    def recognise(self, token: str) -> sessions.Identity | None:
        return sessions.Identity(self.kind, token, None) if token.startswith("till") else None


def test_who_only_an_authenticator_for_one_can_tell_is_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "authenticators", lambda: (sessions.Sessions(), tokens.Tokens(), Tills()))
    text = tokens.create(person(), "x")[1]
    found = sessions.from_tokens([text, "till 1"])
    assert set(found) == {text}
    assert sessions.from_token("till 1") is not None
