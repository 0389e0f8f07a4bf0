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


class Unpublished:
    """One question at a time for each stream, for all who asked before it began."""

    def __init__(self, hub: Hub, node: Node, threads: Threads) -> None:
        self._hub = hub
        self._node = node
        self._threads = threads
        self._models = {serializer.stream(): model for model, serializer in registry.serializers().items()}
        self._locks: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._next: dict[str, asyncio.Task[bool]] = {}

    async def ask(self, stream: str) -> bool:
        """The hub knows what was committed before this call and is yet to come, and what was published before is here.
        False: everything is to come, or did a moment ago, in a new epoch; whoever wants to be sure takes a snapshot.
        BusUnavailable: of what was published nothing is known. django.db.Error."""
        if stream not in self._models:
            return True
        task = self._next.get(stream)
        if task is None:
            task = self._next[stream] = asyncio.create_task(self._ask(stream))
        return await asyncio.shield(task)

    async def _ask(self, stream: str) -> bool:
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
            return journal.EVERYTHING not in due

    def _tell(self, stream: str, due: dict[str | None, int], *, complete: bool) -> None:
        revisions = {key: (revision, True) for key, revision in due.items() if key is not journal.EVERYTHING}
        left = self._node.yet_to_come(stream, revisions)
        self._hub.expect(stream, {key: revision for key, (revision, dirty) in left.items() if dirty}, complete=complete)


def read(model: type[Model]) -> dict[str | None, int]:
    """By key, revisions of which some, or newer ones, are to be published or were a moment ago; in a thread."""
    with view.consistent():
        found = journal.unpublished(model._meta.label_lower)
        for source, items in registry.shows().items():
            mine = [item for item in items if item.model is model]
            for row in journal.watched(source) if mine else ():
                if row.kind != journal.OBJECT or row.overflow:
                    found[journal.EVERYTHING] = row.revision
                    continue
                # What these show has changed, which will be a newer revision of their own, or is one already.
                for key in {str(pk) for item in mine for pk in item.pks({row.pk}, row.before)}:
                    found[key] = max(row.revision, found.get(key, 0))
    return found
