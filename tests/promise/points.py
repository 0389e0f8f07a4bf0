"""Named places in relay and bus at which a process under test dies, stops, fails, sleeps or loses a message.

Only servers whose settings are `settings_faults` take them, from the directory `PROMISE_POINTS`: a file with the name
of a point says what to do there, once. Whoever comes by first takes it, which shows as `<point>.<process>`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.db import OperationalError

from realtime.bus import Bus, Message, Publication
from realtime.bus_memory import MemoryBus
from realtime.bus_redis import RedisBus
from realtime.change import CONTROL_STREAM
from realtime.errors import BusUnavailable
from realtime.relay import Relay

# After it has read the journal, loaded the objects, published half of them, published all, marked them as published.
RELAY = ("read", "loaded", "published-half", "published", "marked")
# Before anything is sent, when one half of a batch is out, and when all is but the answer does not arrive.
BUS = ("bus-publishing", "bus-half", "bus-acknowledged", "bus-fences", "bus-renewing", "bus-renewed")
# A message on its way from the bus to this process' streams.
MESSAGE = "bus-message"

ACTS = ("die", "stop", "raise", "sleep")


class Points:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._losing: dict[str, int] = {}

    def reach(self, point: str) -> None:
        if (word := self._taken(point)) is None:
            return
        act, _, number = word.partition(" ")
        match act:
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "sleep":
                time.sleep(float(number))
            case "raise":
                raise (BusUnavailable() if point.startswith("bus") else OperationalError("planted by a test"))

    def loses(self, point: str) -> bool:
        """Whether this one is to be dropped: `drop 5` drops five, one after the other."""
        if (word := self._taken(point)) is not None:
            self._losing[point] = int(word.split()[1])
        left = self._losing.get(point, 0)
        self._losing[point] = max(0, left - 1)
        return left > 0

    def waits(self, point: str) -> bool:
        """Whether somebody is to do something there."""
        return (self._directory / point).exists()

    def _taken(self, point: str) -> str | None:
        place = self._directory / point
        if not place.exists():
            return None
        mine = place.with_name(f"{point}.{os.getpid()}")
        with contextlib.suppress(OSError):  # another process was faster
            # Read first: whoever waits for somebody to come by takes the file away at once. It may be being written.
            if word := place.read_text():
                place.rename(mine)
                return word
        return None


def claims(directory: Path, point: str) -> list[int]:
    """The processes that came by since the last look."""
    found = []
    for place in directory.glob(f"{point}.*"):
        place.unlink()
        found.append(int(place.suffix[1:]))
    return found


def forget(directory: Path, point: str) -> None:
    """Nobody is to do anything there any more, and it does not matter who has."""
    (directory / point).unlink(missing_ok=True)
    claims(directory, point)


def install(directory: Path) -> None:
    """In this process, for good."""
    points = Points(directory)
    _in_relay(points)
    for kind in (RedisBus, MemoryBus):
        _in_bus(points, kind)


def _in_relay(points: Points) -> None:
    original = Relay.__init__

    @functools.wraps(original)
    def init(self: Relay, *args: Any, **named: Any) -> None:
        original(self, *args, **named)
        self.at = points.reach

    Relay.__init__ = init  # type: ignore[method-assign]


def _in_bus(points: Points, kind: type[Bus]) -> None:
    publish, fences, renew, follow = kind.publish, kind.fences, kind.renew, kind.follow

    def publishing(self: Any, batch: Sequence[Publication], fences: Any = None) -> list[bool]:
        points.reach("bus-publishing")
        if points.waits("bus-half") and len(batch) > 1:
            done = publish(self, batch[: len(batch) // 2], fences)
            points.reach("bus-half")
            done += publish(self, batch[len(batch) // 2 :], fences)
        else:
            done = publish(self, batch, fences)
        points.reach("bus-acknowledged")
        return done

    def fencing(self: Any, streams: Any) -> Any:
        points.reach("bus-fences")
        return fences(self, streams)

    def renewing(self: Any, *args: Any, **named: Any) -> None:
        points.reach("bus-renewing")
        renew(self, *args, **named)
        points.reach("bus-renewed")

    async def following(self: Any, streams: Any, receive: Callable[[Message], None], linked: Any) -> None:
        def take(message: Message) -> None:
            # Not of who may see what: Redis loses messages with the link, and after a link these are read first.
            if message.stream == CONTROL_STREAM or not points.loses(MESSAGE):
                receive(message)

        await follow(self, streams, take, linked)

    kind.publish, kind.fences, kind.renew, kind.follow = publishing, fencing, renewing, following  # type: ignore
