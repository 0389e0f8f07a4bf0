"""SQLite's triggers stand alone: any program may write, and blobs or infinities do not stop it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess

import pytest
from django.db import connection

from realtime import journal
from realtime.models import DatabaseIdentity, Journal
from tests.app.models import Kinds, Named, Thing
from tests.realtime.journal_base import SQLITE, due, due_of, publish_all

if not SQLITE:
    pytest.skip("the database is not SQLite", allow_module_level=True)

pytestmark = pytest.mark.django_db(transaction=True)


def run(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


def test_the_sqlite3_program_may_write() -> None:
    program = shutil.which("sqlite3")
    assert program, "apt-get install sqlite3"
    thing = Thing.objects.create(name="lamp", size=1)
    publish_all()
    subprocess.run(
        [
            program,
            str(connection.settings_dict["NAME"]),
            "UPDATE app_thing SET size = 2.5; INSERT INTO app_named VALUES ('a', 1); UPDATE app_named SET code = 'b';",
        ],
        check=True,
        timeout=30,
    )
    assert due() == {
        ("app.thing", str(thing.pk)): [{"place_id": None, "size": 1, "on": 0}],
        ("app.named", "a"): [None, {"size": 1}],
        ("app.named", "b"): [None],
    }


def test_another_connection_without_our_functions_may_write() -> None:
    with sqlite3.connect(str(connection.settings_dict["NAME"]), timeout=30) as program:
        program.execute("INSERT INTO app_named VALUES ('a', 1)")
        program.execute("DELETE FROM app_named")
    program.close()
    assert due_of("app.named") == {"a": [None, {"size": 1}]}


def test_blobs_and_infinities_where_nobody_expects_them() -> None:
    row = Kinds.objects.create()
    run("UPDATE app_kinds SET number = 9e999, char = x'00ff', text = -9e999")
    publish_all()
    run("DELETE FROM app_kinds")
    (due_row,) = journal.read()
    (state,) = due_row.before
    assert state is not None
    assert (state["number"], state["char"], state["text"]) == ("Inf", "00FF", "-Inf")
    assert due_row.key == str(row.pk)


def test_many_rows_in_one_statement_are_many_rows_of_the_journal() -> None:
    # Row triggers cannot count their statement; whoever reads so many makes one resync of them.
    Named.objects.bulk_create([Named(code=f"{i}") for i in range(1500)], batch_size=200)
    publish_all()
    run("UPDATE app_named SET size = size + 1")
    assert journal.pending()[0] == 1500


def test_or_ignore_and_or_replace_do_not_reach_into_the_journal() -> None:
    run("INSERT INTO app_named VALUES ('a', 1)")
    run("INSERT OR IGNORE INTO app_named VALUES ('a', 2)")
    run("UPDATE OR REPLACE app_named SET size = 3")
    run("INSERT OR REPLACE INTO app_named VALUES ('a', 4)")
    assert due_of("app.named") == {"a": [None, {"size": 1}, {"size": 3}]}
    assert Journal.objects.count() == 1
    run("UPDATE OR IGNORE app_named SET size = 5")
    assert len(due_of("app.named")["a"]) == 4


def test_the_counter_comes_back_by_itself() -> None:
    DatabaseIdentity.objects.all().delete()
    Named.objects.create(code="a")
    Named.objects.create(code="b")
    assert [row.revision for row in journal.read()] == [1, 2]
    assert journal.identity()
