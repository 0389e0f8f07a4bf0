"""Calls ⇄ routers: decoded on the loop, answered in worker threads, one after the other for each connection.

Subscribing ends on the loop: the snapshot is joined to the stream, and live begins, in one turn.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError

from realtime import routers, sessions
from realtime.answers import Answer, Plan
from realtime.clients import Clients
from realtime.connection import Connection
from realtime.errors import (
    BadArgs,
    CloseCode,
    Internal,
    LoginRequired,
    RealtimeError,
    TimedOut,
    TooLarge,
    TooMany,
    Unavailable,
    UnknownVerb,
)
from realtime.hub import Hub
from realtime.joining import Joining
from realtime.limits import Limits
from realtime.node import Node
from realtime.on_loop import OnLoop
from realtime.protocol import Call, Raw, dumps, reply
from realtime.sessions import Identity
from realtime.settings import settings
from realtime.shell import Shell
from realtime.threads import Threads
from realtime.unpublished import Unpublished
from realtime.welcome import SESSION, introduction
from realtime.writes import writes

logger = logging.getLogger("realtime.calls")

# Entries of a list are answered together if they are judged in this time; a client waits for its first answer so long.
LIST_SECONDS = 0.5

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls, as routers see it; see `answers.Caller`."""

    user: Any
    identity: Identity
    connection_id: str


class IdentityEnded(Exception):
    """Whoever opened this connection may no longer act."""


