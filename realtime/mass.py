"""More due objects of one model than anybody wants to hear of one by one: they become one resync of their stream.

The resync is a row of the journal, written in the same transaction that marks the objects. So it cannot be lost, and
whatever is committed later is due again by itself.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Count

from realtime import journal
from realtime.brief import brief
from realtime.journal import Row
from realtime.settings import settings

# Marked in one transaction; on SQLite all writers wait for it, some 20 ms.
PORTION = 1000


def crowded(using: str = "default") -> dict[str, int]:
    """Labels with more due objects than `JOURNAL_MASS`, and how many."""
    from realtime.models import Journal

    due = Journal.objects.using(using).filter(dirty=True, failed=False, kind=journal.OBJECT)
    counts = due.order_by().values("label").annotate(count=Count("id")).filter(count__gt=settings.JOURNAL_MASS)
    return dict(counts.values_list("label", "count"))


def collapse(label: str, using: str = "default") -> None:
    """Replace the due objects of a label by a resync; not those that become due meanwhile: writers may be faster."""
    from realtime.models import Journal

    due = Journal.objects.using(using).filter(dirty=True, failed=False, kind=journal.OBJECT, label=label)
    last = due.order_by("-revision").values_list("revision", flat=True).first() or 0
    after = -1
    while rows := list(
        due.filter(revision__gt=after, revision__lte=last)
        .order_by("revision")
        .values_list("id", "key", "revision")[:PORTION]
    ):
        after = rows[-1][2]
        replace([Row(pk, journal.OBJECT, label, key, revision) for pk, key, revision in rows], using=using)


def replace(rows: Sequence[Row], using: str = "default") -> None:
    """Mark these rows, and instead of them write a resync of their labels."""
    with brief(using):
        for label in sorted({row.label for row in rows}):
            journal.whole(label, using=using)
        journal.mark(rows, using=using)
