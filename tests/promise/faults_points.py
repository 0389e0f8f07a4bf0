"""Processes that die, stop or fail at the worst places there are."""

from __future__ import annotations

import os
import signal
import time

from realtime import journal
from tests.promise.faults import Fault, fault
from tests.promise.points import BUS, MESSAGE, RELAY, claims, forget

# A point that nobody reaches in this time is told as not reached.
REACH_SECONDS = 3.0


class AtAPoint(Fault):
    act = ""
    #: Where to begin, so that eight times of three acts are everywhere.
    first = 0

    @property
    def point(self) -> str:
        points = [*RELAY, *BUS]
        return points[(self.first + self.number) % len(points)]

    def begin(self) -> None:
        self.detail = f"{self.act} at {self.point}"
        forget(self.site.points, self.point)
        (self.site.points / self.point).write_text(self.act)
        if self.point in ("bus-renewing", "bus-renewed", "bus-fences"):
            # Reached only when a stream begins anew.
            journal.whole("devices.device")
        self.process = self._reached()

    def end(self) -> None:
        if self.process is None:
            forget(self.site.points, self.point)
            self.detail += ", not reached"

    def _reached(self) -> int | None:
        """The process that came by."""
        deadline = time.monotonic() + REACH_SECONDS
        while time.monotonic() < deadline:
            if found := claims(self.site.points, self.point):
                return found[0]
            time.sleep(0.01)
        return None


@fault("dies at a point")
class Dies(AtAPoint):
    act = "die"

    def end(self) -> None:
        super().end()
        for one in [*self.site.servers, *self.site.relays]:
            if one.process is not None and one.process.pid == self.process:
                one.process.wait(10)
        self.site.revive()


@fault("stands still at a point")
class Stops(AtAPoint):
    act = "stop"
    first = 4
    lasts = (0.5, 2.5)

    def end(self) -> None:
        super().end()
        if self.process is not None:
            os.kill(self.process, signal.SIGCONT)


@fault("fails at a point")
class Fails(AtAPoint):
    act = "raise"
    first = 8
    lasts = (0.1, 0.3)


@fault("messages lost between bus and server")
class Lost(Fault):
    lasts = (0.3, 0.8)

    def begin(self) -> None:
        count = self.chance.randrange(1, 8)
        self.detail = f"{count} messages"
        (self.site.points / MESSAGE).write_text(f"drop {count}")

    def end(self) -> None:
        forget(self.site.points, MESSAGE)
