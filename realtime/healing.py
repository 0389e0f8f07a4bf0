"""Clients written for SwampDragon cannot be told `resync`: their rows are read for them, and sent as changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from realtime.answers import Answer
from realtime.calls import Calls, IdentityEnded
from realtime.errors import RealtimeError
from realtime.hub import Hub, Subscription

logger = logging.getLogger("realtime.healing")

# Each holds a snapshot in memory.
AT_ONCE = 3
RETRY_SECONDS = 1.0


class Healing:
    def __init__(self, hub: Hub, calls: Calls) -> None:
        self._hub = hub
        self._calls = calls
        self._turns = asyncio.Semaphore(AT_ONCE)

    def heal(self, subscriptions: Iterable[Subscription]) -> None:
        """Bring these to what is in the database now."""
        for subscription in subscriptions:
            self._calls.spawn(self._heal(subscription))

    def rejoin(self, subscription: Subscription) -> None:
        """Subscribe anew what was expelled, if its client may still follow anything: it would not know to ask."""
        self._calls.spawn(self._rejoin(subscription))

    async def _heal(self, subscription: Subscription) -> None:
        connection: Any = subscription.connection
        while connection.closed is None and subscription.joined:
            try:
                async with self._turns:
                    plan, judged = await self._calls.run(
                        connection, lambda caller: self._calls.replan(caller, subscription.call), self._calls.judges
                    )
                    if plan.channels != subscription.channels or plan.snapshot is None:
                        return  # whoever judges its rights meanwhile sees to it
                    found = await self._calls.joining.read(connection, subscription.call, plan)
                    if found is None:
                        return
                    snapshot, _ = found
                if connection.shell.rights == judged and self._hub.heal(
                    subscription, snapshot.objects, snapshot.revisions
                ):
                    return
            except IdentityEnded:
                return
            except RealtimeError as error:
                if not error.temporary:
                    logger.info("%s: %s cannot be healed: %s", connection.id, subscription.stream, error.code)
                    self._hub.expel(subscription)
                    connection.unsubscribe(subscription.local)
                    return
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                logger.exception("%s: could not be healed; trying again", connection.id)
                await asyncio.sleep(RETRY_SECONDS)

    async def _rejoin(self, subscription: Subscription) -> None:
        connection: Any = subscription.connection
        # Its own reply was told long ago: this one only names the channel, and calls nobody back.
        call = replace(subscription.call, callbackname=None)
        while connection.closed is None and subscription.local not in connection.subscriptions:
            try:
                async with self._turns:
                    plan, judged = await self._calls.run(
                        connection, lambda caller: self._calls.replan(caller, call), self._calls.judges
                    )
                    await self._calls.joining.join(connection, call, Answer(plan=plan), judged)
                joined = connection.subscriptions.get(plan.local)
                if joined is not None and plan.snapshot is not None:
                    self.heal([joined])
                return
            except IdentityEnded:
                return
            except RealtimeError as error:
                if not error.temporary:
                    return
                await asyncio.sleep(RETRY_SECONDS)
            except Exception:
                logger.exception("%s: could not be subscribed anew; trying again", connection.id)
                await asyncio.sleep(RETRY_SECONDS)
