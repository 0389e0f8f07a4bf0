"""What a connection's pure core leaves to the server: its socket, its pace, whether somebody looks at it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from realtime.connection import Connection
from realtime.errors import CloseCode
from realtime.settings import settings
from realtime.transport import Socket

if TYPE_CHECKING:
    from realtime.process import Process


class Shell:
    __slots__ = ("_pause", "_process", "address", "beat_at", "connection", "known_until", "owner", "positions_at",
                 "public", "read_before", "read_until", "rights", "socket", "told", "visible")  # fmt: skip

    def __init__(self, connection: Connection, socket: Socket, process: Process, address: str) -> None:
        self.connection = connection
        self.socket = socket
        self.address = address
        # Who this counts for among the connections of one user; None while it counts for nobody.
        self.owner: object = None
        # A client counts as visible until it says otherwise.
        self.visible = True
        # It used what anybody may use, so it may stay although nobody knows it.
        self.public = False
        # Counts how often the rights of this client had to be judged anew: a plan made under an earlier number is void.
        self.rights = 0
        # Until then, and while nobody's rights changed, its user is as the handshake read it.
        self.known_until = 0.0
        # Its user is as it was when so many judgements had been asked for; not to be believed later than that time.
        self.read_before = -1
        self.read_until = 0.0
        # What it was last told of the health of all this; nothing, as long as all is well.
        self.told = ""
        self.beat_at = self.positions_at = process.clock()
        self._process = process
        self._pause: asyncio.TimerHandle | None = None

    @property
    def known(self) -> bool:
        return self.rights == 0 and self._process.clock() < self.known_until

    def read(self, judgements: int, until: float) -> None:
        """Its user was read when so many judgements had been asked for, and may be believed until then."""
        self.read_before = judgements
        self.read_until = until

    def read_since(self, judgements: int) -> bool:
        """Whether its user was read after the last of so many judgements had been asked for, and not too long ago."""
        return self.read_before == judgements and self._process.clock() < self.read_until

    def receive(self, text: str) -> None:
        seconds = self.connection.receive(text)
        if seconds > 0:
            self._wait(seconds)
        self._process.calls.pump(self.connection)
        self.pace()

    def pace(self) -> None:
        """Read on only when it is time again, and while not too many calls wait: who asks for more than is answered
        must not fill our memory."""
        if self.connection.closed is not None:
            return
        if self._pause is not None or self.connection.waiting_calls > self._process.limits.calls_burst:
            self.socket.pause()
        elif self.socket.paused:
            self.socket.resume()

    def closed(self, code: int) -> None:
        """The socket is gone, whoever closed it."""
        if self._pause is not None:
            self._pause.cancel()
        self.connection.gone(CloseCode.GOING_AWAY)
        self._process.clients.remove(self.connection, code)
        self._process.sockets.discard(self.socket)

    def _wait(self, seconds: float) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._pause = asyncio.get_running_loop().call_later(seconds, self._waited)

    def _waited(self) -> None:
        self._pause = None
        self.pace()


def believed(began: float) -> float:
    """Until when users that were read from `began` on may be believed: one look at all identities may be late by as
    much as it takes; without the next one nothing is certain."""
    return began + 2 * settings.IDENTITY_SECONDS