class Calls:
    def __init__(self, hub: Hub, node: Node, clients: Clients, limits: Limits) -> None:
        self._hub = hub
        self._limits = limits
        self._clients = clients
        self._threads = Threads(settings.VERB_THREADS, "realtime-verb")
        # For whatever decides about identities and rights; verbs never run there.
        self.judges = Threads(settings.JUDGE_THREADS, "realtime-judge")
        self._tasks: set[asyncio.Task[None]] = set()
        self.unpublished = Unpublished(hub, node, self.judges)
        self.joining = Joining(hub, node, self)
        self._on_loop = OnLoop(clients, node, self.run)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:  # those whose threads hang are left behind with them
            await asyncio.wait(self._tasks, timeout=settings.STOP_SECONDS)
        await asyncio.gather(asyncio.to_thread(self._threads.stop), asyncio.to_thread(self.judges.stop))

    # -- threads ----------------------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many wait for a thread."""
        return self._threads.waiting + self.judges.waiting

    async def in_thread(self, function: Callable[..., T], *args: Any) -> T:
        """Run it where verbs run. Cancelled before its thread began, it never will; later, its thread is waited for."""
        return await _finished(self._threads.submit(function, *args))

    # -- one connection's calls -------------------------------------------------------------------------------------

    def pump(self, connection: Connection) -> None:
        """Begin the connection's next call, unless one is running."""
        call = connection.next_call()
        if call is not None:
            self.spawn(self._run(connection, call))

    def spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, connection: Connection, call: Call) -> None:
        try:
            if call.verb == "subscribe" and "subscriptions" in call.args:
                await self._subscribe(connection, call)
            else:
                await self._answer(connection, [call], partial(self._perform, connection, call))
        finally:
            connection.done()
            self.pump(connection)
            connection.shell.pace()

    async def _subscribe(self, connection: Connection, call: Call) -> None:
        """A list: each entry gets its own reply, but its caller is looked up once for as many as are quickly judged."""
        try:
            entries = routers.entries(call)
        except RealtimeError as error:
            self.tell(connection, call, reply(call, None, error=error))
            return
        most = self._limits.subscriptions
        left, beyond = entries[:most], entries[most:]
        while left and connection.closed is None:
            found = await self._answer(connection, left, partial(self._plan, connection, tuple(left)))
            if found is None:
                break
            outcomes, judged, unsure = found
            for single, outcome in zip(left, outcomes, strict=False):
                finish = partial(self._finish, connection, single, outcome, judged, unsure)
                await self._answer(connection, [single], finish)
            left = left[len(outcomes) :]
        for single in beyond:
            # Each may be a snapshot of everything, so a name that is subscribed again and again counts again and again.
            self._refuse(connection, single, TooMany())

    async def _answer(
        self, connection: Connection, calls: Sequence[Call], perform: Callable[[], Coroutine[Any, Any, T]]
    ) -> T | None:
        """What `perform` returns; or None, and its refusal is the reply to each of these calls."""
        if connection.closed is not None:
            return None
        call = calls[0]
        work = asyncio.ensure_future(perform())
        refusal: RealtimeError
        try:
            done, _ = await asyncio.wait([work], timeout=settings.VERB_SECONDS)
            if done:
                return work.result()
            refusal = TimedOut()
        except IdentityEnded:
            connection.refuse(CloseCode.IDENTITY, LoginRequired())
            return None
        except RealtimeError as error:
            refusal = error
        except asyncio.CancelledError:
            work.cancel()
            raise
        except Exception as error:
            refusal = _refusal(connection, call, error)
        for single in calls:
            self._refuse(connection, single, refusal)
        if not work.done():
            # Calls of one client are answered in order, and none takes more than one thread: so the next waits until
            # the thread of this one is free, which nobody can hurry.
            work.cancel()
            await asyncio.wait([work])
        return None

    def _refuse(self, connection: Connection, call: Call, error: RealtimeError) -> None:
        channel_data = None
        if call.verb == "subscribe" and isinstance(call.args.get("channel"), str):
            # Several replies to one list are told apart by it.
            channel_data = {"local_channel": call.args["channel"], "remote_channels": [], "action": "subscribe"}
        try:
            text = reply(call, None, error=error, channel_data=channel_data)
        except ValueError:
            logger.error("%s: the data of %r cannot be sent", connection.id, error.code)
            text = reply(call, None, error=Internal(), channel_data=channel_data)
        self.tell(connection, call, text)

    def tell(self, connection: Connection, call: Call, text: str) -> None:
        """A reply, behind every change published before it; whatever is too large becomes an error."""
        if connection.closed is None:
            try:
                self._hub.write(connection, text)
            except TooLarge as error:
                self._hub.write(connection, reply(call, None, error=error))

    # -- one call ---------------------------------------------------------------------------------------------------

    async def _perform(self, connection: Connection, call: Call) -> None:
        if call.route == SESSION:
            await self._session(connection, call)
            return
        if routers.awaits(call):
            answer, judged = await self._on_loop.answer(connection, call, _last_read), connection.shell.rights
        else:
            answer, judged = await self.run(connection, lambda caller: _run(caller, call))
        await self._finish(connection, call, answer, judged)

    async def _finish(
        self,
        connection: Connection,
        call: Call,
        answer: Answer | Exception,
        judged: int,
        unsure: set[str] | None = None,
    ) -> None:
        """What is to be done on the loop about a call that was answered in a thread."""
        if isinstance(answer, Exception):
            raise answer
        shell: Shell = connection.shell
        shell.public = True
        if connection.closed is not None:
            return
        if answer.plan is not None:
            await self.joining.join(connection, call, answer, judged, unsure)
            return
        if answer.drop is not None:
            left = connection.unsubscribe(answer.drop)
            if answer.channel_data is not None and left is not None:
                answer.channel_data["remote_channels"] = list(left.channels)
        self.tell(connection, call, _reply(call, answer))

    async def run(
        self, connection: Connection, function: Callable[[Caller], T], threads: Threads | None = None
    ) -> tuple[T, int]:
        """Call it in a thread with the connection's caller, read anew; with its result comes the number of the rights
        it was judged by. IdentityEnded if there is no such caller any more."""
        judged: int = connection.shell.rights
        future = (threads or self._threads).submit(self.as_caller, connection.identity, connection.id, function)
        return await _finished(future), judged

    async def _plan(
        self, connection: Connection, calls: Sequence[Call]
    ) -> tuple[list[Answer | Exception], int, set[str]]:
        """As `run`, for subscriptions, with the streams of which none can go on. Right after the handshake its user
        will do, which spares a server that thousands come back to a query each: whatever ends a right has them judged
        anew."""
        shell: Shell = connection.shell
        plan = partial(_attempts, calls=calls)
        if shell.known:
            judged, identity = shell.rights, connection.identity
            outcomes = await self.in_thread(plan, Caller(identity.user, identity, connection.id))
        else:
            outcomes, judged = await self.run(connection, plan)
        accepted = [(call, found) for call, found in zip(calls, outcomes, strict=False) if isinstance(found, Answer)]
        unsure = await self.joining.unsure(*[(call, found.plan) for call, found in accepted if found.plan is not None])
        return outcomes, judged, unsure

    @staticmethod
    def as_caller(identity: Identity, connection_id: str, function: Callable[[Caller], T]) -> T:
        """Call it, in a thread, with the caller as the database has them now. IdentityEnded if there is none."""
        fresh = sessions.refreshed(identity)
        if fresh is None:
            raise IdentityEnded
        return function(Caller(fresh.user, fresh, connection_id))

    def replan(self, caller: Caller, call: Call) -> Plan:
        """What this subscription entitles to now; in a thread."""
        return routers.plan(caller, call)

    async def _session(self, connection: Connection, call: Call) -> None:
        shell: Shell = connection.shell
        match call.verb:
            case "whoami":
                pass
            case "login":
                await self._login(connection, call.args.get("token"))
            case "visible":
                visible = call.args.get("visible")
                if not isinstance(visible, bool):
                    raise BadArgs("visible is true or false.")
                shell.visible = visible
            case _:
                raise UnknownVerb
        self.tell(connection, call, reply(call, introduction(connection.user, self._limits)))

    async def _login(self, connection: Connection, token: Any) -> None:
        if not isinstance(token, str) or not token:
            raise BadArgs("token is a text.")
        if not connection.identity.anonymous:
            # Whoever is another wants another connection: its subscriptions were judged for this one.
            raise BadArgs("This connection has an identity already.")
        identity = await asyncio.wrap_future(self.judges.submit(sessions.from_token, token))
        if identity is None:
            raise IdentityEnded
        connection.shell.known_until = 0.0
        if connection.closed is None and (refusal := self._clients.identify(connection, identity)) is not None:
            connection.refuse(refusal)


