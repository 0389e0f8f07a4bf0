"""What is committed and not yet published, asked for when somebody's rights were judged.

A right may end and come back while what was published in between is still on its way. A state from that time, which is
over, was never to be seen by whoever has the right again; only the database knows that it is over. So before a
subscription goes on where it was, the journal is asked, and of what it knows a newer revision of, nothing older is
shown: the newer one is on its way as well.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from django.db.models import Model

from realtime import journal, registry, view
from realtime.errors import BusUnavailable
from realtime.hub import Hub
from realtime.node import Node
from realtime.threads import Threads

# Every object of the stream: it is about to begin anew.
ALL = None
# Above every revision.
BEYOND = 1 << 63


class Unpublished:
    """One question at a time for each stream, for all who asked before it began."""

    def __init__(self, hub: Hub, node: Node, threads: Threads) -> None:
        self._hub = hub
        self._node = node
        self._threads = threads
        self._models = {serializer.stream(): model for model, serializer in registry.serializers().items()}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._next: dict[str, asyncio.Task[None]] = {}

    async def ask(self, stream: str) -> None:
        """The hub knows what was committed before this call and is yet to come, and what was published before is here.
        BusUnavailable: of what was published nothing is known. django.db.Error."""
        if stream in self._models:
            task = self._next.get(stream)
            if task is None:
                task = self._next[stream] = asyncio.create_task(self._ask(stream))
            await asyncio.shield(task)

    async def _ask(self, stream: str) -> None:
        async with self._locks[stream]:
            # Whoever asks from here on wants another answer.
            del self._next[stream]
            due = await asyncio.wrap_future(self._threads.submit(read, self._models[stream]))
            try:
                # What was published and marked when this was read is due no more, and may still be on its way.
                await self._node.caught_up(stream)
            except BusUnavailable:
                self._tell(stream, due, complete=False)
                raise
            self._tell(stream, due, complete=True)

    def _tell(self, stream: str, due: dict[str | None, int], *, complete: bool) -> None:
        left = self._node.yet_to_come(stream, {key: (revision, True) for key, revision in due.items() if key})
        newer: dict[str | None, int] = {key: revision for key, (revision, dirty) in left.items() if dirty}
        if ALL in due:
            newer[ALL] = BEYOND
        self._hub.expect(stream, newer, complete=complete)


def read(model: type[Model]) -> dict[str | None, int]:
    """By key, revisions that are to come, or below those that are; in a thread."""
    label = model._meta.label_lower
    with view.consistent():
        found = journal.unpublished(label)
        shown: set[str] = set()
        for source, items in registry.shows().items():
            mine = [item for item in items if item.model is model]
            rows = journal.watched(source) if mine else []
            if any(row.kind != journal.OBJECT or row.overflow for row in rows):
                found[ALL] = BEYOND
            elif rows:
                before = [state for row in rows for state in row.before]
                shown |= {str(pk) for item in mine for pk in item.pks({row.pk for row in rows}, before)}
        if shown:
            # What these show has changed, which will be a revision of their own.
            revisions = journal.revisions(label)
            found |= {key: revisions[key][0] + 1 for key in shown & revisions.keys()}
    return found
