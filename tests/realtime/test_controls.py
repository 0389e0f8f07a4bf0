"""Whose rights a changed row concerns."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.contrib.sessions.models import Session

from realtime import journal, registry
from realtime.change import Control
from realtime.controls import Judge
from realtime.journal import Row
from realtime.shows import Rights
from realtime.triggers import Watch
from tests.app.models import Label, Tagging

pytestmark = pytest.mark.django_db

# The tables of django.contrib.auth between users and groups.
UserGroups = User.groups.through


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`watched((model, columns), rights={model: column}, shown=[model])` is a judge of these declarations."""

    def judge(*watches: tuple[Any, tuple[str, ...]], rights: Any = (), shown: Any = ()) -> Judge:
        found = [Watch(model, f"watch:{model._meta.label_lower}", columns) for model, columns in watches]
        monkeypatch.setattr(registry, "watches", lambda: found)
        monkeypatch.setattr(registry, "rights", lambda: {m: [Rights(m, c)] for m, c in dict(rights).items()})
        monkeypatch.setattr(registry, "shows", lambda: {model: [] for model in shown})
        return Judge()

    return judge


def row(model: Any, pk: Any, *before: dict[str, Any] | None) -> Row:
    return Row(1, journal.OBJECT, f"watch:{model._meta.label_lower}", str(pk), 5, before, pk=pk)


def controls(judge: Judge, model: Any, *rows: Row) -> list[Control]:
    return [control for _, control in judge.controls(model, rows)]


def test_a_user_concerns_that_user(watched: Any) -> None:
    judge = watched((User, ()))
    assert controls(judge, User, row(User, 3), row(User, 4)) == [Control((3,), "rights"), Control((4,), "rights")]
    assert judge.everybody(User) == Control(None, "rights")


def test_a_membership_concerns_whom_it_named_before_and_names_now(watched: Any) -> None:
    user, group = User.objects.create(username="viewer"), Group.objects.create(name="hall")
    user.groups.add(group)
    membership = UserGroups.objects.get()
    judge = watched((UserGroups, ("user_id",)))
    (control,) = controls(judge, UserGroups, row(UserGroups, membership.pk, {"user_id": user.pk + 9}, None))
    assert set(control.users or ()) == {user.pk, user.pk + 9}
    assert control.reason == "rights"


def test_a_membership_that_is_gone_concerns_whom_it_named(watched: Any) -> None:
    judge = watched((UserGroups, ("user_id",)))
    assert controls(judge, UserGroups, row(UserGroups, 77, {"user_id": 8})) == [Control((8,), "rights")]


def test_rights_from_may_name_a_column_that_is_no_foreign_key_to_users(watched: Any) -> None:
    judge = watched((Tagging, ("thing_id",)), rights={Tagging: "thing_id"}, shown=[Tagging])
    assert controls(judge, Tagging, row(Tagging, 1, {"thing_id": 6})) == [Control((6,), "rights")]


def test_a_group_concerns_everybody(watched: Any) -> None:
    judge = watched((Group, ()))
    assert controls(judge, Group, row(Group, 1)) == [Control(None, "rights")]


def test_a_session_concerns_identities_only(watched: Any) -> None:
    judge = watched((Session, ()))
    assert controls(judge, Session, row(Session, "secret")) == [Control(None, "identity")]
    assert judge.everybody(Session) == Control(None, "identity")


def test_what_is_only_shown_concerns_nobody(watched: Any) -> None:
    judge = watched((Label, ()), shown=[Label])
    assert controls(judge, Label, row(Label, 1)) == []
    assert not judge.concerns(Label)
