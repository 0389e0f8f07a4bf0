"""The audit: triggers of the tests' own that keep every committed row of what is watched, beside the journal's.

They run in the writers' transactions, so what is rolled back leaves nothing. Reading consumes: rows are taken out, so
that none is read twice and one whose transaction took long is not passed by.

The order: on SQLite the audit's own numbers, because there is one writer at a time; its functions name no transaction,
so a state between two statements of one transaction is taken for committed there, but for those that say of themselves
that they never are. On PostgreSQL the time of the commit
(`track_commit_timestamp`), and within one row the numbers, because they are drawn under the row's lock.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from typing import Any

import psycopg2
from django.apps import apps
from django.db import connections

from tests.promise.ledger import Entry, Ledger
from tests.promise.published import TABLES, read
from tests.promise.storm import PHANTOM

# PostgreSQL takes the time of a commit a moment before others see it, and this machine is shared.
SLACK = {"sqlite": 0.0, "postgresql": 0.05}

_FUNCTION = """
CREATE SCHEMA promise;
CREATE TABLE promise.audit (
  id bigserial PRIMARY KEY, xid xid8 NOT NULL, tbl text NOT NULL, key text NOT NULL, kept jsonb);
CREATE FUNCTION promise.keep() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
SET search_path = promise, pg_temp SET timezone = 'UTC' AS $$
BEGIN
  IF TG_OP <> 'INSERT' AND (TG_OP = 'DELETE' OR to_jsonb(OLD) ->> TG_ARGV[0] <> to_jsonb(NEW) ->> TG_ARGV[0]) THEN
    INSERT INTO promise.audit (xid, tbl, key)
    VALUES (pg_current_xact_id(), TG_TABLE_NAME, to_jsonb(OLD) ->> TG_ARGV[0]);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    INSERT INTO promise.audit (xid, tbl, key, kept)
    VALUES (pg_current_xact_id(), TG_TABLE_NAME, to_jsonb(NEW) ->> TG_ARGV[0], to_jsonb(NEW));
  END IF;
  RETURN NULL;
