"""What the journal holds, as the changes it would become: for tests, which publish nothing and roll everything back.

Reads inside the test's own transaction and writes nothing, so several readers (and a relay) may look at one journal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from realtime import journal
from realtime.change import Change, Control, Event, decode
from realtime.journal import Row
from realtime.loading import Load, Loader
from realtime.settings import limits


@dataclass(frozen=True, slots=True)
class Resync:
    """Everybody who follows this stream takes a new snapshot."""

    stream: str


Captured = Change | Event | Control | Resync


class Changes(list[Change]):
    """The changes of objects, in the order of their revisions; what else happened stands beside them."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.controls: list[Control] = []
        self.resyncs: list[str] = []

    def take(self, captured: Captured) -> None:
        match captured:
            case Change():
                self.append(captured)
            case Event():
                self.events.append(captured)
            case Control():
                self.controls.append(captured)
            case Resync():
                self.resyncs.append(captured.stream)


@contextmanager
def capture_changes() -> Iterator[Changes]:
    """What was written inside, as it would be published after a commit; filled when the block ends.

    An object that was changed several times is published once, as it is at the end, as the relay would.
    """
    reader = Reader()
    changes = Changes()
    yield changes
    for captured in reader.take():
        changes.take(captured)


class Reader:
    """Goes through the journal from where it stands now."""

    def __init__(self) -> None:
        self._loader = Loader(limits().object_bytes)
        # Row of the journal → the revision up to which it has been read.
        self._read: dict[int, int] = {}
        self._fresh()

    def take(self) -> list[Captured]:
        """What was written since the last time. An object that cannot be serialised raises why."""
        rows = self._fresh()
        load = self._loader.load(rows)
        loads = [load, self._loader.load(self._touched(load, rows))]
        captured: list[Captured] = []
        for each in loads:
            for row, error in each.failing:
                raise AssertionError(f"{row.label} {row.key} cannot be published: {error}") from error
            captured += [decode(publication.body) for publication in (*each.controls, *each.publications)]
            streams = each.renewing | {self._loader.stream(row.label) for row in each.collapsing}
            captured += [Resync(stream) for stream in sorted(streams)]
        return captured

    def _fresh(self) -> list[Row]:
        from realtime.models import Journal

        rows: list[Row] = []
        for kept in Journal.objects.filter(dirty=True).order_by("revision"):
            since = self._read.get(kept.pk)
            if since == kept.revision:
                continue
            self._read[kept.pk] = kept.revision
            if since is not None:
                # As after `journal.mark`: what stood before the revision read last need not be told again.
                states = {state: r for state, r in json.loads(kept.before).items() if r >= since}
                kept.before = json.dumps(states)
            rows.append(journal.row_of(kept))
        return rows

    def _touched(self, load: Load, rows: list[Row]) -> list[Row]:
        """Rows for what must be published because of what it shows; the relay writes them to the journal instead."""
        known = {(row.label, row.key) for row in rows}
        touched: dict[tuple[str, str], Row] = {}
        for model, keys in load.touching:
            label = model._meta.label_lower
            for pk in sorted(keys, key=str):
                place = (label, str(pk))
                if place not in known:
                    cause = rows[-1]
                    touched[place] = replace(
                        cause, kind=journal.OBJECT, label=label, key=str(pk), pk=pk, before=(), overflow=False
                    )
        return list(touched.values())
