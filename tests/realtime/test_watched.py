"""Which rows of Django's own tables the journal watches, and which of their changes count."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, Permission, User
from django.contrib.sessions.models import Session

from realtime import registry
from realtime.models import Journal, Token
from tests.realtime.serving import person, session_of, token_of


def watches() -> dict[Any, Any]:
    return {watch.model: watch for watch in registry.watches()}


def test_users_sessions_tokens_groups_and_permissions_are_watched() -> None:
    found = watches()
    assert found[User].on == ("is_active", "is_staff", "is_superuser", "password")
    assert found[User].events == {"update", "delete"}
    assert found[Session].events == {"delete"}
    assert {Token, User.groups.through, User.user_permissions.through, Group.permissions.through, Permission} <= set(
        found
    )
    assert "user_id" in found[User.groups.through].columns


@pytest.mark.django_db
def test_only_what_ends_or_changes_something_is_journalled() -> None:
    user = person()
    token_of(user)
    session_of(user)
    Journal.objects.all().delete()

    def journalled() -> set[str]:
        labels = set(Journal.objects.values_list("label", flat=True))
        Journal.objects.all().delete()
        return labels

    User.objects.update(last_login=None, first_name="New", email="a@b.example")
    Token.objects.update(name="renamed")
    Session.objects.update(session_data="x")
    assert journalled() == set()
    User.objects.filter(pk=user.pk).update(is_staff=True)
    assert journalled() == {"watch:auth.user"}
    Token.objects.update(expires_at="2030-01-01T00:00:00Z")
    assert journalled() == {"watch:realtime.token"}
    Session.objects.all().delete()
    assert journalled() == {"watch:sessions.session"}
