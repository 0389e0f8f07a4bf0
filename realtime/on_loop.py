"""Verbs that wait for no database: `async def`, awaited on the loop, without a thread on the way.

Their caller is not read anew before each call. It is the one that was read last, which counts while it is certain that
nobody has heard of a right or an identity that ended since: any such word, a lost link to the bus, or the time that two
of the regular looks at all identities take, and it is read again first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from realtime import routers
from realtime.answers import Answer, Caller
from realtime.clients import Clients
from realtime.connection import Connection
from realtime.node import Node
from realtime.protocol import Call, Raw, dumps
from realtime.router import BaseRouter
from realtime.shell import Shell

Begun = tuple[BaseRouter, "partial[Any] | None"]
# `Calls.run`, without the number of the rights: a verb for the loop has no use for it.
Run = Callable[[Connection, Callable[[Any], Begun]], Coroutine[Any, Any, tuple[Begun, int]]]


class OnLoop:
    def __init__(self, clients: Clients, node: Node, run: Run) -> None:
        self._clients = clients
        self._node = node
        self._run = run

    async def answer(self, connection: Connection, call: Call, known: Callable[[Connection], Caller]) -> Answer:
        """The reply to a call that `routers.awaits`; `known` makes a caller of the user as it was read last."""
        if routers.asks_database(call) or not self._certain(connection):
            (router, asked), _ = await self._run(connection, lambda caller: routers.begin(caller, call))
        else:
            router, asked = routers.begin(known(connection), call)
        try:
            answer = await router.answer_on_loop(asked)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # Something that the verb waited for was cancelled, not the verb: its caller waits for an answer.
            raise RuntimeError(f"{call.verb} on {call.route} was cancelled by what it waited for") from None
        answer.data = Raw(dumps(answer.data))
        return answer

    def _certain(self, connection: Connection) -> bool:
        """Whether reading the caller anew would find the same, as far as anybody can know."""
        shell: Shell = connection.shell
        if connection.identity.user_id is None:
            return True  # of whom nothing is read
        return self._node.sure and shell.read_since(self._clients.judgements)
