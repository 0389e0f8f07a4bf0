"""The journal on PostgreSQL: one generic function behind statement triggers with transition tables.

The function reads columns only through `to_jsonb`, by names that the trigger passes, so a renamed column never stops a
write. It runs with its owner's rights and a fixed search path, so any role and program may write. JIT is off in it:
with the cached plan of a mass update, single updates took 7 ms instead of 0.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from django.db.utils import OperationalError

from realtime.brief import brief
from realtime.settings import settings
from realtime.triggers import JOURNAL, PREFIX, Dialect, Trigger, Watch, _digest

SILENT = "realtime.suppress"
# Objects touched in one transaction, and how long that may wait for a writer who is just creating their rows. Well
# below `deadlock_timeout` (1 s): if a writer and we wait for each other it is we who step back.
TOUCH_BATCH = 100
TOUCH_WAIT = "50ms"
TOUCH_WAIT_ALONE = "5ms"

_FUNCTIONS = (
    "realtime_journal_trigger()",
    "realtime_journal_record(text, text[], text[])",
    "realtime_journal_whole(text)",
    "realtime_journal_before(text, text, bigint)",
)


class PostgreSQL(Dialect):
    @cached_property
    def schema(self) -> str:
        rows = self.execute(
            "SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE c.oid = to_regclass(%s)",
            [JOURNAL],
        )
        return self.quote(rows[0][0]) if rows else "public"

    def functions(self) -> list[str]:
        body = _BODY.replace("{s}", self.schema).replace("{mass}", str(settings.JOURNAL_MASS))
        body = body.replace("{states}", str(settings.JOURNAL_STATES))
        # Two installations at once would trip over each other's CREATE OR REPLACE.
        return ["SELECT pg_advisory_xact_lock(hashtext('realtime_journal'))", *body.split("\n---\n")]

    def drop_functions(self) -> list[str]:
        return [f"DROP FUNCTION IF EXISTS {self.schema}.{function}" for function in _FUNCTIONS]

    def triggers(self, watch: Watch) -> list[Trigger]:
        compared = "" if watch.on is None else _array(watch.compared)
        arguments = ", ".join(_text(a) for a in (watch.label, watch.key_column, _array(watch.columns), compared))
        run = f"EXECUTE FUNCTION {self.schema}.realtime_journal_trigger({arguments})"
        key, table = self.quote(watch.key_column), self.quote(watch.table)
        definitions = {
            # Transition tables allow one event per trigger.
            "insert": f"AFTER INSERT ON {table} REFERENCING NEW TABLE AS n FOR EACH STATEMENT {run}",
            "update": f"AFTER UPDATE ON {table} REFERENCING OLD TABLE AS o NEW TABLE AS n FOR EACH STATEMENT {run}",
            "delete": f"AFTER DELETE ON {table} REFERENCING OLD TABLE AS o FOR EACH STATEMENT {run}",
            # Nothing in the two tables says which old row became which new one, so a new key needs a row trigger.
            "key": f"AFTER UPDATE OF {key} ON {table} FOR EACH ROW WHEN (OLD.{key} IS DISTINCT FROM NEW.{key}) {run}",
            "truncate": f"AFTER TRUNCATE ON {table} FOR EACH STATEMENT {run}",
        }
        events = set(watch.events)
        if "update" in events:
            events.add("key")
        if "delete" in events:
            events.add("truncate")
        found = []
        for event, definition in definitions.items():
            if event in events:
                name = self.name(watch, event, definition + self._function_digest)
                sql = f"CREATE TRIGGER {self.quote(name)} {definition}"
                found.append(Trigger(name, watch.table, watch.label, sql))
        return found

    @cached_property
    def _function_digest(self) -> str:
        return _digest("".join(self.functions()))

    def drop(self, trigger: Trigger) -> str:
        return f"DROP TRIGGER IF EXISTS {self.quote(trigger.name)} ON {self.quote(trigger.table)}"

    def installed(self) -> list[Trigger]:
        # One that was disabled by hand does not count: it is missing.
        rows = self.execute(
            "SELECT t.tgname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
            "WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgname LIKE %s "
            "AND pg_table_is_visible(c.oid)",
            [PREFIX.replace("_", r"\_") + "%"],
        )
        return [Trigger(name, table, "", "") for name, table in rows]

    def unseen(self, table: str) -> str | None:
        rows = self.execute(
            "SELECT c.relkind, EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid OR i.inhrelid = c.oid) "
            "FROM pg_class c WHERE c.oid = to_regclass(%s)",
            [self.quote(table)],
        )
        if not rows:
            return None
        kind, family = rows[0]
        if kind in ("v", "m", "f"):
            return "it is not a table of this database, so it has no triggers that see every write"
        if kind == "p" or family:
            return "it has partitions or inherits: a write that names another of these tables passes its triggers by"
        return None

    def silenced(self) -> list[str]:
        value = self.execute("SELECT coalesce(current_setting(%s, true), '')", [SILENT])[0][0]
        return [label for label in value.split(",") if label]

    def silence(self, labels: Sequence[str]) -> None:
        self.execute("SELECT set_config(%s, %s, true)", [SILENT, ",".join(labels)])

    def next_revision(self) -> int:
        return int(self.execute(f"SELECT nextval('{self.schema}.realtime_revision')")[0][0])

    def whole(self, label: str) -> None:
        self.execute(f"SELECT {self.schema}.realtime_journal_whole(%s)", [label])

    def touch(self, watch: Watch, keys: Sequence[Any]) -> bool:
        done = True
        for start in range(0, len(keys), TOUCH_BATCH):
            batch = list(keys[start : start + TOUCH_BATCH])
            try:
                done &= self._touch(watch, batch, TOUCH_WAIT)
            except OperationalError:
                # One at a time holds nothing while it waits, so nobody can wait for us in turn.
                for key in batch:
                    done &= self._touch_alone(watch, key)
        return done

    def _touch_alone(self, watch: Watch, key: Any) -> bool:
        try:
            return self._touch(watch, [key], TOUCH_WAIT_ALONE)
        except OperationalError:
            return False

    def _touch(self, watch: Watch, keys: list[Any], wait: str) -> bool:
        """False if a writer holds some of them: those are left out."""
        key = self.quote(watch.key_column)
        rows = f"SELECT key FROM {self.schema}.{JOURNAL} WHERE kind = 0 AND label = %s AND key = ANY (%s)"
        with brief(self.connection.alias):
            self.execute(f"SET LOCAL lock_timeout = '{wait}'")
            texts = [str(key) for key in keys]
            known = {row[0] for row in self.execute(rows, [watch.label, texts])}
            ours = {row[0] for row in self.execute(f"{rows} ORDER BY key FOR UPDATE SKIP LOCKED", [watch.label, texts])}
            free = [key for key in keys if str(key) not in known - ours]
            if free:
                marks = ", ".join(["%s"] * len(free))
                self.execute(
                    f"SELECT {self.schema}.realtime_journal_record("
                    f"%s, array_agg(x.j ->> %s), array_agg({_state('%s::text[]')})) "
                    f"FROM (SELECT to_jsonb(t) AS j FROM {self.quote(watch.table)} t WHERE t.{key} IN ({marks})) x",
                    [watch.label, watch.key_column, list(watch.columns), *free],
                )
            # Inside a larger transaction the setting would outlive this one.
            self.execute("SET LOCAL lock_timeout = DEFAULT")
        return len(free) == len(keys)

    def fingerprint_sql(self) -> str:
        # A dump that is loaded makes new tables; a promoted replica or a restored base backup has a new timeline.
        return (
            f"(SELECT concat_ws(':', s.system_identifier, d.oid, to_regclass('{JOURNAL}')::oid, "
            "CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END) "
            "FROM pg_control_system() s, pg_database d WHERE d.datname = current_database())"
        )

    def settle(self, acked: Mapping[int, int]) -> set[int]:
        # One statement, so no process that stands still holds these rows.
        rows = self.execute(_SETTLE, [list(acked), list(acked.values())])
        return {row[0] for row in rows}


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _array(names: Sequence[str]) -> str:
    return "{" + ",".join('"' + n.replace("\\", "\\\\").replace('"', '\\"') + '"' for n in names) + "}"


def _state(columns: str) -> str:
    return f"(SELECT coalesce(jsonb_object_agg(f, x.j -> f), '{{}}'::jsonb)::text FROM unnest({columns}) AS f)"


# What was written since has another revision, also if it was committed while this statement ran: whoever locks a row
# looks at its newest version.
_SETTLE = f"""\
WITH held AS (
  SELECT j.id, j.kind FROM {JOURNAL} j JOIN unnest(%s::bigint[], %s::bigint[]) AS a(id, revision)
  ON j.id = a.id AND j.revision = a.revision WHERE j.dirty ORDER BY j.id FOR UPDATE OF j SKIP LOCKED
), gone AS (
  DELETE FROM {JOURNAL} j USING held WHERE j.id = held.id AND held.kind <> 0
), done AS (
  UPDATE {JOURNAL} j SET dirty = false, failed = false, before = '{{}}', at = clock_timestamp()
  FROM held WHERE j.id = held.id AND held.kind = 0
)
SELECT id FROM held"""

# Statements are divided by "---". {s} is the schema of the journal.
_BODY = """\
CREATE OR REPLACE FUNCTION {s}.realtime_journal_before(p_before text, p_state text, p_revision bigint)
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $realtime$
DECLARE
  united CONSTANT jsonb := p_before::jsonb || jsonb_build_object(p_state, p_revision);
