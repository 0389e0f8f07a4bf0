"""Pages whose database is away or full say so, whatever failed: the view, the session, the user."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from django.db import OperationalError, ProgrammingError
from django.test import Client


@pytest.fixture
def client() -> Client:
    return Client(raise_request_exception=False)


def failing(error: Exception, cause: Exception | None = None) -> Any:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise error from cause

    return fail


def full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = 13
    return error


@pytest.fixture(autouse=True)
def told(expect_log: Any) -> None:
    # Django's own line, with the trace.
    expect_log("django.request", "")


def test_a_page_without_its_database_says_so_and_tries_again(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.contrib.auth.get_user", failing(OperationalError("gone")))
    response = client.get("/")
    assert (response.status_code, response["Retry-After"], response["Cache-Control"]) == (503, "5", "no-store")
    text = response.content.decode()
    assert "The database does not answer." in text
    assert '<meta http-equiv="refresh" content="5">' in text
    assert "gone" not in text


def test_a_form_is_not_sent_again_by_itself(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("project.views.SignIn.dispatch", failing(OperationalError("gone")))
    response = client.post("/signin/", {})
    text = response.content.decode()
    assert response.status_code == 503
    assert "Look later whether anything was changed" in text
    assert "refresh" not in text


def test_a_full_disk_is_told_apart(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("project.views.SignIn.dispatch", failing(OperationalError("x"), full()))
    response = client.post("/signin/", {})
    assert response.status_code == 503
    assert "refuses to write: nothing was changed" in response.content.decode()


@pytest.mark.parametrize("error", [ValueError("secret"), ProgrammingError("secret")])
def test_other_failures_stay_what_they_are(client: Client, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    monkeypatch.setattr("project.views.SignIn.dispatch", failing(error))
    response = client.get("/signin/")
    assert response.status_code == 500
    assert "secret" not in response.content.decode()
