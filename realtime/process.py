"""What one server process consists of, so that its parts find each other without globals."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from realtime import sessions
from realtime.bus import Bus
from realtime.calls import Calls
from realtime.clients import Clients
from realtime.healing import Healing
from realtime.hub import Hub
from realtime.kicks import Kicks
from realtime.limits import Limits
from realtime.lookout import Lookout
from realtime.node import Node
from realtime.sessions import Identity
from realtime.settings import limits
from realtime.together import Together
from realtime.transport import Socket


@dataclass
class Process:
    """Made on the loop that serves; `start`, and `stop` when it is over."""

    bus: Bus
    limits: Limits = field(default_factory=limits)
    clock: Callable[[], float] = time.monotonic

    def __post_init__(self) -> None:
        loop = asyncio.get_running_loop()

        def schedule() -> None:
            loop.call_soon(self.hub.flush)

        # Every one that is open, also those of whom nobody was let in.
        self.sockets: set[Socket] = set()
        self.hub = Hub(schedule, self.limits)
        self.clients = Clients(self.hub, self.clock)
        self.node = Node(self.bus, self.hub, self.clock, self.limits)
        self.calls = Calls(self.hub, self.node, self.clients, self.limits)
        submit = self.calls.judges.submit
        # Who comes, by what they show.
        self.bearers: Together[Identity | None] = Together(
            submit,
            lambda asked: sessions.from_tokens(asked),
            lambda asked: sessions.from_token(asked),
            sessions.another,
        )
        self.cookies: Together[Identity | None] = Together(
            submit,
            lambda asked: sessions.from_cookies(asked),
            lambda asked: sessions.from_cookie(asked),
            sessions.another,
        )
        self.healing = Healing(self.hub, self.calls)
        self.kicks = Kicks(self.hub, self.calls, self.clients, self.healing)
        self.lookout = Lookout(self.hub, self.node, self.clients, self.clock)
        self.clients.on_known = self.lookout.greet
        self.node.on_control = self.kicks.judge
        self.node.on_unhealed = self.calls.joining.on_unhealed = self.healing.heal

    async def start(self) -> None:
        await self.node.start()
        self.clients.start()
        self.kicks.start()
        self.lookout.start()

    async def stop(self) -> None:
        """Say goodbye to every client, end what runs, give the threads back."""
        await self.clients.stop()
        await self.lookout.stop()
        await self.kicks.stop()
        await self.node.stop()
        await self.calls.stop()
        for socket in list(self.sockets):
            socket.abort()
