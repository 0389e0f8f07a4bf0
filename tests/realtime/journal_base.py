"""What the journal's tests share: reading it as a table, and a database that is told apart by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.apps import apps
from django.core.management.sql import emit_post_migrate_signal, emit_pre_migrate_signal
from django.db import connection, migrations, models
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from realtime import journal, registry
from realtime.models import Journal, SelfPublishModel
from realtime.routers import ModelRouter
from realtime.serializers import ModelSerializer

POSTGRESQL = connection.vendor == "postgresql"
SQLITE = connection.vendor == "sqlite"


def due() -> dict[tuple[str, str], list[dict[str, Any] | None]]:
    """(label, key) → the old states that must be told, oldest text order; resyncs stand under the key "*"."""
    found: dict[tuple[str, str], list[dict[str, Any] | None]] = {}
    for row in journal.read(limit=100_000):
        found[(row.label, "*" if row.kind == journal.WHOLE else row.key)] = sorted(row.before, key=json.dumps)
    return found


def due_of(label: str) -> dict[str, list[dict[str, Any] | None]]:
    return {key: states for (of, key), states in due().items() if of == label}


def publish_all() -> None:
    """What a relay does without subscribers: everything that is due is told, nothing is due any more."""
    while rows := journal.read():
        journal.mark(rows)
    assert not Journal.objects.filter(dirty=True).exists()


class Project:
    """A model that changes from migration to migration, as its code would."""

    def __init__(self) -> None:
        self.state = ProjectState()
        self.model: Any = None
        self.forget()

    def forget(self) -> None:
        for model in [m for m in registry.publishers if m.__name__ in ("Gadget", "Gizmo")]:
            del registry.publishers[model]
        registry.routes.pop("gadget", None)
        for name in ("gadget", "gizmo"):
            apps.all_models["app"].pop(name, None)
        apps.clear_cache()

    def code(
        self,
        name: str,
        mixin: bool = True,
        filters: Sequence[str] = ("size",),
        scope: Sequence[str] = (),
        base: type[models.Model] = models.Model,
        channel: str = "",
        **attributes: Any,
    ) -> Any:
        """Write the model's code anew: its class, its serializer, its router."""
        self.forget()
        bases: tuple[type, ...] = (base,)
        if mixin and not issubclass(base, SelfPublishModel):
            bases = (SelfPublishModel,) if base is models.Model else (SelfPublishModel, base)
        self.model = type(name, bases, {"__module__": "tests.app.models", **attributes})
        if mixin:
            meta = {"model": self.model, "publish_fields": ("pk",), "base_channel": channel or name.lower()}
            serializer = type(f"{name}Serializer", (ModelSerializer,), {"Meta": type("Meta", (), meta)})
            self.model.serializer_class = serializer
            router = {
                "route_name": "gadget",
                "serializer_class": serializer,
                "filter_fields": {name: ["exact"] for name in filters},
                "scope_fields": tuple(scope),
            }
            registry.register(type(f"{name}Router", (ModelRouter,), router))
        return self.model

    def migrate(self, *operations: Operation) -> None:
        """What `migrate` does: the signals, and the operations between them."""
        migration = type("Migration", (migrations.Migration,), {"operations": operations})("0001", "app")
        # Not the migration itself: contenttypes would add to a renaming what needs its own history.
        plan = [(migrations.Migration("0001", "app"), False)]
        emit_pre_migrate_signal(0, False, "default", apps=apps, plan=plan)
        with connection.schema_editor(atomic=migration.atomic) as editor:
            self.state = migration.apply(self.state, editor)
        emit_post_migrate_signal(0, False, "default", apps=apps, plan=plan)

    def label(self) -> str:
        return str(self.model._meta.label_lower)
