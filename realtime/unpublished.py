"""What is committed and not yet published, asked for when somebody's rights were judged.

A right may end and come back while what was published in between is still on its way. A state from that time, which is
over, was never to be seen by whoever has the right again; only the database knows that it is over. So before a
subscription goes on where it was, the journal is asked, and of what it knows a newer revision of, nothing older is
shown: the newer one is on its way as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from django.db.models import Model

from realtime import journal, registry, values, view
from realtime.errors import BusUnavailable
from realtime.hub import Hub
from realtime.node import Node
from realtime.threads import Threads

# What was published is here sooner, or the link to the bus is lost.
HEARD_SECONDS = 2.0
# By key, revisions of which some, or newer ones, are to be published or were a moment ago.
Due = dict[str | None, int]
# Of so many rows it is asked, one by one, who shows them.
SEVERAL = 20
# As `journal.due` tells it.
Found = tuple[int, str, str, int]


class Unpublished:
    """One question at a time, about every stream, for all who asked before it began: thousands who come back together
    cost a few statements."""

    def __init__(self, hub: Hub, node: Node, threads: Threads) -> None:
        self._hub = hub
        self._node = node
        self._threads = threads
        self._models = {serializer.stream(): model for model, serializer in registry.serializers().items()}
        self._lock = asyncio.Lock()
        self._next: tuple[set[str], asyncio.Task[set[str]]] | None = None

    async def ask(self, *streams: str) -> set[str]:
        """The hub knows what was committed before this call and is yet to come on these streams, and what was published
        before is here. Except for those it answers: everything of them is to come, or did a moment ago, in a new epoch;
        whoever wants to be sure takes a snapshot.
        BusUnavailable: of what was published nothing is known. django.db.Error."""
        mine = self._models.keys() & set(streams)
        if not mine:
            return set()
        if self._next is None:
            wanted: set[str] = set()
            self._next = wanted, asyncio.create_task(self._ask(wanted))
        wanted, task = self._next
        wanted |= mine
        return await asyncio.shield(task) & mine

    async def _ask(self, wanted: set[str]) -> set[str]:
        async with self._lock:
            # Whoever asks from here on wants another answer.
            self._next = None
            models = {stream: self._models[stream] for stream in wanted}
            due = await asyncio.wrap_future(self._threads.submit(read, models))
            try:
                # What was published and marked when this was read is due no more, and may still be on its way.
                async with asyncio.timeout(HEARD_SECONDS):
                    await asyncio.gather(*map(self._node.caught_up, wanted))
            except (BusUnavailable, TimeoutError) as error:
                self._tell(due, complete=False)
                raise BusUnavailable from error
            self._tell(due, complete=True)
            return {stream for stream, found in due.items() if journal.EVERYTHING in found}

    def _tell(self, due: Mapping[str, Due], *, complete: bool) -> None:
        for stream, found in due.items():
            revisions = {key: (revision, True) for key, revision in found.items() if key is not journal.EVERYTHING}
            left = self._node.yet_to_come(stream, revisions)
            newer = {key: revision for key, (revision, dirty) in left.items() if dirty}
            self._hub.expect(stream, newer, complete=complete)


def read(models: Mapping[str, type[Model]]) -> dict[str, Due]:
    """By stream; in a thread."""
    rows = journal.due()
    if not any(label.startswith(journal.WATCH) for _, label, _, _ in rows):
        return {stream: _due(model, rows) for stream, model in models.items()}
    # Whom a change of these shows is asked of the tables, as they were with these rows.
    with view.consistent():
        rows = journal.due()
        return {stream: _with_shown(model, rows) for stream, model in models.items()}


def _due(model: type[Model], rows: Iterable[Found]) -> Due:
    label = model._meta.label_lower
    return {
        values.key_text(model, key) if kind == journal.OBJECT else journal.EVERYTHING: revision
        for kind, under, key, revision in rows
        if under == label
    }


def _with_shown(model: type[Model], rows: Sequence[Found]) -> Due:
    """And what shows something of a row that has changed, which will be a newer revision of its own, or is one."""
    found = _due(model, rows)
    labels = {label for _, label, _, _ in rows}
    for source, items in registry.shows().items():
        label = journal.WATCH + source._meta.label_lower
        mine = [item for item in items if item.model is model]
        changed = journal.due_under(label) if mine and label in labels else []
        if len(changed) > SEVERAL:
            found[journal.EVERYTHING] = changed[-1].revision
            continue
        for row in changed:
            if row.kind != journal.OBJECT or row.overflow:
                found[journal.EVERYTHING] = row.revision
                continue
            for key in {str(pk) for item in mine for pk in item.pks({row.pk}, row.before)}:
                found[key] = max(row.revision, found.get(key, 0))
    return found
