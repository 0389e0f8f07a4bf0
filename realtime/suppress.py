"""Silence the journal for an import, and end in one resync instead of thousands of changes.

Imports nothing of Django at the top: `realtime/__init__` imports it before any app is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.db.models import Model


@contextmanager
def suppress(*models: type[Model], using: str = "default") -> Iterator[None]:
    """Inside, writes to these models are not journalled one by one; at the end their subscribers take a new snapshot.

    The block is one transaction: an exception undoes the writes, the silence and the resync together, so nothing is
    ever committed unseen, not even by a process that dies in the middle. Other connections are not silenced.
    """
    from django.db import connections, transaction

    from realtime import journal, triggers

    connection = connections[using]
    labels = triggers.labels_of(models)
    with transaction.atomic(using=using):
        dialect = triggers.dialect(connection)
        outside = dialect.silenced()
        dialect.silence([*outside, *labels])
        yield
        # Not in a `finally`: after an exception the rollback ends the silence.
        dialect.silence(outside)
        for label in labels:
            journal.whole(label, using=using)
