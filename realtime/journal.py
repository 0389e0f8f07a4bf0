"""The journal as relay and writers use it: read what is due, mark what is published, add what no trigger can see.

Nothing here holds a lock or a transaction between `read` and `mark`: while the bus is waited for, every writer goes on.
"""

from __future__ import annotations

import datetime
import hashlib
import json
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.db import connections, transaction
from django.db.models import Model, Q
from django.utils import timezone

from realtime import triggers, values, wake
from realtime.brief import brief
from realtime.settings import settings

if TYPE_CHECKING:
    from realtime.change import Control, Event

OBJECT, WHOLE, EVENT, CONTROL = range(4)
WATCH = "watch:"
OVERFLOW = "*"
EVERYTHING = None

# Any row of a watch may be one about rights; those that are not are few.
_OF_RIGHTS = Q(kind=CONTROL) | Q(label__startswith=WATCH)

# Rows marked in one transaction, so that no mark keeps SQLite's writers waiting for long.
MARK_BATCH = 500


@dataclass(frozen=True)
class Row:
    """One row that is due. `key` is the object's key as text, `pk` as Python; `before` are the states that must be told
    (column → kept value, None: did not exist) unless there are too many (`overflow`): then the stream must resync."""

    id: int
    kind: int
    label: str
    key: str
    revision: int
    before: tuple[dict[str, Any] | None, ...] = ()
    overflow: bool = False
    payload: str | None = None
    pk: Any = None


# Reading


def read(limit: int = 500, using: str = "default") -> list[Row]:
    """What is due, oldest revision first. Call it inside `view.consistent()` together with loading the objects."""
    return look(limit, using)[1]


def due(using: str = "default") -> list[tuple[int, str, str, int]]:
    """Kind, label, key as the journal has it, and revision of all of it, in one statement."""
    from realtime.models import Journal

    rows = Journal.objects.using(using).filter(dirty=True, failed=False).order_by("revision")
    return list(rows.values_list("kind", "label", "key", "revision"))


def due_under(label: str, using: str = "default") -> list[Row]:
    """What is due of one label."""
    from realtime.models import Journal

    rows = Journal.objects.using(using).filter(label=label, dirty=True, failed=False)
    return [row_of(journal) for journal in rows.order_by("revision")]


def look(limit: int, using: str = "default") -> tuple[str, list[Row]]:
    """The database's `identity` and what is due, in one statement: the relay's every step begins with it. The identity
    is empty while nobody has given it one."""
    sql = triggers.dialect(connections[using])
    rows = sql.execute(_LOOK.format(fingerprint=sql.fingerprint_sql()), [limit])
    given, told = rows[0][:2]
    found = [_row(*row[2:]) for row in rows if row[2] is not None]
    return _identity(given, sql.fingerprint(told)) if given else "", found


# One line at least, for the identity. SQLite and PostgreSQL use the partial index for exactly this condition.
_LOOK = f"""\
SELECT i.identity, {{fingerprint}}, j.id, j.kind, j.label, j.key, j.revision, j.before, j.payload
FROM (SELECT 1 AS id) AS here LEFT JOIN {triggers.IDENTITY} i ON i.id = here.id
LEFT JOIN (
  SELECT id, kind, label, key, revision, before, payload FROM {triggers.JOURNAL}
  WHERE dirty AND NOT failed ORDER BY revision LIMIT %s
) AS j ON true ORDER BY j.revision"""


def revisions(label: str, using: str = "default") -> dict[str, tuple[int, bool]]:
    """By key: the revision, and whether it is still to be published. A snapshot reads it in the view of its objects."""
    from realtime.models import Journal

    model = model_of(label)
    rows = Journal.objects.using(using).filter(kind=OBJECT, label=label).values_list("key", "revision", "dirty")
    return {_key(model, key): (revision, dirty) for key, revision, dirty in rows}


def rights_due(using: str = "default") -> bool:
    """Whether something that may have changed rights waits to be told. What a snapshot shows in whose view this is not
    so, it shows to those whose rights were judged by all that servers have been told."""
    from realtime.models import Journal

    return Journal.objects.using(using).filter(_OF_RIGHTS, dirty=True, failed=False).exists()


