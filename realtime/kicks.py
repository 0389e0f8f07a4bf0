"""Rights and identities judged anew: at once when a change says so, and every few seconds whether one did or not.

Told in one turn of the loop: the subscriptions concerned are suspended before anything that was published later is
delivered. Then the database is asked, in threads: whoever may go on does, others are told to subscribe anew, and whose
identity has ended is closed with 4001.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from django.db import Error as DatabaseError
from django.utils import timezone

from realtime import sessions
from realtime.calls import Calls
from realtime.change import Control
from realtime.clients import Clients
from realtime.connection import Connection
from realtime.errors import BusUnavailable, CloseCode, LoginRequired
from realtime.healing import Healing
from realtime.hub import Hub
from realtime.judgements import Judgements
from realtime.settings import settings
from realtime.shell import believed

logger = logging.getLogger("realtime.kicks")

# `Control.reason` of what ends identities and changes nobody's rights: it costs one query per server.
IDENTITY = "identity"
RETRY_SECONDS = 1.0
# For an answer of the database to who still holds.
PATIENCE_SECONDS = 10.0


class Kicks:
    def __init__(self, hub: Hub, calls: Calls, clients: Clients, healing: Healing) -> None:
        self._hub = hub
        self._calls = calls
        self._clients = clients
        self.judgements = Judgements(hub, calls, healing)
        self._asked = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        # Apart: the bus may be away, and whose identity has ended must go all the same.
        self._tasks = [asyncio.create_task(self._watch()), asyncio.create_task(self._forget())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- rights -----------------------------------------------------------------------------------------------------

    def judge(self, control: Control) -> None:
        """Called while the message is delivered: from here on these users get nothing until they are judged."""
        self._asked.set()
        self._clients.judgements += 1
        if control.reason != IDENTITY:
            for connection in self._clients.of_users(control.users):
                self.judgements.begin(connection)

    # -- identities -------------------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        failed = False
        while True:
            # Not wait_for: before Python 3.12 it swallows a cancellation that comes with the result.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(settings.IDENTITY_SECONDS):
                    await self._asked.wait()
            self._asked.clear()
            try:
                await self.check()
                failed = False
            except Exception as error:
                if not failed:  # once, not every few seconds of an outage
                    logger.error("identities cannot be checked: %s", type(error).__name__)
                failed = True
                await asyncio.sleep(RETRY_SECONDS)

    async def _forget(self) -> None:
        """What is still expected may have been published as a part of something larger, or set aside."""
        while True:
            await asyncio.sleep(settings.IDENTITY_SECONDS)
            with contextlib.suppress(BusUnavailable, DatabaseError):
                await self._calls.unpublished.ask(*self._hub.expecting)

    async def check(self) -> None:
        """Close whose identity has ended; the others get their users as they are now."""
        now = timezone.now()
        judgements, began = self._clients.judgements, self._clients.clock()
        asked: list[Connection] = []
        for connection in self._clients.of_users(None):
            if connection.identity.expired(now):
                self._kick(connection)
            elif not connection.identity.anonymous:
                asked.append(connection)
        identities = {connection.identity for connection in asked}
        if not identities:
            return
        asking = self._calls.judges.submit(sessions.holding, identities)
        async with asyncio.timeout(PATIENCE_SECONDS):
            answer = await asyncio.wrap_future(asking)
        held, until = {identity: identity for identity in answer}, believed(began)
        for connection in asked:
            if connection.closed is None and connection.identity in identities:
                fresh = held.get(connection.identity)
                if fresh is None:
                    self._kick(connection)
                else:
                    connection.identity, connection.user = fresh, fresh.user
                    connection.shell.read(judgements, until)

    def _kick(self, connection: Connection) -> None:
        logger.info("%s: its %s has ended", connection.id, connection.identity.kind)
        connection.refuse(CloseCode.IDENTITY, LoginRequired())
