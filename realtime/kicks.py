"""Rights and identities judged anew: at once when a change says so, and every few seconds whether one did or not.

Told in one turn of the loop: the subscriptions concerned are suspended before anything that was published later is
delivered. Then the database is asked, in threads: whoever may go on does, others are told to subscribe anew, and whose
identity has ended is closed with 4001.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable

from django.utils import timezone

from realtime import sessions
from realtime.calls import Caller, Calls, IdentityEnded
from realtime.change import Control
from realtime.clients import Clients
from realtime.connection import Connection
from realtime.errors import BusUnavailable, CloseCode, LoginRequired, RealtimeError
from realtime.healing import Healing
from realtime.hub import Hub, Subscription
from realtime.settings import settings

logger = logging.getLogger("realtime.kicks")

# `Control.reason` of what ends identities and changes nobody's rights: it costs one query per server.
IDENTITY = "identity"
# Connections whose subscriptions are judged at the same time, so that calls still find a thread.
AT_ONCE = 3
RETRY_SECONDS = 1.0
# After so long without an answer of the database the client is told to subscribe anew, which it does when it can.
PATIENCE_SECONDS = 10.0


class Kicks:
    def __init__(self, hub: Hub, calls: Calls, clients: Clients, healing: Healing) -> None:
        self._hub = hub
        self._healing = healing
        self._calls = calls
        self._clients = clients
        self._asked = asyncio.Event()
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._judging: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    # -- rights -----------------------------------------------------------------------------------------------------

    def judge(self, control: Control) -> None:
        """Called while the message is delivered: from here on these users get nothing until they are judged."""
        self._asked.set()
        self._clients.judgements += 1
        if control.reason == IDENTITY:
            return
        for connection in self._clients.of_users(control.users):
            connection.shell.rights += 1
            concerned = self._concerned(connection)
            for subscription in concerned:
                self._hub.suspend(subscription)
            if concerned and connection.id not in self._judging:
                self._judging.add(connection.id)
                self._calls.spawn(self._judge(connection))

    @property
    def judging(self) -> bool:
        """Whether somebody is held back until the database has answered."""
        return bool(self._judging)

    async def _judge(self, connection: Connection) -> None:
        try:
            async with self._turns:
                until: float | None = None
                while connection.closed is None:
                    try:
                        if await self._judge_once(connection):
                            return
                        continue
                    except BusUnavailable:
                        # Nothing comes before it is back, and then everybody's rights are judged anew.
                        pass
                    except Exception:
                        logger.exception("%s: its rights could not be judged", connection.id)
                        now = asyncio.get_running_loop().time()
                        until = until or now + PATIENCE_SECONDS
                        if now > until:
                            self._expel(connection, self._concerned(connection))
                            return
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._judging.discard(connection.id)

    async def _judge_once(self, connection: Connection) -> bool:
        """False if rights changed meanwhile, and it must be done again."""
        asked = self._concerned(connection)
        try:
            held, judged = await self._calls.run(
                connection, lambda caller: self._still(caller, asked), self._calls.judges
            )
        except IdentityEnded:
            connection.refuse(CloseCode.IDENTITY, LoginRequired())
            return True
        # What is over, and was published while they may have had other rights, only the database can tell: asked when
        # it is known that they have these.
        streams = list({s.stream for s in held})
        known = await asyncio.gather(*(self._calls.unpublished.ask(stream) for stream in streams))
        sure = {stream for stream, answer in zip(streams, known, strict=True) if answer}
        if connection.closed is not None:
            return True
        if connection.shell.rights != judged:
            return False
        current = [s for s in asked if connection.subscriptions.get(s.local) is s]
        staying = [s for s in current if s in held and s.stream in sure]
        self._expel(connection, [s for s in current if s not in staying])
        self._healing.heal([s for s in staying if not self._hub.resume(s)])
        return True

    def _concerned(self, connection: Connection) -> list[Subscription]:
        """All but those that are joining: these compare the number of the rights themselves, before they reply."""
        joining = self._calls.joining.under_way
        return [s for s in connection.subscriptions.values() if s not in joining]

    def _still(self, caller: Caller, subscriptions: Iterable[Subscription]) -> list[Subscription]:
        """Those whose channels are the same under the rights of today; in a thread."""
        held = []
        for subscription in subscriptions:
            try:
                plan = self._calls.replan(caller, subscription.call)
            except RealtimeError:
                continue
            if plan.channels == subscription.channels:
                held.append(subscription)
        return held

    def _expel(self, connection: Connection, subscriptions: Iterable[Subscription]) -> None:
        for subscription in subscriptions:
            self._hub.expel(subscription)
            connection.unsubscribe(subscription.local)
            logger.info("%s: no longer follows %s", connection.id, subscription.stream)
            if connection.transport.legacy:
                self._healing.rejoin(subscription)

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
                await self._forget()
            except Exception as error:
                if not failed:  # once, not every few seconds of an outage
                    logger.error("identities cannot be checked: %s", type(error).__name__)
                failed = True
                await asyncio.sleep(RETRY_SECONDS)

    async def _forget(self) -> None:
        """What is still expected may have been published as a part of something larger, or set aside."""
        for stream in self._hub.expecting:
            with contextlib.suppress(BusUnavailable):
                await self._calls.unpublished.ask(stream)

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
        held = {identity: identity for identity in answer}
        for connection in asked:
            if connection.closed is None and connection.identity in identities:
                fresh = held.get(connection.identity)
                if fresh is None:
                    self._kick(connection)
                else:
                    connection.identity, connection.user = fresh, fresh.user
                    connection.shell.read(judgements, began)

    def _kick(self, connection: Connection) -> None:
        logger.info("%s: its %s has ended", connection.id, connection.identity.kind)
        connection.refuse(CloseCode.IDENTITY, LoginRequired())