def rights(beside: Sequence[Row], using: str = "default") -> list[Row]:
    """What is due and may have changed rights, beside a full batch, to be published with it: it stands under its newest
    revision, and objects written after its first one may be in the batch. Call it in the view of that batch."""
    from realtime.models import Journal

    known = {row.id for row in beside}
    due = Journal.objects.using(using).filter(_OF_RIGHTS, dirty=True, failed=False)
    return [row_of(journal) for journal in due.order_by("revision") if journal.pk not in known]


def pending(using: str = "default") -> tuple[int, float]:
    """How many rows are due, and how many seconds the oldest has waited since its last write."""
    from realtime.models import Journal

    due = Journal.objects.using(using).filter(dirty=True, failed=False)
    oldest = due.order_by("at").values_list("at", flat=True).first()
    return due.count(), 0.0 if oldest is None else max(0.0, (timezone.now() - oldest).total_seconds())


def model_of(label: str) -> type[Model] | None:
    """The model whose rows this label names; None if it is gone."""
    try:
        return apps.get_model(label.removeprefix(WATCH))
    except (LookupError, ValueError):
        return None


def identity(using: str = "default") -> str:
    """Differs between this database and every copy, and changes when the database was emptied or restored.

    Epochs contain it; whoever publishes asks again before each batch and renews every stream when it changed.
    """
    given, _ = look(0, using)
    if not given:
        renew_identity(using)
        given, _ = look(0, using)
    return given


def _identity(given: str, fingerprint: str) -> str:
    return hashlib.sha256(f"{given}:{fingerprint}".encode()).hexdigest()[:16]


def renew_identity(using: str = "default") -> str:
    """Say that this database is another one from now on, as after a restore; every stream gets a new epoch."""
    from realtime.models import DatabaseIdentity

    fresh = secrets.token_hex(16)
    # In one statement that needs the table's key: `pg_restore` fills tables before it makes their keys, and a row that
    # a running server put beside the dump's would make it fail.
    DatabaseIdentity.objects.using(using).bulk_create(
        [DatabaseIdentity(pk=1, identity=fresh)],
        update_conflicts=True,
        unique_fields=["id"],
        update_fields=["identity"],
    )
    return fresh


# Marking


def mark(acked: Sequence[Row], using: str = "default") -> None:
    """These revisions are published: what stood before them need not be told again.

    A row that was written meanwhile stays due, without the states that are older. One that a writer holds right now is
    skipped: it will be due again anyway, or be published twice, which the bus refuses.
    """
    for start in range(0, len(acked), MARK_BATCH):
        batch = {row.id: row.revision for row in acked[start : start + MARK_BATCH]}
        for done in triggers.dialect(connections[using]).settle(batch):
            del batch[done]
        if batch:
            _strike_out(batch, using)


def _strike_out(acked: dict[int, int], using: str) -> None:
    """Of rows that were written again: states older than the revision that was published."""
    from realtime.models import Journal

    with brief(using):
        rows = Journal.objects.using(using).select_for_update(skip_locked=True).filter(pk__in=acked, dirty=True)
        for journal in rows.order_by("pk"):
            if journal.revision == acked[journal.pk]:
                continue  # a writer held it and rolled back: the relay asks again
            states = json.loads(journal.before)
            left = {state: revision for state, revision in states.items() if revision >= acked[journal.pk]}
            if len(left) != len(states):
                written = json.dumps(left, ensure_ascii=False)
                Journal.objects.using(using).filter(pk=journal.pk).update(before=written)


def fail(row: Row, using: str = "default") -> None:
    """Set aside what cannot be published, until it is written again or `retry_failed`."""
    from realtime.models import Journal

    with brief(using):
        rows = Journal.objects.using(using).select_for_update(skip_locked=True).filter(pk=row.id, revision=row.revision)
        Journal.objects.using(using).filter(pk__in=[journal.pk for journal in rows]).update(failed=True)


def failed(using: str = "default") -> int:
    from realtime.models import Journal

    return Journal.objects.using(using).filter(dirty=True, failed=True).count()


