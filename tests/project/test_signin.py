"""The one-time link: signs in once, by POST, for a quarter of an hour."""

import stat
import threading
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test import Client

from project import first_user, signin

pytestmark = pytest.mark.django_db


@pytest.fixture
def operator() -> User:
    return User.objects.create_user("operator", password="a long enough one")


def signed_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_the_key_signs_in_by_post(client: Client, operator: User) -> None:
    answer = client.post("/hello/", {"key": signin.keys.make_key(operator)})
    assert answer.status_code == 302
    assert client.session["_auth_user_id"] == str(operator.pk)


def test_opening_the_page_changes_nothing(client: Client, operator: User) -> None:
    key = signin.keys.make_key(operator)
    answer = client.get("/hello/", {"key": key})
    assert answer.status_code == 200
    assert b"<button" in answer.content
    assert not signed_in(client)
    assert signin.keys.user_of(key) == operator


def test_a_key_works_once(client: Client, operator: User) -> None:
    key = signin.keys.make_key(operator)
    client.post("/hello/", {"key": key})
    second = Client()
    answer = second.post("/hello/", {"key": key})
    assert answer.status_code == 403
    assert b"./run link" in answer.content
    assert not signed_in(second)


def test_a_key_made_right_after_a_signin_works_once_too(client: Client, operator: User) -> None:
    client.force_login(operator)
    operator.refresh_from_db()
    key = signin.keys.make_key(operator)
    assert signin.keys.claim(key) == operator
    assert signin.keys.claim(key) is None


def test_a_key_ends_after_a_quarter_of_an_hour(operator: User, monkeypatch: pytest.MonkeyPatch) -> None:
    key = signin.keys.make_key(operator)
    made = datetime.now()
    monkeypatch.setattr(signin.LinkKeys, "_now", lambda _: made + timedelta(minutes=14, seconds=58))
    assert signin.keys.user_of(key) == operator
    monkeypatch.setattr(signin.LinkKeys, "_now", lambda _: made + timedelta(minutes=15, seconds=2))
    assert signin.keys.user_of(key) is None


def test_a_new_password_and_deactivation_end_a_key(operator: User) -> None:
    key = signin.keys.make_key(operator)
    User.objects.filter(pk=operator.pk).update(is_active=False)
    assert signin.keys.user_of(key) is None
    operator.set_password("another long one")
    operator.save()
    assert operator.is_active
    assert signin.keys.user_of(key) is None


@pytest.mark.parametrize("key", ["", ":", "1", "x:y", "1:y", "9" * 40 + ":y", "\u0661:y", "1:cx-\x00", "-1:a-b"])
def test_what_is_no_key_is_refused_alike(client: Client, operator: User, key: str) -> None:
    assert client.post("/hello/", {"key": key}).status_code == 403
    assert not signed_in(client)


def test_the_key_of_one_user_is_not_anothers(client: Client, operator: User) -> None:
    other = User.objects.create_user("viewer")
    token = signin.keys.make_key(operator).partition(":")[2]
    assert client.post("/hello/", {"key": f"{other.pk}:{token}"}).status_code == 403


def test_the_post_needs_the_csrf_token(operator: User) -> None:
    strict = Client(enforce_csrf_checks=True)
    key = signin.keys.make_key(operator)
    assert strict.post("/hello/", {"key": key}).status_code == 403
    assert signin.keys.user_of(key) == operator


@pytest.mark.django_db(transaction=True)
def test_of_many_who_bring_a_key_at_once_one_gets_in(operator: User) -> None:
    key = signin.keys.make_key(operator)
    together = threading.Barrier(4)
    got: list[User | None] = []

    def bring() -> None:
        try:
            together.wait(timeout=10)
            got.append(signin.keys.claim(key))
        finally:
            connection.close()

    threads = [threading.Thread(target=bring) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert len(got) == 4
    assert [user for user in got if user is not None] == [operator]


def test_the_link_carries_the_key_in_the_fragment(operator: User) -> None:
    address, _, key = signin.link("http://127.0.0.1:8000", operator).partition("#")
    assert address == "http://127.0.0.1:8000/hello/"
    assert signin.keys.user_of(key) == operator


# -- the command and the first user -----------------------------------------------------------------------------


def test_the_command_prints_a_link_that_works(capsys: pytest.CaptureFixture[str], operator: User) -> None:
    call_command("link", user="operator")
    printed = capsys.readouterr().out.strip()
    assert printed.startswith(settings.MARSHLIGHT_URL + "/hello/#")
    assert signin.keys.user_of(printed.partition("#")[2]) == operator


def test_the_command_refuses_a_user_who_is_not_there() -> None:
    with pytest.raises(CommandError, match="no active user 'nobody'"):
        call_command("link", user="nobody")


def test_the_administrator_is_made_once_with_a_password_only_the_owner_reads(tmp_path: Path) -> None:
    made = first_user.administrator(tmp_path)
    path = first_user.password_file(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert made.check_password(path.read_text().strip())
    assert made.is_superuser and made.is_staff
    assert first_user.administrator(tmp_path) == made
    assert User.objects.count() == 1


def test_a_file_left_by_an_older_database_is_replaced(tmp_path: Path) -> None:
    first_user.password_file(tmp_path).write_text("old")
    made = first_user.administrator(tmp_path)
    assert made.check_password(first_user.password_file(tmp_path).read_text().strip())


def test_a_name_already_taken_is_left_alone(tmp_path: Path) -> None:
    taken = User.objects.create_user("admin")
    made = first_user.administrator(tmp_path)
    assert made.username != "admin"
    taken.refresh_from_db()
    assert not taken.is_superuser
