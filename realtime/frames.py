"""One text, built once per channel, and its bytes, built once per transport: nothing is made per subscriber.

And what there must be to send them: a transport that encodes, a client that takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Protocol


class Transport(Protocol):
    """How texts become bytes on the socket; one object per kind of connection, shared by all of that kind."""

    @property
    def name(self) -> str: ...

    # Clients written for SwampDragon: they know no heartbeat and no resync, and take `created` only once.
    @property
    def legacy(self) -> bool: ...

    def encode(self, text: str) -> bytes:
        """The whole frame; frames may be joined."""
        ...


class Frame:
    __slots__ = ("_bytes", "_others", "_transport", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        # Of the first transport that asked, which is mostly the only one, and of others by name.
        self._transport: Transport | None = None
        self._bytes = b""
        self._others: dict[str, bytes] | None = None

    def encoded(self, transport: Transport) -> bytes:
        if transport is self._transport:
            return self._bytes
        if self._transport is None:
            self._transport, self._bytes = transport, transport.encode(self.text)
            return self._bytes
        if self._others is None:
            self._others = {self._transport.name: self._bytes}
        found = self._others.get(transport.name)
        if found is None:
            found = self._others[transport.name] = transport.encode(self.text)
        return found


class Client(Protocol):
    """What the hub needs of a connection. A client is `clear` when bytes sent now overtake nothing."""

    transport: Transport
    clear: bool
    on_room: Callable[[Any], None] | None
    subscriptions: dict[str, Any]

    @property
    def send(self) -> Callable[[bytes], int | None]: ...
    @property
    def has_room(self) -> bool: ...
    def stuck(self, left: int) -> None: ...
    def put(self, frame: bytes, key: Hashable | None = None) -> None: ...
    def write(self, text: str, key: Hashable | None = None) -> None: ...
    def flush(self) -> None: ...