BEGIN
  IF united ? '*' OR (SELECT count(*) FROM jsonb_object_keys(united)) > {states} THEN
    RETURN jsonb_build_object('*', p_revision)::text;
  END IF;
  RETURN united::text;
END $realtime$
---
CREATE OR REPLACE FUNCTION {s}.realtime_journal_record(p_label text, p_keys text[], p_states text[])
RETURNS void LANGUAGE plpgsql AS $realtime$
BEGIN
  -- In the order of keys, or two writers could wait for each other. Filed under the revision before this one: the state
  -- stood until now, and whoever published an older revision must not strike it out.
  INSERT INTO {s}.realtime_journal AS j (kind, label, key, revision, dirty, before, payload, failed, at)
  SELECT 0, p_label, x.k, x.r, true, jsonb_build_object(x.state, x.r - 1)::text, NULL, false, clock_timestamp()
  FROM (
    SELECT u.k, u.state, nextval('{s}.realtime_revision') AS r
    FROM (SELECT * FROM unnest(p_keys, p_states) AS p(k, state) ORDER BY p.k COLLATE "C") u
  ) x
  ON CONFLICT (kind, label, key) DO UPDATE SET
    -- Taken anew, now that the row is locked: another writer may have been faster.
    revision = nextval('{s}.realtime_revision'), dirty = true, failed = false, at = excluded.at,
    before = CASE WHEN j.dirty
      THEN {s}.realtime_journal_before(
        j.before, (SELECT s FROM jsonb_object_keys(excluded.before::jsonb) s), j.revision)
      ELSE (SELECT jsonb_build_object(s, j.revision)::text FROM jsonb_object_keys(excluded.before::jsonb) s) END;
