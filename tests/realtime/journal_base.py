"""What the journal's tests share: reading it as a table, and a database that is told apart by name."""

from __future__ import annotations

import json
from typing import Any

from django.db import connection

from realtime import journal
from realtime.models import Journal

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
