"""The connections of this process: who is here, how many of one user, and whether they are still alive."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

from realtime.connection import Connection
from realtime.errors import CloseCode, LoginRequired
from realtime.hub import Hub
from realtime.sessions import Identity
from realtime.settings import settings
from realtime.shell import Shell

logger = logging.getLogger("realtime.clients")

# How exact heartbeats, pings and deadlines are.
TICK_SECONDS = 1.0
# Looked at in one go, pings and heartbeats included: for ten thousand at once, changes waited up to 70 ms each second.
PIECE = 200
# How connections end on a good day: the rest is for the operator to see.
_ORDINARY = (1000, 1001, 1005, 1006, CloseCode.IDENTITY)
# For how many times the grace an answered ping is believed: longer than a client takes to come back.
TRUST_GRACES = 10


class Clients:
    def __init__(self, hub: Hub, clock: Callable[[], float]) -> None:
        self._hub = hub
        self.clock = clock
        self._all: dict[str, Connection] = {}
        self._owned: dict[Hashable, dict[str, Connection]] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        self._task: asyncio.Task[None] | None = None
        # Called when it is known whose connection this is.
        self.on_known: Callable[[Connection], None] = lambda connection: None
        # How often rights or identities were to be judged anew: who is being identified meanwhile is not here to be
        # told.
        self.judgements = 0
        # Nobody new is taken any more.
        self.stopping = False

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Connection]:
        return iter(list(self._all.values()))

    # -- who is here ------------------------------------------------------------------------------------------------

    def add(self, connection: Connection, identity: Identity) -> CloseCode | None:
        """None, or why it is not taken."""
        if self.stopping:
            return CloseCode.GOING_AWAY
        if (refusal := self._own(connection, identity)) is not None:
            return refusal
        self._all[connection.id] = connection
        self._empty.clear()
        logger.debug("%s opened: %s %s", connection.id, identity.kind, identity.key)
        return None

    def identify(self, connection: Connection, identity: Identity) -> CloseCode | None:
        """The same connection, now known as somebody; None, or why that one may have no more."""
        return self._own(connection, identity)

    def remove(self, connection: Connection, code: int) -> None:
        if self._all.pop(connection.id, None) is not None:
            logger.log(logging.DEBUG if code in _ORDINARY else logging.INFO, "%s closed: %d", connection.id, code)
        self._disown(connection)
        if not self._all:
            self._empty.set()

    def of_users(self, users: Iterable[Any] | None) -> list[Connection]:
        """The connections of these users, given as the wire or Python writes their keys; None: of everybody."""
        if users is None:
            return list(self._all.values())
        return [c for user in users for c in self._owned.get(("user", str(user)), {}).values()]

    def _own(self, connection: Connection, identity: Identity) -> CloseCode | None:
        shell: Shell = connection.shell
        owner, most = _owner(shell, identity)
        if owner != shell.owner:
            owned = self._owned.get(owner, {})
            if len(owned) >= most and (refusal := self._make_room(owned.values())) is not None:
                logger.info("%s refused: %s has %d connections", connection.id, owner, len(owned))
                return refusal
            self._disown(connection)
            self._owned.setdefault(owner, {})[connection.id] = connection
            shell.owner = owner
        connection.identity = identity
        connection.user = identity.user
        self.on_known(connection)
        return None

    def _make_room(self, owned: Iterable[Connection]) -> CloseCode | None:
        """None if one of these had left without a word and is gone now. Behind a router that restarts, everybody comes
        back before the pings tell that they left: so all are asked, and until they could have answered a newcomer is
        told to come back, not that it is one too many, which is final."""
        now, grace = self.clock(), settings.PONG_GRACE_SECONDS
        # Of a paused one nothing is heard because nothing is read.
        sockets = {c: c.shell.socket for c in owned if not c.shell.socket.paused}
        gone = [c for c, socket in sockets.items() if socket.pinged > socket.heard and now - socket.pinged > grace]
        if gone:
            left = min(gone, key=lambda connection: sockets[connection].heard)
            self._disown(left)
            left.shell.owner = None
            left.shut(CloseCode.NO_PONG)
            return None
        # Whoever has answered a ping since the newcomer may have been here last is here.
        unsure = [s for s in sockets.values() if s.heard <= s.pinged or now - s.pinged > TRUST_GRACES * grace]
        for socket in unsure:
            if socket.pinged <= socket.heard:
                socket.ping()
        return CloseCode.GOING_AWAY if unsure else CloseCode.TOO_MANY

    def _disown(self, connection: Connection) -> None:
        owned = self._owned.get(connection.shell.owner)
        if owned is not None:
            owned.pop(connection.id, None)
            if not owned:
                del self._owned[connection.shell.owner]

    # -- alive ------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self._task = asyncio.create_task(self._tick())

    async def stop(self) -> None:
        """Tell everybody to come back elsewhere, and wait a little for their goodbyes."""
        self.stopping = True
        if self._task is not None:
            self._task.cancel()
        for connection in self.of_users(None):
            connection.shut(CloseCode.GOING_AWAY)
        try:
            await asyncio.wait_for(self._empty.wait(), settings.STOP_SECONDS)
        except TimeoutError:
            logger.warning("%d connections did not say goodbye", len(self))

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while True:
            everybody = list(self._all.values())
            pieces = [everybody[first : first + PIECE] for first in range(0, len(everybody), PIECE)] or [[]]
            for number, piece in enumerate(pieces, 1):
                await asyncio.sleep(begun + TICK_SECONDS * number / len(pieces) - loop.time())
                try:
                    self.look(piece)
                except Exception:
                    logger.exception("looking after the connections failed")
            # After a loop that stood still, what it missed is not made up for.
            begun = max(begun + TICK_SECONDS, loop.time() - TICK_SECONDS)

    def look(self, at: Iterable[Connection]) -> None:
        """One look at these: who is silent, who is nobody, whose heartbeat is due."""
        now = self.clock()
        pong, half = settings.PONG_SECONDS, TICK_SECONDS / 2
        often, seldom = settings.HEARTBEAT_SECONDS - half, settings.HEARTBEAT_HIDDEN_SECONDS - half
        seldom_told = settings.POSITION_SECONDS - half
        beats: list[Connection] = []
        positions: list[Connection] = []
        for connection in at:
            shell: Shell = connection.shell
            socket = shell.socket
            if connection.closed is not None or connection.id not in self._all:
                continue
            if now - socket.heard > pong and not socket.paused:
                connection.shut(CloseCode.NO_PONG)
                continue
            if now - max(socket.heard, socket.pinged) > pong / 2:
                socket.ping()
            if connection.identity.anonymous and not shell.public and now >= connection.login_deadline:
                connection.refuse(CloseCode.IDENTITY, LoginRequired())
                continue
            if socket.spoke:
                # Whatever it was told is a sign of life. At the latest a tick ago: when exactly is not worth a clock.
                socket.spoke = False
                shell.beat_at = max(shell.beat_at, now - TICK_SECONDS)
            # Half a tick early rather than half a tick late: pages count the seconds.
            if now - shell.positions_at >= seldom_told:
                shell.positions_at = shell.beat_at = now
                positions.append(connection)
            elif now - shell.beat_at >= (often if shell.visible else seldom):
                shell.beat_at = now
                beats.append(connection)
        self._hub.beat(beats)
        self._hub.beat(positions, positions=True)
        for connection in (*beats, *positions):
            beat: bytes | None = getattr(connection.transport, "beat", None)
            if beat is not None:
                connection.put(beat, "heartbeat")
                connection.flush()


def _owner(shell: Shell, identity: Identity) -> tuple[Hashable, int]:
    """Whom a connection counts for, and how many of those there may be."""
    if identity.user_id is not None:
        return ("user", str(identity.user_id)), settings.CONNECTIONS_PER_USER
    if not identity.anonymous:
        return (identity.kind, identity.key), settings.CONNECTIONS_PER_USER
    return ("address", shell.address), settings.CONNECTIONS_PER_ADDRESS