def retry_failed(using: str = "default") -> int:
    """Make everything that was set aside due again; how many."""
    from realtime.models import Journal

    count = Journal.objects.using(using).filter(dirty=True, failed=True).update(failed=False)
    wake.wake_on_commit(connections[using])
    return count


def prune(age: float | None = None, using: str = "default") -> int:
    """Forget what was published more than `age` seconds ago (`JOURNAL_SECONDS`); how many rows.

    No revision gets lower by it: the counter is the database's, not the row's.
    """
    from realtime.models import Journal

    before = timezone.now() - datetime.timedelta(seconds=settings.JOURNAL_SECONDS if age is None else age)
    with brief(using):
        rows = Journal.objects.using(using).select_for_update(skip_locked=True).filter(dirty=False, at__lt=before)
        keys = list(rows.order_by("pk").values_list("pk", flat=True)[: 10 * MARK_BATCH])
        for start in range(0, len(keys), MARK_BATCH):
            Journal.objects.using(using).filter(pk__in=keys[start : start + MARK_BATCH]).delete()
    return len(keys)


# Adding


def touch(model: type[Model], pks: Iterable[Any], using: str = "default") -> bool:
    """Mark objects as changed because something that they show has changed. Not for use inside a transaction.

    False if some of them could not be marked, because a writer holds them: ask again later. It must not be waited for,
    and whether it commits, so that the object is published anyway, nobody knows yet.
    """
    keys = sorted({model._meta.pk.get_db_prep_value(pk, connections[using]) for pk in pks})
    table = model._meta.db_table
    done = True
    for watch in triggers.wanted():
        if watch.table != table or watch.label.startswith(WATCH) or not keys:
            continue
        if len(keys) > settings.JOURNAL_MASS:
            whole(watch.label, using=using)
        else:
            done &= triggers.dialect(connections[using]).touch(watch, keys)
            wake.wake_on_commit(connections[using])
    return done


def whole(label: str, using: str = "default") -> None:
    """Too much changed under this label to say what: one row makes all its subscribers take a new snapshot."""
    with transaction.atomic(using=using, savepoint=False):
        triggers.dialect(connections[using]).whole(label)
        wake.wake_on_commit(connections[using])


def announce(item: Event | Control, using: str = "default") -> None:
    """Publish this when, and only when, the caller's transaction commits."""
    from realtime import change
    from realtime.models import Journal

    kind, label = (EVENT, change.DATA_STREAM) if isinstance(item, change.Event) else (CONTROL, change.CONTROL_STREAM)
    payload = change.encode(item)
    with transaction.atomic(using=using, savepoint=False):
        Journal.objects.using(using).create(
            kind=kind,
            label=label,
            key=secrets.token_hex(8),
            revision=triggers.dialect(connections[using]).next_revision(),
            dirty=True,
            before="{}",
            payload=payload,
            failed=False,
            at=timezone.now(),
        )
        wake.wake_on_commit(connections[using])


def publish_data(channel: str, data: Any, using: str = "default") -> None:
    """Tell everybody who subscribed to `channel`, once the caller's transaction has committed. `data` must be JSON."""
    from realtime.change import Event

    announce(Event(channel, data), using=using)


# Private


def row_of(journal: Any) -> Row:
    """A record of the journal as what it says."""
    return _row(journal.pk, journal.kind, journal.label, journal.key, journal.revision, journal.before, journal.payload)


def _row(id: int, kind: int, label: str, key: str, revision: int, before: str, payload: str | None) -> Row:
    model = model_of(label) if kind == OBJECT else None
    states = json.loads(before)
    return Row(
        id=id,
        kind=kind,
        label=label,
        key=_key(model, key),
        revision=revision,
        # Decimal, or a number of many digits would be rounded while it is read.
        before=tuple([json.loads(state, parse_float=Decimal) for state in states if state != OVERFLOW]),
        overflow=OVERFLOW in states,
        payload=payload,
        pk=None if model is None else values.key_value(model, key),
    )


def _key(model: type[Model] | None, raw: str) -> str:
    return raw if model is None else values.key_text(model, raw)