async def _finished(future: Future[T]) -> T:
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        # What has begun cannot be undone, and nobody may go on as if its thread were free.
        if not future.cancel():
            ended = asyncio.wrap_future(future)
            await asyncio.wait([ended])
            ended.exception()  # of no interest to anybody, and asyncio would say that it was not looked at
        raise


def _refusal(connection: Connection, call: Call, error: Exception) -> RealtimeError:
    """What a caller is told of an error that no verb raised on purpose."""
    full = writes.note(error)
    if full or isinstance(error, OperationalError | InterfaceError):
        # The database is away, full or locked: no fault of the app's, and it would be told for every call.
        logger.warning("%s: %.60r on %.60r: %s", connection.id, call.verb, call.route, type(error).__name__)
        return Unavailable("Nothing can be saved at the moment.") if full else Unavailable()
    logger.error("%s: %.60r on %.60r failed", connection.id, call.verb, call.route, exc_info=error)
    return Internal()


def _last_read(connection: Connection) -> Caller:
    return Caller(connection.identity.user, connection.identity, connection.id)


def _run(caller: Caller, call: Call) -> Answer:
    answer = routers.run(caller, call)
    if answer.plan is None:
        # Here, because lists may be long and the loop is everybody's.
        answer.data = Raw(dumps(answer.data))
    return answer


def _attempts(caller: Caller, calls: Sequence[Call]) -> list[Answer | Exception]:
    """What became of the first of these, of as many as are judged before the client has waited too long."""
    until = time.monotonic() + LIST_SECONDS
    found: list[Answer | Exception] = []
    for call in calls:
        try:
            found.append(_run(caller, call))
        except Exception as error:
            found.append(error)
        if time.monotonic() > until:
            break
    return found


def _reply(call: Call, answer: Answer) -> str:
    return reply(
        call,
        answer.data,
        state=answer.state,
        page=answer.page,
        client_context=answer.client_context,
        channel_data=answer.channel_data,
    )
