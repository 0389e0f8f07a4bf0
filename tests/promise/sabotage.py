"""Servers made wrong on purpose, so that it is seen that their being wrong is found: a file `sabotage` in the directory
of the failpoints names what goes wrong while it is there."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from realtime.change import Change
from realtime.hub import Hub
from realtime.protocol import text_of

# Every so many changes something happens to one.
EVERY = 4

Publish = Callable[[Change, int], None]


def lost(publish: Publish, change: Change, offset: int, older: Change | None) -> None:
    pass


def phantom(publish: Publish, change: Change, offset: int, older: Change | None) -> None:
    publish(replace(change, data={**json.loads(text_of(change.data)), "name": "nobody wrote this"}), offset)


def backwards(publish: Publish, change: Change, offset: int, older: Change | None) -> None:
    publish(older or change, offset)


def duplicated(publish: Publish, change: Change, offset: int, older: Change | None) -> None:
    publish(change, offset)
    publish(change, offset)


def leaked(publish: Publish, change: Change, offset: int, older: Change | None) -> None:
    """To those of the other location."""
    _places.add((change.now or {}).get("location"))
    for place in _places:
        publish(replace(change, now={**(change.now or {}), "location": place}), offset)


_places: set[Any] = set()

#: By the name that the judge must give to it.
WAYS: dict[str, Callable[[Publish, Change, int, Change | None], None]] = {
    "lost": lost,
    "phantom": phantom,
    "backwards": backwards,
    "duplicated": duplicated,
    "leaked": leaked,
}


def install(directory: Path) -> None:
    """In this process, for good; harmless while the file is not there."""
    order = directory / "sabotage"
    publish = Hub.publish
    counting = itertools.count()
    # By object, two changes ago.
    known: dict[str, list[Change]] = {}

    def publishing(self: Hub, change: Change, offset: int) -> None:
        trail = known.setdefault(change.key, [])
        trail.append(change)
        del trail[:-3]
        way = WAYS.get(order.read_text()) if order.exists() else None
        if way is None or change.data is None or change.stream != "device" or next(counting) % EVERY:
            publish(self, change, offset)
            return

        def at_once(item: Change, its_offset: int) -> None:
            publish(self, item, its_offset)
            self.flush()

        older = trail[0] if len(trail) == 3 and trail[0].data is not None else None
        way(at_once, change, offset, older)

    Hub.publish = publishing  # type: ignore[method-assign]
