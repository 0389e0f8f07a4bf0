"""Numbered system checks: what cannot be kept live, or would be only by half, is said before the start.

E001 to W009 are about models and filters, W020 and W021 about the database's settings, W030 to E032 about triggers;
what serializers and routers declare wrongly has its numbers from `declarations`. Missing triggers are warnings, because
`migrate` runs these checks before it makes them; a server that finds them missing says so in its health.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.conf import settings as django_settings
from django.core import checks
from django.db import connections
from django.db.models import CompositePrimaryKey, Field, Model

from realtime import triggers, values
from realtime.models import PublishedModel, published

Messages = list[checks.CheckMessage]

# json_object takes a name and a value for each, and SQLite functions take at most 100 arguments.
SQLITE_COLUMNS = 50


@checks.register("realtime")
def check_models(app_configs: Any, **kwargs: Any) -> Messages:
    if not _installed():
        return []
    from realtime import registry

    found: Messages = []
    for number, message, hint in registry.problems():
        kind = checks.Error if number.startswith("realtime.E") else checks.Warning
        found.append(kind(message, hint=hint or None, id=number))
    try:
        models = list(published().values())
    except Exception as error:
        return [*found, checks.Error(f"The published models cannot be told: {error}", id="realtime.E001")]
    for one in models:
        found += _about(one)
    for watch in triggers.wanted():
        if problem := _key_problem(watch.model):
            found.append(
                checks.Error(
                    f"{watch.model._meta.label} cannot be journalled: {problem}.",
                    hint="The journal names objects by one key of a number, text or UUID.",
                    obj=watch.model,
                    id="realtime.E003",
                )
            )
    found += _doubles(models)
    return found


@checks.register(checks.Tags.database)
def check_databases(app_configs: Any, databases: Sequence[str] | None, **kwargs: Any) -> Messages:
    """Needs the database, so it runs with `check --database default` and with `migrate`."""
    if not _installed() or "default" not in (databases or ()):
        return []
    return [*_settings(), *_triggers()]


# Models


def _about(one: PublishedModel) -> Iterator[checks.CheckMessage]:
    model = one.model
    parents = [parent for parent in model._meta.parents if parent._meta.concrete_model is not model]
    if parents and not model._meta.proxy:
        yield checks.Error(
            f"{model._meta.label} inherits the table of {parents[0]._meta.label}: a change of that part of the row "
            "would not be seen.",
            hint="Publish the parent, or give the child all its columns (an abstract parent).",
            obj=model,
            id="realtime.E002",
        )
    for column in one.columns:
        field = next((f for f in model._meta.concrete_fields if f.column == column), None)
        if field is None or field.model._meta.concrete_model is not model._meta.concrete_model:
            yield checks.Error(
                f"{model._meta.label}: filters use {column!r}, which is no column of its own table.",
                hint="Filters and rights use columns of the model's own table; declare other rows in `rights_from`.",
                obj=model,
                id="realtime.E005",
            )
        elif problem := values.unsupported(field):
            yield checks.Error(
                f"{model._meta.label}: filters use {field.name!r}, but {problem}.",
                hint=f"Filter by another field. Old values can be read of: {', '.join(sorted(values.KINDS))}.",
                obj=model,
                id="realtime.E004",
            )
    if len(one.columns) > SQLITE_COLUMNS and connections["default"].vendor == "sqlite":
        yield checks.Error(
            f"{model._meta.label}: filters use {len(one.columns)} columns; SQLite can keep {SQLITE_COLUMNS}.",
            hint="Take fields out of its routers' `filter_fields` and `scope_fields`, or use PostgreSQL.",
            obj=model,
            id="realtime.E006",
        )
    if not model._meta.managed:
        yield checks.Warning(
            f"{model._meta.label} is not managed by Django, so nothing here knows when its table changes.",
            hint="Run `manage.py journal install` after every change of that table.",
            obj=model,
            id="realtime.W008",
        )


def _key_problem(model: type[Model]) -> str | None:
    key: Field[Any, Any] = model._meta.pk
    if isinstance(key, CompositePrimaryKey):
        return "its primary key has several columns"
    if problem := values.key_unsupported(key):
        return f"its primary key {key.name!r} ({problem})"
    return None


def _doubles(models: Iterable[PublishedModel]) -> Iterator[checks.CheckMessage]:
    taken: dict[str, type[Model]] = {}
    for one in models:
        first = taken.setdefault(one.stream, one.model)
        if first is not one.model:
            yield checks.Error(
                f"{first._meta.label} and {one.model._meta.label} both publish on the stream {one.stream!r}.",
                hint="Give one of their serializers another `base_channel`.",
                obj=one.model,
                id="realtime.E007",
            )
        if one.stream.startswith("!") or "|" in one.stream or not one.stream:
            yield checks.Error(
                f"{one.model._meta.label}: {one.stream!r} cannot name a stream.",
                hint="A stream's name is not empty, does not begin with '!' and has no '|'.",
                obj=one.model,
                id="realtime.E009",
            )


# Database


def _settings() -> Iterator[checks.CheckMessage]:
    chosen = django_settings.DATABASES["default"]
    if connections["default"].vendor != "sqlite":
        return
    if chosen["ENGINE"] != "realtime.sqlite":
        yield checks.Warning(
            f"The database engine is {chosen['ENGINE']!r}: writers of one process wait for each other in no order, and "
            "INSERT OR REPLACE removes rows unseen.",
            hint='Use ENGINE = "realtime.sqlite"; it is Django\'s own with a fair queue and recursive triggers.',
            id="realtime.W020",
        )
    if (chosen.get("OPTIONS", {}).get("transaction_mode") or "").upper() != "IMMEDIATE":
        yield checks.Warning(
            "Transactions begin without SQLite's write lock, so two of them can fail each other with "
            '"database is locked" whatever the timeout.',
            hint='Set OPTIONS["transaction_mode"] = "IMMEDIATE".',
            id="realtime.W021",
        )


def _triggers() -> Iterator[checks.CheckMessage]:
    sql = triggers.dialect(connections["default"])
    if not sql.ready():
        return
    for status in triggers.status():
        if reason := sql.unseen(status.table):
            yield checks.Error(
                f"{status.label or status.table} cannot be journalled: {reason}.",
                hint="Publish an ordinary table.",
                id="realtime.E032",
            )
        elif status.state in ("missing", "stale"):
            yield checks.Warning(
                f"The triggers of {status.label or status.table} are {status.state}: changes are not published.",
                hint="`manage.py migrate` and `manage.py journal install` make them.",
                id="realtime.W030" if status.state == "missing" else "realtime.W031",
            )


def _installed() -> bool:
    from django.apps import apps

    return apps.is_installed("realtime")
