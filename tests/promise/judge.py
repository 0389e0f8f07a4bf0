"""The judge: holds the raw frames of one client against the ledger, and names what is wrong.

phantom      what never was committed, or not yet, or is not of the collection it is shown in
backwards    older than what this screen has shown of the object before
leaked       at no time at which it was so could this person see it
duplicated   the same change twice, or an object created that the connection was told of as created before
lost         the screen is complete, nothing more comes, and it is not what the database has
late         it became so, but after the limit
never equal  it cannot be compared: no connection, or a subscription without its answer
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.promise.collection import Collection, Floor
from tests.promise.ledger import Ledger, Span, Version
from tests.promise.published import KINDS, print_of, shown
from tests.promise.record import Mark, Received, Wanted
from tests.promise.rights import Rights

NAMES = ("lost", "phantom", "backwards", "leaked", "duplicated", "late", "never equal")
# Two clocks of one machine, of which one counts in milliseconds.
CLOCK_SECONDS = 0.005


@dataclass(frozen=True)
class Finding:
    name: str
    client: str
    local: str
    key: Any
    at: float
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.client}/{self.local} {self.key}: {self.text}"


class Judge:
    def __init__(self, ledger: Ledger, user: int, client: str, wanted: Wanted) -> None:
        self.client = client
        self.findings: list[Finding] = []
        self.collections = {local: Collection(local, route, filter) for local, (route, filter) in wanted.items()}
        #: When the present connection was opened; None: there is none.
        self.opened: float | None = None
        #: From here on nothing may reach this client any more: its identity has ended long enough.
        self.barred = float("inf")
        self._ledger = ledger
        self._rights = Rights(ledger, user)
        # Of this connection, by channel: the offsets since its last answer, and what it was told of as created.
        self._offsets: dict[str, list[int]] = {}
        self._created: dict[str, set[Any]] = {}

    # -- frames ------------------------------------------------------------------------------------------------------

    def take(self, received: Iterable[Received]) -> None:
        """What came next. The ledger must know what was committed before."""
        for each in received:
            match each.mark:
                case Mark.OPENED:
                    self.opened = each.at
                    self._offsets, self._created = {}, {}
                    for collection in self.collections.values():
                        collection.opened()
                case Mark.CLOSED:
                    self.opened = None
                case Mark.FRAME:
                    self._frame(json.loads(each.text), each.at)

    def _frame(self, frame: dict[str, Any], at: float) -> None:
        match frame.get("type"):
            case "reply" if (frame.get("channel_data") or {}).get("action") == "subscribe":
                self._reply(self.collections[frame["channel_data"]["local_channel"]], frame, at)
            case "change":
                self._change(frame, at)
            case "resync":
                self._forget(frame["channel"])
                for collection in self._following(frame["channel"]):
                    collection.told_to_resync()

    def _reply(self, collection: Collection, frame: dict[str, Any], at: float) -> None:
        context = frame["context"]
        if context["state"] != "success":
            collection.refuse((context.get("error") or {}).get("code", context["state"]), at)
            return
        channels = frame["channel_data"]["remote_channels"]
        for channel in channels:
            self._forget(channel)
        collection.answered(channels)
        if context.get("recovered"):
            collection.continued()
            return
        if context.get("part", 1) == 1:
            collection.staged = {}
        assert collection.staged is not None, "a part came before the first"
        for data in frame["data"]:
            if data["id"] in collection.staged:
                self._find("duplicated", collection, data["id"], at, "twice in one snapshot")
            self._show(collection, data, at)
        if not context.get("more"):
            for key in list(collection.missing()):
                self._hide(collection, key, at, "a snapshot without it", gone=False)
            collection.finish(at)

    def _change(self, frame: dict[str, Any], at: float) -> None:
        channel, data, action = frame["channel"], frame["data"], frame["action"]
        following = list(self._following(channel))
        self._numbered(following, channel, frame, at)
        for collection in following:
            if action == "deleted":
                # Told to take a snapshot, it is known to be old; and another collection may have its channel by now.
                if data["id"] in collection.building and (collection.whole or collection.staged is not None):
                    self._hide(collection, data["id"], at, f"deleted at {frame['offset']}", gone=bool(frame["gone"]))
                collection.remove(data["id"], at)
            else:
                self._show(collection, data, at)

    def _numbered(self, following: list[Collection], channel: str, frame: dict[str, Any], at: float) -> None:
        """Offsets of a channel grow from a subscription's reply on, and an object is created once."""
        offset, key, action = frame["offset"], frame["data"]["id"], frame["action"]
        offsets = self._offsets.setdefault(channel, [])
        created = self._created.setdefault(channel, set())
        if following and offsets and offset <= offsets[-1]:
            name = "duplicated" if offset in offsets else "backwards"
            self._find(name, following[0], key, at, f"offset {offset} after {offsets[-1]}")
        elif following and action == "created" and key in created:
            self._find("duplicated", following[0], key, at, f"created again at {offset}")
        offsets.append(offset)
        if action == "created":
            created.add(key)
        elif action == "deleted":
            created.discard(key)

    def _forget(self, channel: str) -> None:
        self._offsets.pop(channel, None)
        self._created.pop(channel, None)

    def _following(self, channel: str) -> Iterator[Collection]:
        return (each for each in self.collections.values() if channel in each.channels)

    # -- what is shown -----------------------------------------------------------------------------------------------

    def _show(self, collection: Collection, raw: dict[str, Any], at: float) -> None:
        data = shown(raw)
        key = data["id"]
        floor = collection.floors.get(key, Floor())
        seen = (
            (version, span)
            for whole, version in self._ledger.states(collection.stream, data, floor.row)
            if collection.passes(version.row)
            for span in self._allowed(collection.stream, version, whole)
        )
        if (reached := self._reached(seen, floor, at)) is None:
            name, text = self._wrong(collection, data, at)
            self._find(name, collection, key, at, text)
        else:
            collection.floors[key] = reached
            if at > self.barred:
                self._find("leaked", collection, key, at, "to an identity that has ended")
        collection.put(data, at)

    def _wrong(self, collection: Collection, data: dict[str, Any], at: float) -> tuple[str, str]:
        """Why no state of the object after what was shown before is this one."""
        states = list(self._ledger.states(collection.stream, data))
        states = [(span, version) for span, version in states if span.start <= at + CLOCK_SECONDS]
        said = {name: data.get(name) for name in ("detail", "acked_version", "location", "is_on", "name")}
        if not states:
            return "phantom", f"never committed: {said}"
        fitting = [(span, version) for span, version in states if collection.passes(version.row)]
        if not fitting:
            return "phantom", f"not of this collection: {said}"
        if not any(True for span, version in fitting for _ in self._allowed(collection.stream, version, span)):
            return "leaked", f"was never theirs to see: {said}"
        ages = [f"{at - span.start:.3f} s" for span, _ in fitting]
        return "backwards", f"older than what was shown; so it was {', '.join(ages)} before: {said}"

    def _allowed(self, stream: str, version: Version, whole: Span, *, may: bool = True) -> Iterator[Span]:
        """When the object was so and the user could, or could not, see it."""
        for span in self._rights.during(stream, version.row, may=may):
            if self._ledger.meets(whole, span):
                yield whole.met(span)

    def _hide(self, collection: Collection, key: Any, at: float, how: str, *, gone: bool) -> None:
        """The object is shown as not being there: then it was not, or not in this collection, or not for this user."""
        floor = collection.floors.get(key, Floor())
        reached = self._reached(self._absences(collection, key, floor.row, gone), floor, at)
        if reached is None:
            self._find("backwards", collection, key, at, f"{how}, and since it was shown it has been there")
        else:
            collection.floors[key] = reached

    def _absences(self, collection: Collection, key: Any, since: float, gone: bool) -> Iterator[tuple[Version, Span]]:
        stream = collection.stream
        for version in self._ledger.versions(KINDS[stream].table, str(key), since):
            if version.row is None or (not gone and not collection.passes(version.row)):
                yield version, version.span
            elif not gone:
                for span in self._allowed(stream, version, version.span, may=False):
                    yield version, span

    def _reached(self, seen: Iterable[tuple[Version, Span]], floor: Floor, at: float) -> Floor | None:
        """The earliest that is not older than the floor, nor later than now."""
        found: list[Floor] = []
        for version, span in seen:
            reached = max(span.start, floor.all)
            if reached < span.end + self._ledger.slack and span.start <= at + CLOCK_SECONDS:
                found.append(Floor(max(version.span.start, floor.row), reached))
        return min(found, key=lambda one: (one.all, one.row), default=None)

    def _find(self, name: str, collection: Collection, key: Any, at: float, text: str) -> None:
        self.findings.append(Finding(name, self.client, collection.local, key, at, text))

    # -- the end -----------------------------------------------------------------------------------------------------

    @property
    def settled(self) -> bool:
        return self.opened is not None and all(collection.whole for collection in self.collections.values())

    def differences(self) -> list[tuple[str, Any, str]]:
        """By collection and object: how the screens are not what the ledger has now."""
        found = []
        for collection in self.collections.values():
            expected = self.expected(collection)
            on_screen = {key: print_of(data) for key, data in collection.shown.items()}
            for key in expected.keys() | on_screen.keys():
                if expected.get(key) != on_screen.get(key):
                    what = "missing" if key not in on_screen else "not gone" if key not in expected else "old"
                    found.append((collection.local, key, what))
        return found

    def expected(self, collection: Collection) -> dict[Any, str]:
        return {
            key: print_of(data)
            for key, (data, row) in self._ledger.objects(collection.stream).items()
            if collection.passes(row) and self._rights.now(collection.stream, row)
        }

    def equal_for(self, base: float) -> float | None:
        """Seconds from `base`, or from its socket's opening if that was later, until the screens were what they must
        be; None: they are not."""
        if not self.settled or self.differences():
            return None
        assert self.opened is not None
        changed = max(collection.changed for collection in self.collections.values())
        return max(0.0, changed - max(base, self.opened))

    def conclude(self, base: float, limit: float, now: float) -> float | None:
        """Nothing more will come: name what is still wrong. Seconds until equal, None for never."""
        if not self.settled:
            waiting = [c.local + (f" ({c.refused})" if c.refused else "") for c in self.collections.values()
                       if not c.whole]  # fmt: skip
            text = "no connection" if self.opened is None else f"without an answer: {', '.join(waiting)}"
            self.findings.append(Finding("never equal", self.client, "", None, now, text))
            return None
        known = {(finding.local, finding.key) for finding in self.findings}
        for local, key, what in self.differences():
            if (local, key) not in known:
                self.findings.append(Finding("lost", self.client, local, key, now, what))
        took = self.equal_for(base)
        if took is not None and took > limit:
            self.findings.append(Finding("late", self.client, "", None, now, f"equal after {took:.2f} s"))
        return took
