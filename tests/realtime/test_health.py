"""The health page: green while everything holds, red with the part's name otherwise."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection

from realtime import health as module
from realtime import triggers
from realtime.models import Journal
from tests.library.models import Shelf
from tests.realtime.serving import LIMIT, Served, served

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.0)
    monkeypatch.setattr(module, "SCHEMA_SECONDS", 0.0)
    monkeypatch.setattr(module, "START_SECONDS", 0.0)


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as found:
        yield found


def ask(server: Served, **headers: str) -> tuple[int, dict[str, Any], Any]:
    request = urllib.request.Request(f"{server.origin}/healthz", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            return answer.status, json.loads(answer.read()), answer.headers
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), error.headers


def test_a_server_in_order_is_green_and_names_its_parts(server: Served) -> None:
    status, report, headers = ask(server)
    assert (status, report["ok"]) == (200, True), report
    assert set(report["parts"]) >= {"database", "bus", "journal", "schema", "disk", "stream", "told"}
    assert report["counts"]["connections"] == 0
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"


def test_monitors_may_ask_by_any_name(server: Served) -> None:
    assert ask(server, Host="10.0.0.1")[0] == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-Ip", "Via"])
def test_what_comes_through_a_proxy_hears_whether_all_is_well_and_no_more(server: Served, header: str) -> None:
    status, report, _ = ask(server, **{header: "127.0.0.1"})
    assert (status, report) == (200, {"ok": True})


@pytest.mark.parametrize(("address", "near"), [("127.0.0.1", True), ("::1", True), ("192.0.2.7", False), ("", False)])
def test_only_this_machine_hears_details(address: str, near: bool) -> None:
    assert module.loopback(address) is near


def test_a_missing_trigger_is_red(server: Served, expect_log: Any) -> None:
    expect_log("realtime.health", "red: schema")
    expect_log("tornado.access", required=False)
    triggers.remove()
    try:
        status, report, _ = ask(server)
    finally:
        triggers.install()
    assert status == 503
    assert "library.shelf" in report["parts"]["schema"]["wrong"]
    expect_log("realtime.health", "green", required=False)
    assert ask(server)[0] == 200


def test_an_object_set_aside_is_red(expect_log: Any) -> None:
    expect_log("realtime.health", "red: journal")
    with served(relay=False) as server:
        Shelf.objects.create(name="one")
        Journal.objects.update(failed=True, dirty=True)
        assert ask(server)[1]["parts"]["journal"]["failed"] > 0


def test_a_full_disk_is_red(settings: Any, expect_log: Any) -> None:
    expect_log("realtime.health", "red: disk")
    settings.REALTIME_DISK_RED_BYTES = 1 << 60
    with served() as server:
        assert ask(server)[0] == 503


def test_a_database_that_does_not_answer_is_red_without_saying_why(
    server: Served, monkeypatch: pytest.MonkeyPatch, expect_log: Any
) -> None:
    def broken() -> Any:
        raise ConnectionError("password=secret host=10.0.0.1")

    expect_log("realtime.health", "red: ")
    monkeypatch.setattr(module, "_database", broken)
    status, report, _ = ask(server)
    assert status == 503
    assert report["parts"]["database"] == {"ok": False, "problem": "ConnectionError"}


class Part:
    """A service that is ready when the test says so."""

    ready = False

    def health(self) -> dict[str, Any]:
        return {"ok": self.ready}


def test_while_a_server_starts_it_is_red_without_a_warning(monkeypatch: pytest.MonkeyPatch, expect_log: Any) -> None:
    monkeypatch.setattr(module, "START_SECONDS", 60.0)
    part = Part()
    with served(parts={"relay of the test": part.health}) as server:
        status, report, _ = ask(server)
        assert (status, report["parts"]["relay of the test"]) == (503, {"ok": False})
        part.ready = True
        assert ask(server)[0] == 200
        # Once it was green, red is news, however soon.
        part.ready = False
        expect_log("realtime.health", "red: relay of the test")
        assert ask(server)[0] == 503


def test_it_writes_nothing(server: Served) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM realtime_journal")
        before = cursor.fetchone()
        ask(server)
        cursor.execute("SELECT count(*) FROM realtime_journal")
        assert cursor.fetchone() == before