END $$
"""
_TAKE = """
WITH taken AS (DELETE FROM promise.audit RETURNING *)
SELECT id, xid::text, extract(epoch FROM pg_xact_commit_timestamp(xid::xid))::float8, tbl, key, kept::text
FROM taken ORDER BY id
"""


class Audit:
    """Of the database that `connections` has now, or of `url` (PostgreSQL), past whatever stands between."""

    def __init__(self, kind: str, url: str = "") -> None:
        self._kind = kind
        self._url = url
        self._last = 0.0
        self._connection: Any = None

    @property
    def slack(self) -> float:
        return SLACK[self._kind]

    def install(self) -> None:
        """Before anything is written that is to be judged."""
        with connections["default"].cursor() as cursor:
            for sql in self._statements():
                cursor.execute(sql)

    def remove(self) -> None:
        with connections["default"].cursor() as cursor:
            if self._kind == "postgresql":
                cursor.execute("DROP SCHEMA promise CASCADE")
                return
            for table in TABLES:
                for event in ("INSERT", "UPDATE", "DELETE"):
                    cursor.execute(f"DROP TRIGGER promise_{table}_{event}")
            cursor.execute("DROP TABLE promise_audit")

    def take(self) -> list[Entry]:
        """What was committed since, and could not be taken before. Raises the database's own errors."""
        if self._kind == "sqlite":
            return self._take_sqlite()
        try:
            return self._take_postgresql()
        except psycopg2.OperationalError:
            # The connection may be of a server that was restarted, or one that was thrown out.
            self.close()
            return self._take_postgresql()

    def restored(self, ledger: Ledger, name: str) -> None:
        """The tables were put back, past their triggers: tell the ledger, as one commit, what is other than before."""
        self._last = at = time.time()
        contents = self._all()
        ledger.add(
            Entry(at, number, name, *place, contents.get(place))
            for number, place in enumerate(self._otherwise(ledger, contents))
        )

    def mistakes(self, ledger: Ledger) -> list[tuple[str, str]]:
        """Rows of which the ledger and the tables do not say the same: then no judgement is worth anything."""
        return self._otherwise(ledger, self._all())

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(psycopg2.Error):
                self._connection.close()
            self._connection = None

    # -- private -----------------------------------------------------------------------------------------------------

    def _statements(self) -> Iterator[str]:
        models = {model._meta.db_table: model._meta for model in apps.get_models()}
        if self._kind == "postgresql":
            yield _FUNCTION
        else:
            yield ("CREATE TABLE promise_audit (id INTEGER PRIMARY KEY AUTOINCREMENT, at REAL, tbl TEXT, key TEXT, "
                   "kept TEXT)")  # fmt: skip
        for table in TABLES:
            key = models[table].pk.column
            if self._kind == "postgresql":
                yield (f"CREATE TRIGGER promise_{table} AFTER INSERT OR UPDATE OR DELETE ON {table} "
                       f"FOR EACH ROW EXECUTE FUNCTION promise.keep('{key}')")  # fmt: skip
                continue
            old, new = _kept(table, f"OLD.{key}", "NULL"), _kept(table, f"NEW.{key}", _object(models[table], "NEW"))
            moved = _kept(table, f"OLD.{key}", "NULL", f"OLD.{key} IS NOT NEW.{key}")
            for event, body in (("INSERT", new), ("UPDATE", moved + new), ("DELETE", old)):
                yield f"CREATE TRIGGER promise_{table}_{event} AFTER {event} ON {table} BEGIN {body} END"

    def _all(self) -> dict[tuple[str, str], dict[str, Any] | None]:
        return {(table, key): row for table in TABLES for key, row in self._contents(table)}

    def _otherwise(self, ledger: Ledger, contents: dict[tuple[str, str], Any]) -> list[tuple[str, str]]:
        places = [(table, key) for table in TABLES for key in ledger.keys(table)]
        return [place for place in dict.fromkeys([*places, *contents]) if ledger.now(*place) != contents.get(place)]

    def _contents(self, table: str) -> list[tuple[str, dict[str, Any] | None]]:
        meta = next(model._meta for model in apps.get_models() if model._meta.db_table == table)
        row = "to_jsonb(t)::text" if self._kind == "postgresql" else _object(meta, "t")
        with connections["default"].cursor() as cursor:
            if self._kind == "postgresql":
                cursor.execute("SET timezone = 'UTC'")
            cursor.execute(f"SELECT t.{meta.pk.column}, {row} FROM {table} t")
            return [(str(key), _row(text)) for key, text in cursor.fetchall()]

    def _take_sqlite(self) -> list[Entry]:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT count(*) FROM promise_audit")
            if not cursor.fetchone()[0]:
                return []
            cursor.execute("DELETE FROM promise_audit RETURNING id, at, tbl, key, kept")
            rows = sorted(cursor.fetchall())
        found = []
        for number, at, table, key, text in rows:
            row = _row(text)
            if row and row.get("detail") == PHANTOM:
                continue
            # The clock counts in milliseconds, the order is the numbers'.
            self._last = max(at, self._last + 1e-6)
            found.append(Entry(self._last, number, str(number), table, key, row))
        return found

    def _take_postgresql(self) -> list[Entry]:
        if self._connection is None or self._connection.closed:
            self._connection = psycopg2.connect(self._url)
            self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            cursor.execute(_TAKE)
            return [
                Entry(at, number, transaction, table, key, _row(row))
                for number, transaction, at, table, key, row in cursor.fetchall()
            ]


def _kept(table: str, key: str, row: str, condition: str = "1") -> str:
    at = "(julianday('now') - 2440587.5) * 86400.0"
    return f"INSERT INTO promise_audit (at, tbl, key, kept) SELECT {at}, '{table}', {key}, {row} WHERE {condition}; "


def _object(meta: Any, row: str) -> str:
    """A row as JSON, in SQLite's words."""
    columns = [field.column for field in meta.concrete_fields]
    return "json_object(" + ", ".join(f"'{name}', {row}.{name}" for name in columns) + ")"


def _row(text: str | None) -> dict[str, Any] | None:
    return None if text is None else read(json.loads(text))
