"""Rights judged anew: one question for all connections of a user, however many there are.

Whoever is to be judged is held back in the very turn of the loop in which that is told. Then the database is asked, in
threads, what each subscription entitles to now: where it is the same, it goes on; others are told to subscribe anew.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from realtime.calls import Caller, Calls, IdentityEnded
from realtime.connection import Connection
from realtime.errors import BusUnavailable, CloseCode, LoginRequired, RealtimeError
from realtime.healing import Healing
from realtime.hub import Hub, Subscription
from realtime.protocol import Call, dumps
from realtime.sessions import Identity

T = TypeVar("T")

logger = logging.getLogger("realtime.kicks")

# Users who are judged at the same time, so that calls still find a thread.
AT_ONCE = 3
# Connections that go on in one turn of the loop.
TURN = 50
RETRY_SECONDS = 1.0
# After so long without an answer of the database clients are told to subscribe anew, which they do when they can.
PATIENCE_SECONDS = 10.0
# Arguments of a subscription that say nothing of what it entitles to.
ASIDE = ("channel", "_since", "_snapshot")


# Those that a connection is still entitled to; None: its identity has ended; or why that cannot be told.
Answer = list[Subscription] | Exception | None


class Asked(NamedTuple):
    connection: Connection
    subscriptions: list[Subscription]
    # The number of its rights when it was asked.
    rights: int


class Judgements:
    def __init__(self, hub: Hub, calls: Calls, healing: Healing) -> None:
        self._hub = hub
        self._calls = calls
        self._healing = healing
        self._turns = asyncio.Semaphore(AT_ONCE)
        # By whose they are: those who wait. Who is being judged waits again if rights change meanwhile.
        self._waiting: dict[Hashable, dict[Connection, None]] = {}
        self._under_way: set[Hashable] = set()

    @property
    def under_way(self) -> bool:
        """Whether somebody is held back until the database has answered."""
        return bool(self._under_way)

    def begin(self, connection: Connection) -> None:
        """From here on it gets nothing until its rights are judged."""
        connection.shell.rights += 1
        concerned = self._concerned(connection)
        for subscription in concerned:
            self._hub.suspend(subscription)
        if concerned:
            owner = connection.shell.owner
            self._waiting.setdefault(owner, {})[connection] = None
            if owner not in self._under_way:
                self._under_way.add(owner)
                self._calls.spawn(self._judge(owner))

    async def _judge(self, owner: Hashable) -> None:
        # When it began to fail.
        failing: float | None = None
        try:
            while owner in self._waiting:
                async with self._turns:
                    waiting = self._waiting.pop(owner)
                    try:
                        failed, why = await self._judge_these(waiting)
                    except BusUnavailable:
                        # Nothing comes before it is back, and then everybody's rights are judged anew.
                        failed, why = list(waiting), None
                    except Exception as error:
                        failed, why = list(waiting), error
                    if why is None:
                        failing = None
                    else:
                        logger.error("%s: rights could not be judged", owner, exc_info=why)
                        now = asyncio.get_running_loop().time()
                        failing = failing or now
                        if now > failing + PATIENCE_SECONDS:
                            for connection in failed:
                                self._expel(connection, self._concerned(connection))
                            failed = []
                    self._waiting.setdefault(owner, {}).update(dict.fromkeys(failed))
                    if not self._waiting[owner]:
                        del self._waiting[owner]
                if failed:
                    await asyncio.sleep(RETRY_SECONDS)
        finally:
            self._under_way.discard(owner)

    async def _judge_these(self, connections: Iterable[Connection]) -> tuple[list[Connection], Exception | None]:
        """Those who could not be judged, and why."""
        asked = [Asked(c, self._concerned(c), c.shell.rights) for c in connections if c.closed is None]
        questions = [(one.connection.identity, one.connection.id, one.subscriptions) for one in asked]
        answers = await asyncio.wrap_future(self._calls.judges.submit(self._still, questions))
        # What is over, and was published while they may have had other rights, only the database can tell: asked when
        # it is known that they have these.
        streams = {s.stream for held in answers if isinstance(held, list) for s in held}
        unsure = await self._calls.unpublished.ask(*streams)
        failed: list[Connection] = []
        why: Exception | None = None
        for number, (one, held) in enumerate(zip(asked, answers, strict=True), 1):
            if number % TURN == 0:
                await asyncio.sleep(0)
            if one.connection.closed is not None:
                continue
            if held is None:
                one.connection.refuse(CloseCode.IDENTITY, LoginRequired())
            elif isinstance(held, Exception):
                failed.append(one.connection)
                why = held
            elif one.connection.shell.rights == one.rights:  # else it waits again
                self._go_on(one, {subscription for subscription in held if subscription.stream not in unsure})
        return failed, why

    def _go_on(self, asked: Asked, held: set[Subscription]) -> None:
        subscriptions = asked.connection.subscriptions
        current = [one for one in asked.subscriptions if subscriptions.get(one.local) is one]
        self._expel(asked.connection, [one for one in current if one not in held])
        staying = [one for one in current if one in held]
        # Those that joined meanwhile, by these same rights, and waited for others of their channel.
        staying += [
            one for one in subscriptions.values() if one.suspended is not None and one not in asked.subscriptions
        ]
        self._healing.heal([one for one in staying if not self._hub.resume(one)])

    def _concerned(self, connection: Connection) -> list[Subscription]:
        """All but those that are joining: these compare the number of the rights themselves, before they reply."""
        joining = self._calls.joining.under_way
        return [s for s in connection.subscriptions.values() if s not in joining]

    def _still(self, questions: Sequence[tuple[Identity, str, list[Subscription]]]) -> list[Answer]:
        """Of each connection; in a thread. What asks for the same by the same identity is one question."""
        fresh: dict[Identity, Identity | Exception] = {}
        known: dict[Hashable, bool | Exception] = {}
        answers: list[Answer] = []
        for identity, connection_id, subscriptions in questions:
            if identity not in fresh:
                fresh[identity] = _tried(self._calls.as_caller, identity, connection_id, lambda caller: caller.identity)
            found = fresh[identity]
            if isinstance(found, Exception):
                answers.append(None if isinstance(found, IdentityEnded) else found)
                continue
            caller = Caller(found.user, found, connection_id)
            held: list[Subscription] = []
            trouble: Exception | None = None
            for subscription in subscriptions:
                question = (identity, subscription.channels, _wish(subscription.call))
                if question not in known:
                    known[question] = _tried(self._entitles, caller, subscription)
                answer = known[question]
                if isinstance(answer, Exception):
                    trouble = answer
                elif answer:
                    held.append(subscription)
            answers.append(trouble or held)
        return answers

    def _entitles(self, caller: Caller, subscription: Subscription) -> bool:
        try:
            return self._calls.replan(caller, subscription.call).channels == subscription.channels
        except RealtimeError:
            return False

    def _expel(self, connection: Connection, subscriptions: Sequence[Subscription]) -> None:
        self._hub.expel(*subscriptions)
        for subscription in subscriptions:
            connection.unsubscribe(subscription.local)
            logger.info("%s: no longer follows %s", connection.id, subscription.stream)
            if connection.transport.legacy:
                self._healing.rejoin(subscription)


def _wish(call: Call) -> str:
    return dumps([call.route, {name: value for name, value in call.args.items() if name not in ASIDE}])


def _tried(function: Callable[..., T], *args: Any) -> T | Exception:
    try:
        return function(*args)
    except Exception as error:
        return error
