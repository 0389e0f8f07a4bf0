"""Which triggers the journal needs, which it has, and how it gets them. The SQL itself is in `triggers_<database>`.

A trigger's name carries the digests of its label and of its definition, so names alone tell what is missing or stale.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Model

EVENTS = frozenset({"insert", "update", "delete"})
PREFIX = "realtime_journal_"
JOURNAL = "realtime_journal"
IDENTITY = "realtime_databaseidentity"


@dataclass(frozen=True)
class Watch:
    """What to journal of a model: under which label, whose old values (`columns`), whose change counts (`on`, None:
    any column's), and on which events."""

    model: type[Model]
    label: str
    columns: tuple[str, ...] = ()
    on: tuple[str, ...] | None = None
    events: frozenset[str] = EVENTS

    @property
    def table(self) -> str:
        return self.model._meta.db_table

    @property
    def key_column(self) -> str:
        return str(self.model._meta.pk.column)

    @property
    def compared(self) -> tuple[str, ...]:
        """Every column whose change makes an update count."""
        if self.on is None:
            return tuple(str(f.column) for f in self.model._meta.local_concrete_fields)
        return tuple(dict.fromkeys((self.key_column, *self.on, *self.columns)))


@dataclass(frozen=True)
class Trigger:
    name: str
    table: str
    label: str
    create: str = field(repr=False, compare=False)


@dataclass(frozen=True)
class Status:
    """`state` is "installed", "missing", "stale", or "waiting" while the table or a column does not exist yet."""

    label: str
    table: str
    state: str


class Dialect(ABC):
    """How one kind of database keeps the journal."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self.connection = connection
        self.quote = connection.ops.quote_name

    @abstractmethod
    def functions(self) -> list[str]:
        """What must exist before any trigger is made."""

    @abstractmethod
    def drop_functions(self) -> list[str]: ...

    @abstractmethod
    def triggers(self, watch: Watch) -> list[Trigger]: ...

    @abstractmethod
    def drop(self, trigger: Trigger) -> str: ...

    @abstractmethod
    def installed(self) -> list[Trigger]:
        """The journal's triggers in this database that fire, whoever made them; label and SQL are left empty."""

    @abstractmethod
    def unseen(self, table: str) -> str | None:
        """Why writes to this table could pass its triggers by; None if they cannot."""

    @abstractmethod
    def silenced(self) -> list[str]:
        """The labels that are silent in this transaction."""

    @abstractmethod
    def silence(self, labels: Sequence[str]) -> None: ...

    @abstractmethod
    def next_revision(self) -> int: ...

    @abstractmethod
    def whole(self, label: str) -> None: ...

    @abstractmethod
    def touch(self, watch: Watch, keys: Sequence[Any]) -> bool:
        """Journal these objects with their present state, if they exist. False if writers hold some of them."""

    @abstractmethod
    def fingerprint_sql(self) -> str:
        """An expression that says as text what a copy or a restored backup of this database does not share with it."""

    def fingerprint(self, told: str) -> str:
        """The same with what SQL cannot tell."""
        return told

    @abstractmethod
    def settle(self, acked: Mapping[int, int]) -> set[int]:
        """Row → revision that was published. Of the due rows that still have it, those of objects are no longer due and
        all others are deleted; their numbers. One short transaction, which leaves alone what writers hold."""

    def execute(self, sql: str, params: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall() if cursor.description else []

    def ready(self) -> bool:
        return {JOURNAL, IDENTITY} <= set(self.tables())

    def tables(self) -> list[str]:
        return self.connection.introspection.table_names()

    def complete(self, watch: Watch) -> bool:
        """Whether the table has every column that the triggers would name."""
        with self.connection.cursor() as cursor:
            found = {c.name for c in self.connection.introspection.get_table_description(cursor, watch.table)}
        return {watch.key_column, *watch.columns, *watch.compared} <= found

    def name(self, watch: Watch, event: str, definition: str) -> str:
        return f"{PREFIX}{_digest(watch.label)}_{_digest(definition)}_{event}"


def dialect(connection: BaseDatabaseWrapper) -> Dialect:
    if connection.vendor == "postgresql":
        from realtime.triggers_postgresql import PostgreSQL

        return PostgreSQL(connection)
    from realtime.triggers_sqlite import SQLite

    return SQLite(connection)


# Wanted


def wanted() -> list[Watch]:
    """Everything that must be journalled: what publishes itself, and what others depend on."""
    from realtime import models, registry

    found = [Watch(p.model, p.label, p.columns) for p in models.published().values()]
    found += [watch for watch in registry.watches() if watch.model._meta.managed]
    # Two publishing models on one table would be two streams of the same rows: only the table's own model counts.
    return sorted((w for w in found if not w.model._meta.proxy), key=lambda w: (w.table, w.label))


def labels_of(models: Iterable[type[Model]]) -> list[str]:
    """Every label under which rows of these models are journalled."""
    tables = {model._meta.db_table for model in models}
    return [watch.label for watch in wanted() if watch.table in tables]


# Made


def install(using: str = "default") -> list[str]:
    """Make what is missing, drop what is stale; the labels whose triggers were made, each with a resync in the journal.

    Triggers and resync are one transaction per table: a write is either seen by them or older than the resync.
    """
    connection = connections[using]
    sql = dialect(connection)
    if not sql.ready():
        return []
    by_table: dict[str, list[Trigger]] = {table: [] for table in {t.table for t in sql.installed()}}
    for watch in _present(sql):
        by_table.setdefault(watch.table, []).extend(sql.triggers(watch))
    made: list[str] = []
    functions_made = False
    for table in sorted(by_table):
        with transaction.atomic(using=using):
            present = {t.name: t for t in sql.installed() if t.table == table}
            missing = [t for t in by_table[table] if t.name not in present]
            if missing and not functions_made:
                for statement in sql.functions():
                    sql.execute(statement)
                functions_made = True
            for name in present.keys() - {t.name for t in by_table[table]}:
                sql.execute(sql.drop(present[name]))
            for trigger in missing:
                sql.execute(trigger.create)
            labels = sorted({t.label for t in missing})
            for label in labels:
                sql.whole(label)
            made += labels
    return made


def remove(using: str = "default", *, functions: bool = False) -> list[str]:
    """Drop every trigger of the journal, also those of models that are gone; the tables that had any."""
    sql = dialect(connections[using])
    dropped = sql.installed()
    for table in sorted({t.table for t in dropped}):
        with transaction.atomic(using=using):
            for trigger in dropped:
                if trigger.table == table:
                    sql.execute(sql.drop(trigger))
    if functions:
        for statement in sql.drop_functions():
            sql.execute(statement)
    return sorted({t.table for t in dropped})


def status(using: str = "default") -> list[Status]:
    """One line per label, and one (without a label) per table that has triggers nobody wants."""
    connection = connections[using]
    sql = dialect(connection)
    present = {t.name for t in sql.installed()} if sql.ready() else set()
    complete = {w.label for w in _present(sql)} if sql.ready() else set()
    found: list[Status] = []
    known: set[str] = set()
    for watch in wanted():
        known.add(_digest(watch.label))
        names = {t.name for t in sql.triggers(watch)} if watch.label in complete else set()
        of_label = {name for name in present if name.startswith(f"{PREFIX}{_digest(watch.label)}_")}
        if watch.label not in complete:
            state = "waiting"
        elif names == of_label:
            state = "installed"
        else:
            state = "stale" if of_label else "missing"
        found.append(Status(watch.label, watch.table, state))
    orphans = {t.table for t in sql.installed() if t.name.removeprefix(PREFIX).split("_")[0] not in known}
    return found + [Status("", table, "stale") for table in sorted(orphans)]


def statements(using: str = "default", *, removing: bool = False) -> list[str]:
    """The SQL that `install` would run on a database without triggers, or that `remove` would run on this one."""
    sql = dialect(connections[using])
    if removing:
        return [sql.drop(t) for t in sql.installed()] + sql.drop_functions()
    return sql.functions() + [t.create for watch in wanted() for t in sql.triggers(watch)]


def _present(sql: Dialect) -> list[Watch]:
    tables = set(sql.tables())
    return [watch for watch in wanted() if watch.table in tables and sql.complete(watch)]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
