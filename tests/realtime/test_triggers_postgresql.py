"""PostgreSQL's own ways to write, other roles and programs, and what must not hold writers up."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from django.db import ProgrammingError, connection, connections, transaction

from realtime import journal, triggers
from realtime.models import DatabaseIdentity, Journal
from tests.app.models import Kinds, Named, Place, Thing
from tests.realtime.journal_base import POSTGRESQL, due, due_of, publish_all

if not POSTGRESQL:
    pytest.skip("the database is not PostgreSQL", allow_module_level=True)

import psycopg2

pytestmark = pytest.mark.django_db(transaction=True)

LIMIT = 10.0


def run(*statements: str) -> None:
    with connection.cursor() as cursor:
        for sql in statements:
            cursor.execute(sql)


def other(user: str | None = None, **options: Any) -> Any:
    """A connection of another program, as this or another role."""
    settings = connection.settings_dict
    found = psycopg2.connect(
        dbname=settings["NAME"], user=user or settings["USER"], host=settings["HOST"], port=settings["PORT"], **options
    )
    found.autocommit = True
    return found


@pytest.fixture
def stranger() -> Iterator[str]:
    """A role that may write `app_named` and nothing else."""
    name = "stranger"
    run(
        f"CREATE ROLE {name} LOGIN",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON app_named TO {name}",
    )
    yield name
    run(f"DROP OWNED BY {name}", f"DROP ROLE {name}")


# Ways to write


def test_copy() -> None:
    with connection.cursor() as cursor:
        cursor.copy_expert("COPY app_named (code, size) FROM STDIN", io.StringIO("a\t1\nb\t2\n"))
    assert due() == {("app.named", "a"): [None], ("app.named", "b"): [None]}


def test_truncate_is_a_resync() -> None:
    Named.objects.create(code="a")
    publish_all()
    run("TRUNCATE app_named CASCADE")
    assert due() == {("app.named", "*"): [], ("app.kinds", "*"): []}


def test_truncate_of_nothing_that_publishes_says_nothing() -> None:
    run("TRUNCATE django_admin_log")
    assert due() == {}


def test_merge_and_common_table_expressions() -> None:
    Named.objects.bulk_create([Named(code=c, size=1) for c in "abc"])
    publish_all()
    run(
        "MERGE INTO app_named n USING (VALUES ('a', 5), ('x', 6)) v(code, size) ON v.code = n.code "
        "WHEN MATCHED THEN UPDATE SET size = v.size WHEN NOT MATCHED THEN INSERT VALUES (v.code, v.size)",
        "WITH gone AS (DELETE FROM app_named WHERE code = 'b' RETURNING *) "
        "INSERT INTO app_named SELECT 'was ' || code, size FROM gone",
    )
    assert due_of("app.named") == {"a": [{"size": 1}], "x": [None], "b": [{"size": 1}], "was b": [None]}


def test_deletion_by_the_database_itself() -> None:
    run("ALTER TABLE app_thing ADD CONSTRAINT doomed FOREIGN KEY (place_id) REFERENCES app_place ON DELETE CASCADE")
    place = Place.objects.create(name="hall")
    thing = Thing.objects.create(name="lamp", place=place, size=2)
    publish_all()
    run("SET CONSTRAINTS ALL IMMEDIATE", f"DELETE FROM app_place WHERE id = {place.pk}")
    assert due_of("app.thing") == {str(thing.pk): [{"place_id": place.pk, "size": 2, "on": False}]}
    run("ALTER TABLE app_thing DROP CONSTRAINT doomed")


def test_keys_that_change_places() -> None:
    run(
        "ALTER TABLE app_named DROP CONSTRAINT app_named_pkey CASCADE, "
        "ADD CONSTRAINT app_named_pkey PRIMARY KEY (code) DEFERRABLE INITIALLY DEFERRED"
    )
    Named.objects.bulk_create([Named(code="a", size=1), Named(code="b", size=2)])
    publish_all()
    run("UPDATE app_named SET code = CASE code WHEN 'a' THEN 'b' ELSE 'a' END")
    assert due_of("app.named") == {"a": [None, {"size": 1}], "b": [None, {"size": 2}]}
    run(
        "ALTER TABLE app_named DROP CONSTRAINT app_named_pkey, ADD CONSTRAINT app_named_pkey PRIMARY KEY (code)",
        "ALTER TABLE app_kinds ADD FOREIGN KEY (named_id) REFERENCES app_named DEFERRABLE INITIALLY DEFERRED",
    )


# Many at once


def test_more_than_a_thousand_objects_in_one_statement_are_one_resync() -> None:
    Named.objects.bulk_create([Named(code=f"{i}", size=0) for i in range(1001)], batch_size=2000)
    assert due() == {("app.named", "*"): []}
    publish_all()
    run("UPDATE app_named SET size = 1")
    assert due() == {("app.named", "*"): []}
    publish_all()
    run("UPDATE app_named SET size = 1", "UPDATE app_named SET size = CASE code WHEN '7' THEN 2 ELSE 1 END")
    # Many rows were written, one was changed.
    assert due() == {("app.named", "7"): [{"size": 1}]}
    publish_all()
    run("DELETE FROM app_named")
    assert due() == {("app.named", "*"): []}


def test_a_thousand_objects_are_still_told_one_by_one() -> None:
    Named.objects.bulk_create([Named(code=f"{i}") for i in range(1000)], batch_size=2000)
    assert len(due_of("app.named")) == 1000


def test_two_mass_changes_do_not_wait_for_each_other() -> None:
    done = threading.Event()

    def elsewhere() -> None:
        try:
            Named.objects.bulk_create([Named(code=f"b{i}") for i in range(1001)], batch_size=2000)
            done.set()
        finally:
            connections["default"].close()

    with transaction.atomic():
        Named.objects.bulk_create([Named(code=f"a{i}") for i in range(1001)], batch_size=2000)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        assert done.wait(LIMIT)
        thread.join(LIMIT)
    assert Journal.objects.filter(kind=journal.WHOLE).count() == 2


def test_writers_of_many_rows_in_different_orders_do_not_fail_each_other() -> None:
    codes = [f"{i}" for i in range(50)]
    start = threading.Barrier(4)
    failures: list[Exception] = []

    def write(mine: list[str]) -> None:
        try:
            start.wait(LIMIT)
            for _ in range(5):
                Named.objects.bulk_create([Named(code=f"{code}-{threading.get_ident()}") for code in mine])
                Named.objects.filter(code__endswith=f"-{threading.get_ident()}").delete()
        except Exception as error:
            failures.append(error)
        finally:
            connections["default"].close()

    threads = [threading.Thread(target=write, args=(order,)) for order in (codes, codes[::-1], codes, codes[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
    assert failures == []


# Other programs


def test_a_role_without_rights_on_the_journal_may_write(stranger: str) -> None:
    with closing(other(stranger)) as program, program.cursor() as cursor:
        cursor.execute("INSERT INTO app_named VALUES ('a', 1)")
        cursor.execute("UPDATE app_named SET size = 2")
        cursor.execute("UPDATE app_named SET code = 'b'")
        cursor.execute("DELETE FROM app_named")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cursor.execute("SELECT * FROM realtime_journal")
        # What the identity is made of may be asked by every role.
        cursor.execute("SELECT system_identifier, pg_walfile_name(pg_current_wal_lsn()) FROM pg_control_system()")
    assert set(due_of("app.named")) == {"a", "b"}


def test_a_hostile_search_path_changes_nothing(stranger: str) -> None:
    with closing(other(stranger)) as program, program.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE realtime_journal (n int)")
        cursor.execute("CREATE TEMP SEQUENCE realtime_revision START 1")
        cursor.execute("SET search_path = pg_temp")
        cursor.execute("INSERT INTO public.app_named VALUES ('a', 1)")
    assert set(due_of("app.named")) == {"a"}


def test_a_column_renamed_behind_our_back_stops_no_write() -> None:
    Named.objects.create(code="a", size=1)
    publish_all()
    run("ALTER TABLE app_named RENAME COLUMN size TO extent", "UPDATE app_named SET extent = 5")
    assert due_of("app.named") == {"a": [{"size": None}]}
    run("ALTER TABLE app_named RENAME COLUMN extent TO size")


def test_the_function_has_no_jit_and_a_fixed_path() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT prosecdef, proconfig FROM pg_proc WHERE proname = 'realtime_journal_trigger'")
        ((definer, config),) = cursor.fetchall()
    assert definer
    assert {"search_path=public, pg_temp", "jit=off"} <= set(config)


def test_the_journal_is_vacuumed_by_its_own_thresholds() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT reloptions FROM pg_class WHERE relname = 'realtime_journal'")
        ((options,),) = cursor.fetchall()
    assert "autovacuum_vacuum_scale_factor=0" in options
    assert "autovacuum_vacuum_threshold=1000" in options


def test_a_disabled_trigger_is_a_missing_one() -> None:
    run("ALTER TABLE app_named DISABLE TRIGGER ALL")
    assert {s.label: s.state for s in triggers.status()}["app.named"] == "missing"
    run("ALTER TABLE app_named ENABLE TRIGGER ALL")
    assert {s.label: s.state for s in triggers.status()}["app.named"] == "installed"


def test_partitions_and_heirs_are_named() -> None:
    sql = triggers.dialect(connection)
    assert sql.unseen("app_named") is None
    run("CREATE TABLE heir () INHERITS (app_named)")
    assert sql.unseen("app_named") is not None
    run("DROP TABLE heir", "CREATE TABLE split (id int) PARTITION BY HASH (id)", "CREATE VIEW looked AS SELECT 1")
    assert sql.unseen("split") is not None
    assert sql.unseen("looked") is not None
    run("DROP TABLE split", "DROP VIEW looked")


def test_a_column_beyond_the_model_does_not_hurt() -> None:
    run('ALTER TABLE app_kinds ADD COLUMN "x\'y" bytea', "ALTER TABLE app_kinds ADD COLUMN shape point")
    run("INSERT INTO app_kinds (integer, \"x'y\", shape) VALUES (1, '\\x00ff', '(1,2)')")
    publish_all()
    run("UPDATE app_kinds SET shape = '(3,4)'")
    assert list(due_of("app.kinds")) == [str(Kinds.objects.get().pk)]
    run('ALTER TABLE app_kinds DROP COLUMN "x\'y"', "ALTER TABLE app_kinds DROP COLUMN shape")


def test_a_state_too_large_for_an_index_is_kept() -> None:
    text = "ü" * 100_000
    row = Kinds.objects.create(text=text)
    publish_all()
    row.delete()
    (due_row,) = journal.read()
    assert due_row.before[0] is not None
    assert due_row.before[0]["text"] == text


# A dump that is being loaded: rows come before keys, and the server runs meanwhile


def test_nobody_gives_an_identity_to_a_database_that_is_being_restored() -> None:
    run(
        "ALTER TABLE realtime_databaseidentity DROP CONSTRAINT realtime_databaseidentity_pkey",
        "DELETE FROM realtime_databaseidentity",
    )
    try:
        with pytest.raises(ProgrammingError):
            journal.identity()
        assert not DatabaseIdentity.objects.exists()
        run("INSERT INTO realtime_databaseidentity VALUES (1, 'of the dump', 0, '')")
        journal.identity()
    finally:
        run("ALTER TABLE realtime_databaseidentity ADD PRIMARY KEY (id)")
    assert DatabaseIdentity.objects.get().identity == "of the dump"