END $realtime$
---
CREATE OR REPLACE FUNCTION {s}.realtime_journal_whole(p_label text)
RETURNS void LANGUAGE plpgsql AS $realtime$
BEGIN
  -- A row per transaction: one row per label would make every writer of many rows wait for every other.
  INSERT INTO {s}.realtime_journal AS j (kind, label, key, revision, dirty, before, payload, failed, at)
  VALUES (1, p_label, pg_current_xact_id()::text, nextval('{s}.realtime_revision'), true, '{}', NULL, false,
          clock_timestamp())
  ON CONFLICT (kind, label, key) DO UPDATE SET
    revision = excluded.revision, dirty = true, failed = false, at = excluded.at;
END $realtime$
---
CREATE OR REPLACE FUNCTION {s}.realtime_journal_trigger() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = {s}, pg_temp SET jit = off
SET timezone = 'UTC' SET intervalstyle = 'postgres' SET extra_float_digits = 1
AS $realtime$
DECLARE
  p_label CONSTANT text := TG_ARGV[0];
  p_key CONSTANT text := TG_ARGV[1];
  p_keep CONSTANT text[] := TG_ARGV[2]::text[];
  p_compared text[];
  p_keys text[];
  p_states text[];
BEGIN
  IF strpos(',' || current_setting('realtime.suppress', true) || ',', ',' || p_label || ',') > 0 THEN
    RETURN NULL;
  END IF;
  IF TG_OP = 'TRUNCATE' THEN
    PERFORM {s}.realtime_journal_whole(p_label);
    RETURN NULL;
  ELSIF TG_LEVEL = 'ROW' THEN
    PERFORM {s}.realtime_journal_record(p_label, ARRAY[to_jsonb(NEW) ->> p_key], ARRAY['null']);
    RETURN NULL;
  ELSIF TG_OP = 'INSERT' THEN
    SELECT array_agg(x.j ->> p_key), array_agg('null'::text) INTO p_keys, p_states
    FROM (SELECT to_jsonb(n) AS j FROM n LIMIT {mass} + 1) x;
  ELSIF TG_OP = 'DELETE' THEN
    SELECT array_agg(x.j ->> p_key), array_agg({state}) INTO p_keys, p_states
    FROM (SELECT to_jsonb(o) AS j FROM o LIMIT {mass} + 1) x;
  ELSIF TG_ARGV[3] = '' THEN
    -- Never a join of o and n by key: it would find nothing when the key itself changed.
    SELECT array_agg(x.j ->> p_key), array_agg({state}) INTO p_keys, p_states
    FROM (SELECT c.j FROM (SELECT to_jsonb(o) AS j FROM o EXCEPT ALL SELECT to_jsonb(n) FROM n) c LIMIT {mass} + 1) x;
  ELSE
    p_compared := TG_ARGV[3]::text[];
    SELECT array_agg(x.j ->> p_key), array_agg({state}) INTO p_keys, p_states
    FROM (
      SELECT c.j FROM (
        SELECT (SELECT jsonb_object_agg(f, q.j -> f) FROM unnest(p_compared) AS f) AS j
        FROM (SELECT to_jsonb(o) AS j FROM o OFFSET 0) q  -- OFFSET 0: once per row, not once per column
        EXCEPT ALL
        SELECT (SELECT jsonb_object_agg(f, q.j -> f) FROM unnest(p_compared) AS f)
        FROM (SELECT to_jsonb(n) AS j FROM n OFFSET 0) q
      ) c LIMIT {mass} + 1
    ) x;
  END IF;
  IF cardinality(p_keys) > {mass} THEN
    PERFORM {s}.realtime_journal_whole(p_label);
  ELSIF p_keys IS NOT NULL THEN
    PERFORM {s}.realtime_journal_record(p_label, p_keys, p_states);
  END IF;
  RETURN NULL;
END $realtime$""".replace("{state}", _state("p_keep"))
