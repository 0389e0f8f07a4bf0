"""Looks twice a second for what is broken, as this server sees it, and tells every client what concerns it.

The loop never waits for a look: what asks the database has a thread of its own, one question at a time, and an answer
that does not come is an answer.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from realtime import conditions, election, journal, lateness
from realtime.clients import Clients
from realtime.conditions import WELL, Conditions, State
from realtime.connection import Connection
from realtime.frames import Frame
from realtime.hub import Hub
from realtime.lateness import Due, Lateness
from realtime.node import Node
from realtime.protocol import health
from realtime.settings import data_directory, settings
from realtime.shell import Shell
from realtime.threads import Threads
from realtime.writes import writes

logger = logging.getLogger("realtime.lookout")

LOOK_SECONDS = 0.5
# A question of a millisecond. With a look and the patience of `conditions`, an outage is told within some 3 s.
ANSWER_SECONDS = 1.5
# What changes slowly, or takes the database longer to say.
SELDOM_SECONDS = 5.0
# So little room that a write is tried before somebody's fails.
NO_ROOM_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Seen:
    """What the database said."""

    due: Due | None
    at_work: bool
    refused: bool
    failed: int
    free: int


class Lookout:
    def __init__(self, hub: Hub, node: Node, clients: Clients, clock: Callable[[], float]) -> None:
        self._hub = hub
        self._node = node
        self._clients = clients
        self._clock = clock
        self._conditions = Conditions(clock, timezone.now)
        self._lateness = Lateness(clock)
        self._thread = Threads(1, "realtime-lookout")
        self._asking: Future[Seen] | None = None
        self._asked_at = 0.0
        self._seldom_at = float("-inf")
        self._complained = False
        self._failed = 0
        self._free = NO_ROOM_BYTES
        self._task: asyncio.Task[None] | None = None
        self._frames: dict[bool, Frame] = {}
        self.state = WELL

    # -- life -------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.to_thread(self._thread.stop)

    async def _watch(self) -> None:
        while True:
            try:
                self.look()
            except Exception:
                logger.exception("looking for what is broken failed")
            await asyncio.sleep(LOOK_SECONDS)

    def health(self) -> dict[str, Any]:
        """For /healthz."""
        parts = {broken.part: broken.since for broken in self.state.broken}
        return {"ok": not parts, "behind": self.state.behind, "saving": self.state.saving, "broken": parts}

    # -- looking ----------------------------------------------------------------------------------------------------

    def look(self) -> None:
        node = self._node.health()
        self._conditions.found(conditions.BUS, not node["ok"])
        self._ask()
        state = self._conditions.state
        if state != self.state:
            names = ", ".join(broken.part for broken in state.broken)
            logger.info("people are told: %s", names or "all is well")
            self.state = state
            self._frames = {}
            self._tell(self._clients)

    def _ask(self) -> None:
        now, asking = self._clock(), self._asking
        found = self._conditions.found
        if asking is not None and not asking.done():
            waited = now - self._asked_at
            if waited >= ANSWER_SECONDS:
                found(conditions.DATABASE, True, waited)
            return
        if asking is not None:
            try:
                self._saw(asking.result())
            except Exception as error:
                if not isinstance(error, DatabaseError | InterfaceError) and not self._complained:
                    self._complained = True
                    logger.error("the database could not be asked", exc_info=error)
                found(conditions.DATABASE, True)
        self._asking, self._asked_at = self._thread.submit(self._question), now

    def _saw(self, seen: Seen) -> None:
        found = self._conditions.found
        found(conditions.DATABASE, False)
        found(conditions.DISK, seen.refused)
        found(conditions.RELAY, not seen.at_work)
        self._lateness.look(seen.due, self._node.heard())
        late = self._lateness.seconds
        found(conditions.JOURNAL, late >= settings.LATE_SECONDS, late)
        found(conditions.OBJECTS, seen.failed > 0)
        found(conditions.SPACE, seen.free < settings.DISK_RED_BYTES and not seen.refused)

    # In the thread

    def _question(self) -> Seen:
        due = lateness.oldest()
        now = self._clock()
        if now - self._seldom_at >= SELDOM_SECONDS or self._failed:
            self._failed = journal.failed()
            self._free = shutil.disk_usage(data_directory()).free
            self._seldom_at = now
            if self._free < NO_ROOM_BYTES:
                writes.suspect()
        return Seen(due, election.at_work(), writes.look(), self._failed, self._free)

    # -- telling ----------------------------------------------------------------------------------------------------

    def greet(self, connection: Connection) -> None:
        """Somebody has just come, or said who they are: before anything else they hear what is broken."""
        if self.state != WELL:
            self._tell([connection])

    def _tell(self, connections: Iterable[Connection]) -> None:
        # Behind every change that was published before: who hears that all is well has them.
        self._hub.flush()
        for connection in connections:
            shell: Shell = connection.shell
            if connection.transport.legacy or connection.closed is not None:
                continue
            if connection.identity.anonymous and not shell.public:
                continue
            frame = self._frame(bool(getattr(connection.user, "is_staff", False)))
            if frame.text != (shell.told or ALL_WELL):
                shell.told = frame.text
                connection.put(frame.encoded(connection.transport), "health")
                connection.flush()

    def _frame(self, staff: bool) -> Frame:
        frame = self._frames.get(staff)
        if frame is None:
            frame = self._frames[staff] = Frame(told(self.state, staff))
        return frame


def told(state: State, staff: bool) -> str:
    """Strangers and viewers hear what it means for them; which part it is, only those who may repair it."""
    parts = {broken.part: broken.since for broken in state.broken} if staff and state.broken else None
    return health(state.behind, state.saving, state.complete, state.since, parts)


# What nobody needs to hear who has not heard otherwise.
ALL_WELL = told(WELL, staff=False)
