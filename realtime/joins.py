"""One client's wish to follow a channel, and how its snapshot is joined to the live changes.

JOINING  changes are held back while the rows are read
PARTS    the snapshot is on its way; a change of an object not yet sent goes into the rest of it
LIVE     every change of the channel is sent

A change is never sent after a snapshot showed something newer: both carry revisions.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import replace
from enum import Enum
from types import MappingProxyType
from typing import Any

from .change import DELETED, UPDATED, Change, Event
from .errors import TooLarge
from .filters import Filter
from .frames import Client
from .protocol import Call, Raw, data_message, text_of
from .protocol import change as change_message

# A revision, and whether the row is dirty: a dirty one is yet to be published.
Revision = tuple[int, bool] | int


NOTHING: Mapping[str, int] = MappingProxyType({})


class State(Enum):
    JOINING = "joining"
    PARTS = "parts"
    LIVE = "live"


class Verdict(Enum):
    SEND = "send"
    # This subscription does not need it; another of the same client may.
    IGNORE = "ignore"
    # The client was shown something newer: nobody of it may get this.
    BLOCK = "block"


class Subscription:
    __slots__ = (
        "call",
        "channels",
        "client_context",
        "connection",
        "epoch",
        "events",
        "filter",
        "held",
        "joined",
        "local",
        "newer",
        "object_map",
        "part",
        "pending",
        "seen",
        "sent",
        "stale",
        "state",
        "stream",
        "suspended",
        "told",
        "withheld",
    )

    def __init__(
        self,
        connection: Client,
        stream: str,
        channels: tuple[str, ...],
        local: str,
        call: Call,
        *,
        filter: Filter | None = None,
        object_map: list[Any] | None = None,
        client_context: Mapping[str, Any] | None = None,
    ) -> None:
        """`filter` belongs to a model's stream, with its one channel; without it the channels are names for events."""
        self.connection = connection
        self.stream = stream
        self.channels = channels
        self.local = local
        self.call = call
        self.filter = filter
        self.object_map = object_map
        self.client_context = client_context
        self.state = State.JOINING
        # What it was before it was suspended, if it is.
        self.suspended: State | None = None
        # False again when it has left: what was read for it meanwhile is for nobody.
        self.joined = False
        # Newest change per object and all events since joining, with their offsets.
        self.held: dict[str, tuple[int, Change]] = {}
        self.events: list[tuple[int, Event]] = []
        # Objects of the snapshot that are not sent yet, as JSON text.
        self.pending: OrderedDict[str, str] = OrderedDict()
        self.part = 0
        # Objects whose shown revision is not published yet: (revision, whether it was shown as being there).
        self.seen: dict[str, tuple[int, bool]] = {}
        # By key: revisions that are committed and not yet published. What is older may be from a time at
        # which the client could not see it, if this subscription began or went on without a snapshot.
        self.newer: Mapping[str, int] = NOTHING
        # The epoch in which this subscription can be continued; None: it cannot, no position may be told.
        self.epoch: str | None = None
        self.told = 0
        self.withheld = False
        # The stream began anew while the snapshot was on its way: it ends in a resync.
        self.stale = False
        # Legacy clients only: id and type of what they were sent, by key.
        self.sent: dict[str, tuple[Any, str]] | None = {} if connection.transport.legacy else None

    @property
    def channel(self) -> str:
        return self.channels[0]

    @property
    def settled(self) -> bool:
        """Whether every change of the channel goes out to this subscription without another look."""
        return self.state is State.LIVE and not self.seen and not self.newer and self.sent is None

    @property
    def continuable(self) -> bool:
        return self.state is State.LIVE and not self.withheld and self.epoch is not None

    @property
    def channel_data(self) -> dict[str, Any]:
        return {"local_channel": self.local, "remote_channels": list(self.channels), "action": "subscribe"}

    def hold(self, offset: int, item: Change | Event) -> None:
        if isinstance(item, Event):
            self.events.append((offset, item))
            return
        older = self.held.pop(item.key, None)
        if older is not None:
            item = replace(item, before=item.before + older[1].before)
        self.held[item.key] = (offset, item)

    def wants(self, change: Change) -> bool:
        return self.filter is not None and not change.gone and self.filter.passes(change.now)

    def had(self, change: Change) -> bool:
        return self.filter is not None and any(self.filter.passes(state) for state in change.before)

    def judge(self, change: Change, passes: bool) -> Verdict:
        """What to do with a change of the channel in PARTS and LIVE; `passes`: the object is in the channel now."""
        seen = self.seen.get(change.key)
        if seen is not None:
            revision, shown = seen
            if change.revision >= revision:
                del self.seen[change.key]
            if change.revision == revision:
                return Verdict.IGNORE
            if change.revision < revision:
                # The removal of what the snapshot does not show either harms nobody, and another may wait for it.
                return Verdict.BLOCK if passes or shown else Verdict.IGNORE
        if passes and self.outdated(change):
            return Verdict.BLOCK
        if change.key in self.pending:
            if passes:
                self.pending[change.key] = text_of(change.data)
            else:
                del self.pending[change.key]
            return Verdict.IGNORE
        return Verdict.SEND

    def overtook(self, change: Change) -> bool:
        """Whether the snapshot has shown something newer of the object, which is not published yet."""
        seen = self.seen.get(change.key)
        # As in `judge`: the removal of what it does not show either harms nobody.
        return seen is not None and change.revision < seen[0] and (self.wants(change) or seen[1])

    def outdated(self, change: Change) -> bool:
        """Whether something newer of the object is on its way."""
        return bool(self.newer) and change.revision < self.newer.get(change.key, 0)

    def came(self, change: Change) -> None:
        """The change was published, in this channel or not: nothing older of the object can follow."""
        seen = self.seen.get(change.key)
        if seen is None or change.revision < seen[0]:
            return
        held = self.held.get(change.key)
        if held is not None and held[1].revision >= seen[0]:
            return  # it is judged when it is let go
        self.held.pop(change.key, None)
        del self.seen[change.key]

    def merge(self, objects: Iterable[tuple[str, Any]], revisions: Mapping[str, Revision], largest: int) -> None:
        """Make the snapshot: rows as read, with what was held back meanwhile. TooLarge if one object is.

        Every change up to the stream's head, asked for after the rows were read, must have been held or be older than
        joining: then only rows that were dirty can still be published with a revision the snapshot has shown.
        """
        pending: OrderedDict[str, str] = OrderedDict((key, text_of(data)) for key, data in objects)
        dirty = {key for key, revision in revisions.items() if not isinstance(revision, tuple) or revision[1]}
        for key, (_, change) in self.held.items():
            read = _number(revisions.get(key, 0))
            if change.revision >= read:
                dirty.discard(key)
            if change.revision > read:
                if self.wants(change):
                    pending[key] = text_of(change.data)
                else:
                    pending.pop(key, None)
        if any(len(text) > largest for text in pending.values()):
            raise TooLarge("An object of this list is too large.")
        self.held.clear()
        self.part = 0
        self.pending = pending
        self.seen = {key: (_number(revisions[key]), key in pending) for key in dirty}

    def expect(self, revisions: Mapping[str, Revision], shown: Iterable[str]) -> None:
        """Rows that the client has seen, or will have, in a revision that is not published yet."""
        keys = set(shown)
        for key, revision in revisions.items():
            if not isinstance(revision, tuple) or revision[1]:
                self.seen[key] = (_number(revision), key in keys)

    def let_go(self) -> list[tuple[int, Change | Event]]:
        """What was held back, in order of offset."""
        held: list[tuple[int, Change | Event]] = [*self.held.values(), *self.events]
        self.held.clear()
        self.events.clear()
        return sorted(held, key=lambda entry: entry[0])

    def spare(self, told: Iterable[tuple[int, Change | Event]]) -> None:
        """Let go of what the client is being sent through another subscription of the same channel."""
        for offset, item in told:
            if isinstance(item, Event):
                self.events = [entry for entry in self.events if entry[0] != offset]
            elif item.key in self.held and self.held[item.key][0] == offset:
                del self.held[item.key]
                self.came(item)
                if item.key in self.pending:
                    # The rest of a snapshot must not show anything older.
                    if self.wants(item):
                        self.pending[item.key] = text_of(item.data)
                    else:
                        del self.pending[item.key]

    def take_part(self, at_most: int) -> list[tuple[str, str]]:
        """The next objects, at least one if there is any, of together at most so many characters."""
        taken: list[tuple[str, str]] = []
        size = 0
        while self.pending:
            key, text = self.pending.popitem(last=False)
            if taken and size + len(text) > at_most:
                self.pending[key] = text
                self.pending.move_to_end(key, last=False)
                break
            taken.append((key, text))
            size += len(text) + 1
        return taken

    def frames(self, offset: int, item: Change | Event) -> Iterator[tuple[Hashable | None, str]]:
        """What this subscription alone is sent for a change or an event, with the key under which newer replace it."""
        if isinstance(item, Event):
            if item.channel in self.channels:
                yield None, data_message(item.channel, item.data, offset)
        elif self.wants(item):
            action = UPDATED if self.sent and item.key in self.sent else item.action_for_now
            self.note(item, action)
            yield (self.channel, item.key), change_message(self.channel, action, item.data, offset)
        elif self.had(item):
            self.note(item, DELETED)
            data = {"id": item.id, "_type": item.type}
            yield (self.channel, item.key), change_message(self.channel, DELETED, data, offset, gone=item.gone)

    def note(self, change: Change, action: str) -> None:
        """Legacy clients: what they were sent."""
        if self.sent is not None and self.state is not State.JOINING:
            if action == DELETED:
                self.sent.pop(change.key, None)
            else:
                self.sent[change.key] = (change.id, change.type)

    def knows(self, objects: Iterable[tuple[str, Any]]) -> None:
        """Legacy clients: the objects such a client may show, because it can ask for them without a subscription."""
        if self.sent is not None:
            for key, data in objects:
                shown = json.loads(data.text) if isinstance(data, Raw) else data
                self.sent[key] = (shown.get("id"), shown.get("_type", ""))


def _number(revision: Revision) -> int:
    return revision if isinstance(revision, int) else revision[0]
