"""How each kind of server is spoken to: what a client says to join, and what a change looks like when it comes.

The object that travels is the same for all of them (`thing`).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any

ALL = "all"
# A room of larger objects, to fill buffers with.
WIDE = "wide"
WIDTH = 60 * 1024


def thing(number: int, sent: float, room: str = ALL) -> dict[str, Any]:
    """The object of change `number`, published at `sent`: seconds of the monotonic clock, which all processes share."""
    name = "lamp" if room != WIDE else "l" + "a" * WIDTH + "mp"
    return {"id": number, "_type": "device", "name": name, "is_on": True, "room": room, "sent": f"{sent:.6f}"}


def message(number: int, sent: float, room: str = ALL) -> str:
    """What the peers send: a change as Marshlight writes it."""
    told = {"type": "change", "action": "updated", "channel": "device|", "data": thing(number, sent, room)}
    return json.dumps(told | {"offset": number}, separators=(",", ":"))


class Dialect(ABC):
    path = "/ws"

    @abstractmethod
    def greeting(self, room: str) -> str | None:
        """What is said as soon as the socket is open."""

    @abstractmethod
    def joining(self, payload: bytes, room: str) -> tuple[bool, str | None]:
        """What came before the client was in: whether it is in now, and what to say next."""

    @abstractmethod
    def change(self, payload: bytes) -> dict[str, Any] | None:
        """The object in a text frame; None if the frame is about something else. ValueError: garbled."""

    def answer(self, payload: bytes) -> str | None:
        """What a text frame wants to hear at once (heartbeats)."""
        return None

    @abstractmethod
    def say(self, number: int, sent: float) -> str:
        """What a client says so that all get change `number`."""


class Plain(Dialect):
    """The peers that bring no protocol of their own."""

    def greeting(self, room: str) -> str | None:
        return json.dumps({"join": room})

    def joining(self, payload: bytes, room: str) -> tuple[bool, str | None]:
        return payload == b"joined", None

    def change(self, payload: bytes) -> dict[str, Any] | None:
        data: dict[str, Any] = json.loads(payload)["data"]
        return data

    def say(self, number: int, sent: float) -> str:
        return json.dumps({"say": message(number, sent)})


class SocketIO(Dialect):
    """Engine.IO 4 over a WebSocket from the start, as `transports: ["websocket"]` does."""

    path = "/socket.io/?EIO=4&transport=websocket"

    def greeting(self, room: str) -> str | None:
        return None

    def joining(self, payload: bytes, room: str) -> tuple[bool, str | None]:
        if payload.startswith(b"0"):
            return False, "40"
        if payload.startswith(b"40"):
            return False, "42" + json.dumps(["join", room])
        return payload.startswith(b'42["joined"'), None

    def change(self, payload: bytes) -> dict[str, Any] | None:
        if payload == b"2":
            return None
        name, data = json.loads(payload.removeprefix(b"42"))
        return data if name == "change" else None

    def answer(self, payload: bytes) -> str | None:
        return "3" if payload == b"2" else None

    def say(self, number: int, sent: float) -> str:
        return "42" + json.dumps(["say", thing(number, sent)])


class Native(Dialect):
    """Marshlight's own wire."""

    def greeting(self, room: str) -> str | None:
        return subscribe({} if room in (ALL, WIDE) else {"location": int(room)})

    def joining(self, payload: bytes, room: str) -> tuple[bool, str | None]:
        if b'"context"' not in payload:
            return False, None
        if b'"state":"success"' not in payload:
            raise ValueError(f"not subscribed: {payload[:300]!r}")
        return True, None

    def change(self, payload: bytes) -> dict[str, Any] | None:
        if not payload.startswith(b'{"type":"change"'):
            return None
        data: dict[str, Any] = json.loads(payload)["data"]
        return data

    def say(self, number: int, sent: float) -> str:
        raise NotImplementedError


class Said(Native):
    """The same with route `bench` of this package's settings: a verb that tells everybody without the database."""

    def greeting(self, room: str) -> str | None:
        return subscribe({}, route="bench")

    def change(self, payload: bytes) -> dict[str, Any] | None:
        if not payload.startswith(b'{"type":"data"'):
            return None
        data: dict[str, Any] = json.loads(payload)["data"]
        return data

    def say(self, number: int, sent: float) -> str:
        args = {"number": number, "sent": sent}
        return json.dumps({"verb": "say", "route": "bench", "args": args, "callbackname": "s"})


class Switch(Native):
    """The same with the real verb: `update` of a demo device, whose row changes in the database. The number and the
    time travel as its detail."""

    def __init__(self, device: int) -> None:
        self.device = device

    def say(self, number: int, sent: float) -> str:
        args = {"id": self.device, "desired": {"on": number % 2 == 1}, "detail": f"{number} {sent:.6f}"}
        return json.dumps({"verb": "update", "route": "device", "args": args, "callbackname": "s"})

    def change(self, payload: bytes) -> dict[str, Any] | None:
        data = super().change(payload)
        if data is None or data["id"] != self.device:
            return None
        number, sent = data["detail"].split()
        if data["desired"]["on"] is not (int(number) % 2 == 1):
            raise ValueError("the switch stands the other way")
        return thing(int(number), float(sent))


def subscribe(*wishes: dict[str, Any], route: str = "device") -> str:
    """One call that subscribes to each of these filters."""
    entries = [{"route": route, "channel": f"bench{place}"} | wish for place, wish in enumerate(wishes)]
    return json.dumps(
        {"verb": "subscribe", "route": "session", "args": {"subscriptions": entries}, "callbackname": "c1"}
    )


def dialect(name: str) -> Dialect:
    """ "plain", "socketio", "native", "said", or "switch:" and the key of a device."""
    kind, _, device = name.partition(":")
    if kind == "switch":
        return Switch(int(device))
    return {"plain": Plain, "socketio": SocketIO, "native": Native, "said": Said}[kind]()
