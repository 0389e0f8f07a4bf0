"""How a subscription begins: where the client left off, or from a snapshot, or just from now on.

The order is what keeps it right. First the subscription joins, so that changes are held back for it. Then the rows are
read, in a thread. Then the bus is asked for the stream's head: when everything up to it has been delivered here, rows
and held changes are merged by revision, the reply goes out, and live begins in the same turn of the loop. If the
caller's rights were judged anew meanwhile, the plan is made again; if the stream began anew, the rows are read again.
Rows are not shown by rights that had ended when they were read: where the journal says that some may have, they are
asked for once more, in the same view of the database.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from realtime import view
from realtime.answers import Answer, Plan, Snapshot
from realtime.change import CONTROL_STREAM
from realtime.connection import Connection
from realtime.errors import BadArgs, BusUnavailable, Unavailable
from realtime.hub import Hub, Subscription
from realtime.node import Node
from realtime.protocol import Call, Position
from realtime.sessions import Identity

if TYPE_CHECKING:
    from realtime.calls import Calls

# How often rights or epochs may change while one client subscribes, before it is told to try again.
TRIES = 5
# A position of no epoch.
NOWHERE: Position = ("", 0)


class Left(Exception):
    """The connection was closed, or the subscription ended, while it was joining."""


class Joining:
    def __init__(self, hub: Hub, node: Node, calls: Calls) -> None:
        self._hub = hub
        self._node = node
        self._calls = calls
        # Legacy clients cannot be told to take a snapshot; somebody must read their rows for them.
        self.on_unhealed: Callable[[list[Subscription]], None] = lambda subscriptions: None
        # Those whose reply is still to come: they look after their rights themselves.
        self.under_way: set[Subscription] = set()

    async def unsure(self, *plans: tuple[Call, Plan]) -> set[str]:
        """Asked when the plans are made, and before any of them goes on from where its client was: what was published
        while its rights were other ones, and is over, is not replayed. The streams of which nothing can be."""
        streams = {plan.stream for call, plan in plans if call.args.get("_since")}
        with suppress(BusUnavailable):
            return await self._calls.unpublished.ask(*streams)
        return set()

    async def join(
        self, connection: Connection, call: Call, answer: Answer, judged: int, unsure: set[str] | None = None
    ) -> None:
        """Carry out the plan of an accepted subscribe call; the hub writes the reply. RealtimeError: it is refused."""
        since = positions(call.args.get("_since"))
        assert answer.plan is not None
        plan: Plan = answer.plan
        for _ in range(TRIES):
            await self._reach(plan, since)
            if unsure is None:
                unsure = await self.unsure((call, plan))
            if plan.stream in unsure:
                since = dict.fromkeys(since, NOWHERE)
            if connection.closed is not None:
                return
            subscription = self._begin(connection, call, plan, answer)
            self.under_way.add(subscription)
            try:
                if await self._try(connection, subscription, plan, call, since, judged):
                    return
                plan, judged = await self._calls.run(connection, lambda caller: self._calls.replan(caller, call))
                unsure = None
            except Left:
                return
            except BaseException:
                self._end(connection, subscription)
                raise
            finally:
                self.under_way.discard(subscription)
        self._end(connection, subscription)
        raise Unavailable

    def _begin(self, connection: Connection, call: Call, plan: Plan, answer: Answer) -> Subscription:
        subscription = Subscription(
            connection, plan.stream, plan.channels, plan.local, call,
            filter=plan.filter, object_map=plan.object_map, client_context=answer.client_context,
        )  # fmt: skip
        connection.subscribe(plan.local, subscription, lambda: self._hub.leave(subscription))
        self._hub.join(subscription)
        return subscription

    def _end(self, connection: Connection, subscription: Subscription) -> None:
        if connection.subscriptions.get(subscription.local) is subscription:
            connection.unsubscribe(subscription.local)

    async def _try(
        self,
        connection: Connection,
        subscription: Subscription,
        plan: Plan,
        call: Call,
        since: dict[str, Position],
        judged: int,
    ) -> bool:
        """False when the rights by which the plan was made are no longer those of the caller."""
        shell = connection.shell
        if shell.rights == judged and self._continue(subscription, since):
            return True
        wanted = bool(call.args.get("_snapshot")) or bool(since)
        if plan.snapshot is None or not (wanted or connection.transport.legacy):
            with suppress(BusUnavailable):
                # What is over and still on its way is not shown; there is no snapshot that is newer.
                await self._calls.unpublished.ask(plan.stream)
            position = self._node.position(plan.stream) or await self._node.caught_up(plan.stream)
            self._check(connection, subscription)
            if shell.rights != judged:
                return False
            self._hub.live(subscription, "subscribed" if plan.kind == "data" else plan.object_map, position)
            return True
        for _ in range(TRIES):
            found = await self.read(connection, call, plan)
            self._check(connection, subscription)
            if shell.rights != judged or found is None:
                return False
            snapshot, position = found
            if not subscription.stale:
                break
            # The stream began anew while the rows were read, so they may be older than its beginning.
            subscription.stale = False
        if connection.transport.legacy:
            if not self._hub.live(
                subscription, plan.object_map, position, objects=snapshot.objects, revisions=snapshot.revisions
            ):
                self.on_unhealed([subscription])
        else:
            recovered = False if since else None
            self._hub.snapshot(subscription, snapshot.objects, snapshot.revisions, position, recovered=recovered)
        return True

    async def read(self, connection: Any, call: Call, plan: Plan) -> tuple[Snapshot, Position] | None:
        """The rows, and the stream's head as read after them and reached here. None: when they were read, their reader
        was no longer entitled to the plan."""
        snapshot = await self._calls.in_thread(self._rows, connection.identity, connection.id, call, plan)
        if snapshot is None:
            return None
        # What took rights before these rows were read, and was published, has been heard here as well.
        await asyncio.gather(self._node.caught_up(CONTROL_STREAM), self._node.caught_up(plan.stream))
        position = self._node.position(plan.stream)
        assert position is not None
        revisions = self._node.yet_to_come(plan.stream, snapshot.revisions)
        return replace(snapshot, revisions=revisions), position

    def _rows(self, identity: Identity, connection_id: str, call: Call, plan: Plan) -> Snapshot | None:
        """In a thread. Rights that were published have been told here, or will be before the reply; while the relay is
        late, only the database knows of one that ended, and says so in the same view."""
        assert plan.snapshot is not None
        with view.consistent():
            snapshot = plan.snapshot()
            if not snapshot.rights_due:
                return snapshot
            now = self._calls.as_caller(identity, connection_id, lambda caller: self._calls.replan(caller, call))
        return snapshot if now.channels == plan.channels else None

    async def _reach(self, plan: Plan, since: dict[str, Position]) -> None:
        """A client that was told its position by a server that is ahead of this one waits until it is no more."""
        position = _since(plan.channels, since)
        here = self._node.position(plan.stream)
        if position is not None and here is not None and here[0] == position[0] and here[1] < position[1]:
            await self._node.caught_up(plan.stream)

    def _continue(self, subscription: Subscription, since: dict[str, Position]) -> bool:
        """Go on from where the client was, without asking the database for its rows; in the very turn of joining, so
        that nothing is held back that is replayed too. False: what was missed cannot be told."""
        position = _since(subscription.channels, since)
        here = self._node.position(subscription.stream)
        missed = None if position is None else self._node.since(subscription.stream, position)
        return missed is not None and here is not None and self._hub.replay(subscription, missed, here)

    def _check(self, connection: Any, subscription: Subscription) -> None:
        if connection.closed is not None or connection.subscriptions.get(subscription.local) is not subscription:
            raise Left


def _since(channels: tuple[str, ...], since: dict[str, Position]) -> Position | None:
    """The position of just these channels: another name means other rights or another filter than it was told under."""
    told = [since[name] for name in channels if name in since]
    # Offsets of two epochs do not compare.
    if len(told) < len(channels) or len({epoch for epoch, _ in told}) != 1:
        return None
    return min(told, key=lambda position: position[1])


def positions(value: Any) -> dict[str, Position]:
    """`_since` as a client sent it: {channel: [epoch, offset]}. BadArgs."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadArgs("_since is an object: channel to position.")
    found: dict[str, Position] = {}
    for name, position in value.items():
        match position:
            case [str(epoch), int(offset)] if offset >= 0 and not isinstance(offset, bool):
                found[name] = (epoch, offset)
            case _:
                raise BadArgs("A position is a list of an epoch and an offset.")
    return found
