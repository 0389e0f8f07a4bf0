"""`manage.py journal status | install | remove [--sql]`."""

from __future__ import annotations

import io

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from realtime import journal, triggers
from tests.app.models import Named
from tests.realtime.journal_base import due, publish_all

pytestmark = pytest.mark.django_db(transaction=True)


def run(*words: str) -> str:
    out = io.StringIO()
    call_command("journal", *words, stdout=out)
    return out.getvalue()


def test_status_lists_every_label_and_what_is_due() -> None:
    Named.objects.create(code="a")
    said = run("status")
    assert "installed  app.named  app_named" in said
    assert "watch:app.tagging" in said
    assert "1 due" in said


def test_remove_and_install() -> None:
    assert "app_named" in run("remove")
    with pytest.raises(CommandError, match="journal install"):
        run("status")
    Named.objects.create(code="a")
    assert due() == {}
    assert "app.named" in run("install")
    assert ("app.named", "*") in due()
    assert run("install") == "Everything was in place.\n"
    assert "installed  app.named" in run("status")


def test_triggers_that_nobody_wants_are_shown_and_go() -> None:
    sql = triggers.dialect(connection)
    (trigger, *_) = sql.triggers(triggers.Watch(Named, "gone.model"))
    sql.execute(trigger.create)
    with pytest.raises(CommandError):
        run("status")
    assert "(nobody wants these)  app_named" in _status_text()
    run("install")
    assert "nobody" not in run("status")


def _status_text() -> str:
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("journal", "status", stdout=out)
    return out.getvalue()


def test_the_printed_sql_does_what_the_command_does() -> None:
    removing = run("remove", "--sql")
    making = run("install", "--sql")
    assert {s.state for s in triggers.status()} == {"installed"}
    _execute(removing)
    assert triggers.dialect(connection).installed() == []
    _execute(making)
    assert {s.state for s in triggers.status()} == {"installed"}
    publish_all()
    Named.objects.create(code="a")
    assert due() == {("app.named", "a"): [None]}


def test_a_restored_database_is_another_one() -> None:
    first = journal.identity()
    run("install")
    assert journal.identity() == first
    run("install", "--restored")
    assert journal.identity() != first


def test_without_tables_it_says_what_to_do() -> None:
    call_command("migrate", "realtime", "zero", verbosity=0, interactive=False)
    try:
        for action in ("install", "status"):
            with pytest.raises(CommandError, match="migrate realtime"):
                run(action)
    finally:
        call_command("migrate", "realtime", verbosity=0, interactive=False)


def _execute(script: str) -> None:
    """As psql and sqlite3 would: the whole script at once."""
    if connection.vendor == "sqlite":
        connection.ensure_connection()
        connection.connection.executescript(script)
    else:
        with connection.cursor() as cursor:
            cursor.execute(script)
