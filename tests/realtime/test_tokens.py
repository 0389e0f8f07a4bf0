"""Tokens: the command and the admin that make and end them."""

from __future__ import annotations

import io
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from realtime import sessions, tokens
from realtime.models import Token
from tests.realtime.serving import person

pytestmark = pytest.mark.django_db


def said(*words: str) -> str:
    out = io.StringIO()
    call_command("token", *words, stdout=out)
    return out.getvalue().strip()


def test_the_command_makes_a_token_that_holds_and_lists_it_without_its_secret() -> None:
    person("operator")
    text = said("create", "operator", "--name", "weather script")
    assert sessions.from_token(text) is not None
    listed = said("list")
    assert "operator" in listed and "holds" in listed and "weather script" in listed
    assert text.split("_", 2)[2] not in listed


def test_the_command_revokes_once() -> None:
    person("operator")
    text = said("create", "operator")
    key_id = text.split("_")[1]
    said("revoke", key_id)
    assert sessions.from_token(text) is None
    assert "revoked" in said("list", "operator")
    with pytest.raises(CommandError):
        said("revoke", key_id)


def test_the_command_names_what_it_does_not_know() -> None:
    with pytest.raises(CommandError, match="nobody"):
        said("create", "nobody")
    person("operator")
    with pytest.raises(CommandError, match="--days"):
        said("create", "operator", "--days", "0")


def test_a_token_for_some_days_says_when_it_ends() -> None:
    person("operator")
    identity = sessions.from_token(said("create", "operator", "--days", "2"))
    assert identity is not None and identity.expires is not None


def test_every_token_is_another_one() -> None:
    user = person()
    texts = {tokens.create(user, "x")[1] for _ in range(20)}
    assert len(texts) == 20
    assert all(len(text.split("_", 2)[2]) >= 32 for text in texts)


def test_use_is_noted_but_not_written_each_time(django_assert_num_queries: Any) -> None:
    _, text = tokens.create(person(), "x")
    sessions.from_token(text)
    assert Token.objects.get().last_used_at is not None
    with django_assert_num_queries(1):
        sessions.from_token(text)


def test_the_admin_shows_a_token_once(admin_client: Client) -> None:
    user = person("operator")
    answer = admin_client.post("/admin/realtime/token/add/", {"user": user.pk, "name": "made here"})
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    row = Token.objects.get()
    text = next(word for word in answer.content.decode().replace("<", " ").replace(">", " ").split() if "mlt_" in word)
    identity = sessions.from_token(text)
    assert identity is not None and identity.user == user
    for page in ("/admin/realtime/token/", f"/admin/realtime/token/{row.pk}/change/"):
        shown = admin_client.get(page).content.decode()
        assert row.key_id in shown or "made here" in shown
        assert text not in shown and row.digest not in shown


def test_the_admin_revokes_and_never_gives_a_token_to_another_user(admin_client: Client) -> None:
    user, other = person("operator"), person("viewer")
    row, text = tokens.create(user, "x")
    change = f"/admin/realtime/token/{row.pk}/change/"
    admin_client.post(change, {"user": other.pk, "name": "renamed"})
    row.refresh_from_db()
    assert (row.name, row.user) == ("renamed", user)
    admin_client.post("/admin/realtime/token/", {"action": "revoke", "_selected_action": [row.pk]})
    assert sessions.from_token(text) is None
