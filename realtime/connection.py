"""One client: who it is, what it follows, what waits for it, and how fast it may call. No socket, no loop, no Django.

`send` takes whole frames, once nothing is in flight, and answers how many bytes the kernel did not take (None: took
all); the shell keeps those and says `drained` as they go. So a list's `append` is a test double.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Hashable
from typing import Any

from .errors import (
    BadCall,
    CloseCode,
    Internal,
    LoginRequired,
    NotAllowed,
    RealtimeError,
    TooFast,
    TooLarge,
    TooMany,
    TooSlow,
    Unavailable,
)
from .frames import Transport
from .joins import Subscription
from .limits import DEFAULT_LIMITS, Limits
from .outbox import Outbox
from .protocol import Beat, Call, decode, heartbeat, reply
from .rate import Bucket

log = logging.getLogger(__name__)

# What is said before closing, to clients that cannot read a close code. Nobody reads it who is too slow.
_SAID: dict[CloseCode, type[RealtimeError]] = {
    CloseCode.GOING_AWAY: Unavailable,
    CloseCode.IDENTITY: LoginRequired,
    CloseCode.NOT_ALLOWED: NotAllowed,
    CloseCode.TOO_FAST: TooFast,
    CloseCode.TOO_LARGE: TooLarge,
    CloseCode.TOO_MANY: TooMany,
}


class Connection:
    __slots__ = (
        "_busy",
        "_calls",
        "_close",
        "_limits",
        "_rate",
        "_undo",
        "clear",
        "clock",
        "closed",
        "id",
        "identity",
        "login_deadline",
        "on_room",
        "outbox",
        "send",
        "shell",
        "subscriptions",
        "transport",
        "user",
    )

    def __init__(
        self,
        id: str,
        transport: Transport,
        send: Callable[[bytes], int | None],
        close: Callable[[CloseCode], None],
        clock: Callable[[], float],
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.id = id
        self.transport = transport
        # Only the hub and this class call it, and only while nothing is in flight.
        self.send = send
        self.clock = clock
        # None until somebody is known; the shell puts there what it likes, also for "known to be nobody".
        self.identity: Any = None
        self.user: Any = None
        self.shell: Any = None
        self.login_deadline = clock() + limits.login_seconds
        self.subscriptions: dict[str, Subscription] = {}
        self.outbox = Outbox(limits.outbox_bytes)
        # True when bytes sent now overtake nothing: read by the hub for every frame, so kept, not computed.
        self.clear = True
        self.closed: CloseCode | None = None
        # Called when a stalled outbox has room for the next part of a snapshot.
        self.on_room: Callable[[Any], None] | None = None
        self._close = close
        self._limits = limits
        self._rate = Bucket(limits.calls_per_second, limits.calls_burst, limits.flood_seconds, clock)
        self._calls: deque[Call] = deque()
        self._busy = False
        self._undo: dict[str, Callable[[], None]] = {}

    # -- from the client --------------------------------------------------------------------------------------------

    def receive(self, text: str | bytes) -> float:
        """One frame. Calls are queued for `next_call`; heartbeats and nonsense are answered at once.

        The answer says for how many seconds the shell should read nothing more from this client.
        """
        if self.closed is not None:
            return 0.0
        pause = self._rate.take()
        if self._rate.flooding:
            self.refuse(CloseCode.TOO_FAST)
            return 0.0
        try:
            received = decode(text, self._limits)
        except TooLarge:
            self.refuse(CloseCode.TOO_LARGE)
        except BadCall as error:
            self.write(reply(None, None, error=error))
        else:
            if isinstance(received, Beat):
                # With a key, so that a client that asks and does not read keeps one answer waiting, not thousands.
                self.write(heartbeat(), "heartbeat")
            elif self.identity is None and (received.route, received.verb) != ("session", "login"):
                self.write(reply(received, None, error=LoginRequired()))
            else:
                self._calls.append(received)
        return pause

    def next_call(self) -> Call | None:
        """The call to run now, or None while one runs: calls of one client are answered in their order."""
        if self._busy or not self._calls or self.closed is not None:
            return None
        self._busy = True
        return self._calls.popleft()

    def done(self) -> None:
        """The call that `next_call` gave has been answered."""
        self._busy = False

    @property
    def waiting_calls(self) -> int:
        return len(self._calls)

    @property
    def login_overdue(self) -> bool:
        return self.identity is None and self.clock() >= self.login_deadline

    # -- to the client ----------------------------------------------------------------------------------------------

    def write(self, text: str, key: Hashable | None = None) -> None:
        """Send this text behind what waits. TooLarge, and nothing is sent, if it can never fit the outbox.

        What must not overtake the changes of this turn goes through `Hub.write`.
        """
        frame = self.transport.encode(text)
        if len(frame) > self.outbox.limit:
            raise TooLarge
        self.put(frame, key)
        self.flush()

    def put(self, frame: bytes, key: Hashable | None = None) -> None:
        """Leave a frame to the next `flush`; a client that outgrows its outbox is closed."""
        if self.closed is not None:
            return
        self.clear = False
        try:
            self.outbox.put(frame, key)
        except TooSlow:
            self.shut(CloseCode.TOO_SLOW)

    def flush(self) -> None:
        outbox = self.outbox
        while self.closed is None and not outbox.in_flight:
            frames = outbox.take(self._limits.chunk_bytes)
            if not frames:
                self.clear = True
                return
            outbox.in_flight = self.send(frames[0] if len(frames) == 1 else b"".join(frames)) or 0

    def stuck(self, left: int) -> None:
        """`send` was called directly, and the kernel did not take all of it."""
        self.clear = False
        self.outbox.in_flight += left
        if self.outbox.size > self.outbox.limit:
            self.shut(CloseCode.TOO_SLOW)

    def drained(self, taken: int) -> None:
        """The kernel took so many bytes of what was in flight."""
        self.outbox.in_flight = max(0, self.outbox.in_flight - taken)
        self.flush()
        if self.on_room is not None and self.closed is None and self.has_room:
            self.on_room(self)

    @property
    def has_room(self) -> bool:
        """Whether a part of a snapshot may join what waits: live changes keep three quarters for themselves."""
        return self.outbox.size < self.outbox.limit // 4

    # -- subscriptions ----------------------------------------------------------------------------------------------

    def subscribe(self, local: str, subscription: Subscription, undo: Callable[[], None]) -> None:
        """Keep a subscription under the client's own name, in place of an older one, with what ends it. TooMany."""
        if local not in self.subscriptions and len(self.subscriptions) >= self._limits.subscriptions:
            raise TooMany(f"A connection may have {self._limits.subscriptions} subscriptions.")
        self.unsubscribe(local)
        self.subscriptions[local] = subscription
        self._undo[local] = undo

    def unsubscribe(self, local: str) -> Subscription | None:
        """The subscription that ended, if there was one."""
        undo = self._undo.pop(local, None)
        subscription = self.subscriptions.pop(local, None)
        if undo is not None:
            undo()
        return subscription

    # -- the end ----------------------------------------------------------------------------------------------------

    def refuse(self, code: CloseCode, error: RealtimeError | None = None) -> None:
        """Close, after an error frame that says why, for clients that cannot read close codes."""
        if self.closed is None:
            self.put(self.transport.encode(reply(None, None, error=error or _SAID.get(code, Internal)())))
            self.flush()
            self.shut(code)

    def shut(self, code: CloseCode) -> None:
        """Close now. What waits is dropped; every subscription is ended, even if ending one of them fails."""
        if self.closed is None:
            self.gone(code)
            self._close(code)

    def gone(self, code: CloseCode = CloseCode.GOING_AWAY) -> None:
        """The socket is closed, or is about to be by whoever calls this."""
        if self.closed is not None:
            return
        self.closed = code
        self.clear = False
        self.outbox.clear()
        self._calls.clear()
        for local in list(self._undo):
            try:
                self.unsubscribe(local)
            except Exception:
                log.exception("A subscription could not be ended.")
