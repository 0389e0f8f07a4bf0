"""Calls ⇄ routers: decoded on the loop, answered in worker threads, one after the other for each connection.

Subscribing ends on the loop: the snapshot is joined to the stream, and live begins, in one turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
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
    Unavailable,
    UnknownVerb,
)
from realtime.hub import Hub
from realtime.joining import Joining
from realtime.limits import Limits
from realtime.node import Node
from realtime.protocol import Call, Raw, dumps, reply
from realtime.sessions import Identity
from realtime.settings import settings
from realtime.shell import Shell
from realtime.threads import Threads
from realtime.welcome import SESSION, introduction

logger = logging.getLogger("realtime.calls")

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
        self.joining = Joining(hub, node, self)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(asyncio.to_thread(self._threads.stop), asyncio.to_thread(self.judges.stop))

    # -- threads ----------------------------------------------------------------------------------------------------

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
            for single in self._singles(connection, call):
                await self._answer(connection, single)
        finally:
            connection.done()
            self.pump(connection)

    def _singles(self, connection: Connection, call: Call) -> list[Call]:
        """A subscribe with a list is so many calls; each gets its own reply."""
        if call.verb != "subscribe" or "subscriptions" not in call.args:
            return [call]
        try:
            return routers.entries(call)
        except RealtimeError as error:
            self.tell(connection, call, reply(call, None, error=error))
            return []

    async def _answer(self, connection: Connection, call: Call) -> None:
        if connection.closed is not None:
            return
        work = asyncio.ensure_future(self._perform(connection, call))
        try:
            done, _ = await asyncio.wait([work], timeout=settings.VERB_SECONDS)
            if not done:
                self._refuse(connection, call, TimedOut())
                # Calls of one client are answered in order, and none takes more than one thread: so the next waits
                # until the thread of this one is free, which nobody can hurry.
                work.cancel()
                await asyncio.wait([work])
                return
            work.result()
        except IdentityEnded:
            connection.refuse(CloseCode.IDENTITY, LoginRequired())
        except RealtimeError as error:
            self._refuse(connection, call, error)
        except asyncio.CancelledError:
            work.cancel()
            raise
        except (OperationalError, InterfaceError) as error:
            # The database is away, or locked: no fault of the app's, and it would be told for every call.
            logger.warning("%s: %.60r on %.60r: %s", connection.id, call.verb, call.route, type(error).__name__)
            self._refuse(connection, call, Unavailable())
        except Exception:
            logger.exception("%s: %.60r on %.60r failed", connection.id, call.verb, call.route)
            self._refuse(connection, call, Internal())

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
        answer, judged = await self.run(connection, lambda caller: _run(caller, call))
        shell: Shell = connection.shell
        shell.public = True
        if connection.closed is not None:
            return
        if answer.plan is not None:
            await self.joining.join(connection, call, answer, judged)
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
        future = (threads or self._threads).submit(_as_caller, connection.identity, connection.id, function)
        return await _finished(future), judged

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
        if connection.closed is None and not self._clients.identify(connection, identity):
            connection.refuse(CloseCode.TOO_MANY)


async def _finished(future: Future[T]) -> T:
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        # What has begun cannot be undone, and nobody may go on as if its thread were free.
        if not future.cancel():
            await asyncio.wait([asyncio.wrap_future(future)])
        raise


def _as_caller(identity: Identity, connection_id: str, function: Callable[[Caller], T]) -> T:
    fresh = sessions.refreshed(identity)
    if fresh is None:
        raise IdentityEnded
    return function(Caller(fresh.user, fresh, connection_id))


def _run(caller: Caller, call: Call) -> Answer:
    answer = routers.run(caller, call)
    if answer.plan is None:
        # Here, because lists may be long and the loop is everybody's.
        answer.data = Raw(dumps(answer.data))
    return answer


def _reply(call: Call, answer: Answer) -> str:
    return reply(
        call,
        answer.data,
        state=answer.state,
        page=answer.page,
        client_context=answer.client_context,
        channel_data=answer.channel_data,
    )
