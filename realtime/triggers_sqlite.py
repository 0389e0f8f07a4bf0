"""The journal on SQLite: three row triggers per label, each complete in itself.

They use nothing but SQLite's own functions, so that any program may write; the revision comes from a counter row,
which is safe because SQLite has one writer at a time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from realtime.settings import settings
from realtime.triggers import IDENTITY, JOURNAL, PREFIX, Dialect, Trigger, Watch

_COLUMNS = '"kind", "label", "key", "revision", "dirty", "before", "payload", "failed", "at"'
_NOW = "strftime('%Y-%m-%d %H:%M:%f', 'now')"


class SQLite(Dialect):
    def functions(self) -> list[str]:
        return []

    def drop_functions(self) -> list[str]:
        return []

    def triggers(self, watch: Watch) -> list[Trigger]:
        key = self.quote(watch.key_column)
        old, new = f"CAST(OLD.{key} AS TEXT)", f"CAST(NEW.{key} AS TEXT)"
        changed = " OR ".join(
            # BINARY, or a column without regard to case would hide a change of case.
            f"OLD.{self.quote(column)} IS NOT NEW.{self.quote(column)} COLLATE BINARY"
            for column in watch.compared
        )
        left = self._record(watch.label, old, self._state(watch, "OLD"))
        bodies = {
            "insert": ("", self._record(watch.label, new, "'null'")),
            # A changed key is one object gone and another created.
            "update": (
                f" AND ({changed})",
                left + self._record(watch.label, new, "'null'", f"OLD.{key} IS NOT NEW.{key} COLLATE BINARY"),
            ),
            "delete": ("", left),
        }
        found = []
        for event, (condition, body) in bodies.items():
            if event not in watch.events:
                continue
            quiet = f'(SELECT "silent" FROM {IDENTITY} WHERE "id" = 1)'
            definition = (
                f"AFTER {event.upper()} ON {self.quote(watch.table)} FOR EACH ROW\n"
                f"WHEN coalesce(instr({quiet}, {_text(f',{watch.label},')}), 0) = 0{condition}\n"
                f"BEGIN\n{body}END"
            )
            name = self.name(watch, event, definition)
            found.append(Trigger(name, watch.table, watch.label, f"CREATE TRIGGER {self.quote(name)} {definition}"))
        return found

    def drop(self, trigger: Trigger) -> str:
        return f"DROP TRIGGER IF EXISTS {self.quote(trigger.name)}"

    def installed(self) -> list[Trigger]:
        rows = self.execute("SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'")
        return [Trigger(name, table, "", "") for name, table in rows if name.startswith(PREFIX)]

    def unseen(self, table: str) -> str | None:
        return None

    def silenced(self) -> list[str]:
        rows = self.execute(f'SELECT "silent" FROM {IDENTITY} WHERE "id" = 1')
        return [label for label in rows[0][0].split(",") if label] if rows else []

    def silence(self, labels: Sequence[str]) -> None:
        self.execute(
            f'INSERT INTO {IDENTITY} ("id", "identity", "revision", "silent") VALUES (1, \'\', 0, %s) '
            'ON CONFLICT ("id") DO UPDATE SET "silent" = excluded."silent"',
            [",".join(["", *labels, ""]) if labels else ""],
        )

    def next_revision(self) -> int:
        self.execute(self._count("1"))
        return int(self.execute(f'SELECT "revision" FROM {IDENTITY} WHERE "id" = 1')[0][0])

    def whole(self, label: str) -> None:
        revision = self.next_revision()
        # Doubled, because with parameters Django reads every % as one of its own; with DEBUG it does so twice.
        now = _NOW.replace("%", "%%")
        self.execute(
            f"INSERT INTO {JOURNAL} ({_COLUMNS}) VALUES (1, %s, '', %s, 1, '{{}}', NULL, 0, {now}) {_conflict()}",
            [label, revision],
        )

    def touch(self, watch: Watch, keys: Sequence[Any]) -> bool:
        key = self.quote(watch.key_column)
        sql = (
            f'INSERT INTO {JOURNAL} ({_COLUMNS}) SELECT 0, {_text(watch.label)}, CAST(t.{key} AS TEXT), i."revision", '
            f'1, json_object({self._state(watch, "t")}, i."revision" - 1), NULL, 0, {_NOW} '
            f'FROM {self.quote(watch.table)} t, {IDENTITY} i WHERE i."id" = 1 AND t.{key} = '
        )
        with transaction.atomic(using=self.connection.alias), self.connection.cursor() as cursor:
            cursor.execute(self._count("1"))
            # Doubled, because with parameters Django reads every % as one of its own.
            cursor.executemany(f"{sql.replace('%', '%%')}%s {_conflict()}", [[key] for key in keys])
        return True

    def fingerprint_sql(self) -> str:
        return "''"

    def fingerprint(self, told: str) -> str:
        name = str(self.connection.settings_dict["NAME"])
        try:
            found = os.stat(name)
        except OSError:
            return name
        return f"{found.st_dev}:{found.st_ino}"

    def settle(self, acked: Mapping[int, int]) -> set[int]:
        now = _NOW.replace("%", "%%")
        with transaction.atomic(using=self.connection.alias):
            # CROSS JOIN, or SQLite looks through the whole journal for these few.
            rows = self.execute(
                f"SELECT j.id, j.kind FROM json_each(%s) AS a CROSS JOIN {JOURNAL} AS j "
                "ON j.id = json_extract(a.value, '$[0]') AND j.revision = json_extract(a.value, '$[1]') WHERE j.dirty",
                [json.dumps(list(acked.items()))],
            )
            objects, others = [row[0] for row in rows if not row[1]], [row[0] for row in rows if row[1]]
            these = "WHERE id IN (SELECT value FROM json_each(%s))"
            if others:
                self.execute(f"DELETE FROM {JOURNAL} {these}", [json.dumps(others)])
            self.execute(
                f"UPDATE {JOURNAL} SET dirty = 0, failed = 0, before = '{{}}', at = {now} {these}",
                [json.dumps(objects)],
            )
        return {row[0] for row in rows}

    def _record(self, label: str, key: str, state: str, condition: str = "1") -> str:
        return (
            f"{self._count(condition)};\n"
            f'INSERT INTO {JOURNAL} ({_COLUMNS}) SELECT 0, {_text(label)}, {key}, "revision", 1, '
            f'json_object({state}, "revision" - 1), NULL, 0, {_NOW} '
            f'FROM {IDENTITY} WHERE "id" = 1 AND {condition} {_conflict()};\n'
        )

    def _count(self, condition: str) -> str:
        return (
            f'INSERT INTO {IDENTITY} ("id", "identity", "revision", "silent") '
            f"SELECT 1, '', 1, '' WHERE {condition} "
            'ON CONFLICT ("id") DO UPDATE SET "revision" = "revision" + 1'
        )

    def _state(self, watch: Watch, row: str) -> str:
        """A JSON object of the kept columns, as SQL. json_object refuses blobs, writes infinities that JSON does not
        know, and rounds 20.000000000000004 to 20.0: hence hexadecimal and text. With 17 digits, which ought to be
        enough, SQLite 3.40 writes two of a thousand numbers that are very large or very small as their neighbours."""
        pairs = []
        for column in watch.columns:
            value = f"{row}.{self.quote(column)}"
            pairs.append(
                f"{_text(column)}, CASE typeof({value}) WHEN 'blob' THEN hex({value}) "
                f"WHEN 'real' THEN printf('%!.26g', {value}) ELSE {value} END"
            )
        return f"json_object({', '.join(pairs)})"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _conflict() -> str:
    # A clean row starts anew; a dirty one keeps what it has, equal states once, each under the newest revision at which
    # it stood. Too many states become "*": somebody must take a snapshot.
    return f"""ON CONFLICT ("kind", "label", "key") DO UPDATE SET
"revision" = excluded."revision", "dirty" = 1, "failed" = 0, "at" = excluded."at",
"before" = CASE
WHEN NOT "dirty" THEN excluded."before"
WHEN json_type("before", '$."*"') IS NOT NULL
OR (SELECT count(*) FROM json_each(json_patch("before", excluded."before"))) > {settings.JOURNAL_STATES}
THEN json_object('*', excluded."revision" - 1)
ELSE json_patch("before", excluded."before") END"""
