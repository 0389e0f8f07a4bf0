"""A client that follows the protocol by itself: comes back, continues where it was, subscribes anew when told to."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_socket

from tests.promise.record import Mark, Received, Wanted
from tests.promise.screens import OPENED, Objects, screen

# What a client waits before it comes back; real ones wait longer and by chance, which is not what is measured.
BACK_SECONDS = 0.1


class Follower:
    """Subscribes `wanted` (local name → route, filter) and keeps every frame, over all its connections, in `frames`; as
    text in `record`."""

    def __init__(self, ports: int | Sequence[int], token: str, wanted: Wanted, *, silence: float | None = None) -> None:
        #: Each connection goes to the next one: nobody is bound to a server.
        self._ports = itertools.cycle([ports] if isinstance(ports, int) else ports)
        self.wanted = wanted
        self.frames: list[dict[str, Any]] = []
        self.record: list[Received] = []
        #: Seconds without a frame after which it gives a connection up, as a page does after missed heartbeats.
        self.silence = silence
        self.codes: list[int] = []
        #: Called with each frame before anything is done with it; a slow reader sleeps here.
        self.on_frame: Callable[[dict[str, Any]], None] = lambda frame: None
        self._token = token
        self._places = {local: Place() for local in wanted}
        self._socket: ClientConnection | None = None
        self._ended = threading.Event()
        self._away = threading.Event()
        self._number = 0
        self._thread = threading.Thread(target=self._run, daemon=True, name="follower")
        self._thread.start()

    def __enter__(self) -> Follower:
        return self

    def __exit__(self, *error: object) -> None:
        self.end()

    def keep(self, frame: dict[str, Any]) -> None:
        self.frames.append(frame)

    # -- what it shows -----------------------------------------------------------------------------------------------

    def screens(self) -> dict[str, Objects]:
        frames = list(self.frames)
        return {local: screen(frames, local) for local in self.wanted}

    def replies(self, local: str) -> list[dict[str, Any]]:
        """The replies to its subscriptions of this name, without the further parts of snapshots."""
        return [
            frame
            for frame in list(self.frames)
            if (frame.get("channel_data") or {}).get("local_channel") == local and frame["context"].get("part", 1) == 1
        ]

    @property
    def last_news(self) -> float:
        """When the last frame with objects came."""
        return max((frame["at"] for frame in list(self.frames) if frame["type"] in ("change", "reply")), default=0.0)

    @property
    def settled(self) -> bool:
        """Whether every subscription has been answered completely on the present connection."""
        frames = list(self.frames)
        begun = max((n for n, frame in enumerate(frames) if frame["type"] == OPENED), default=len(frames))
        done = {
            frame["channel_data"]["local_channel"]
            for frame in frames[begun:]
            if frame.get("channel_data") and not frame["context"].get("more")
        }
        return done >= set(self.wanted)

    @property
    def connections(self) -> int:
        """How many it has had."""
        return sum(frame["type"] == OPENED for frame in list(self.frames))

    @property
    def continuable(self) -> bool:
        """Whether every subscription knows where it can be continued from."""
        return all(place.whole for place in self._places.values())

    # -- its line ----------------------------------------------------------------------------------------------------

    def drop(self) -> None:
        """Give the connection up without a word, as after missed heartbeats; stay away until `come_back`."""
        self._away.set()
        if self._socket is not None:
            _shutdown(self._socket)

    def come_back(self) -> None:
        self._away.clear()

    def end(self) -> None:
        self._ended.set()
        self._away.clear()
        if self._socket is not None:
            _shutdown(self._socket)
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self._connection()
            except ConnectionClosed as error:
                self.codes.append(error.rcvd.code if error.rcvd else 1006)
            except (OSError, TimeoutError, InvalidHandshake):
                pass
            if self.record and self.record[-1].mark is not Mark.CLOSED:
                self.record.append(Received(time.time(), Mark.CLOSED))
            while self._away.is_set() and not self._ended.is_set():
                self._ended.wait(0.01)
            self._ended.wait(BACK_SECONDS)

    def _connection(self) -> None:
        with open_socket(
            f"ws://127.0.0.1:{next(self._ports)}/ws",
            additional_headers={"Authorization": f"Bearer {self._token}"},
            open_timeout=10,
            close_timeout=0.5,
            ping_interval=None,
            compression=None,
            max_size=None,
        ) as found:
            self._socket = found
            if self._away.is_set() or self._ended.is_set():
                return
            for place in self._places.values():
                place.connect()
            self.keep({"type": OPENED, "at": time.monotonic()})
            self.record.append(Received(time.time(), Mark.OPENED))
            self._subscribe(list(self.wanted))
            while not self._ended.is_set():
                text = str(found.recv(timeout=self.silence))
                self.record.append(Received(time.time(), Mark.FRAME, text))
                frame = json.loads(text)
                frame["at"] = time.monotonic()
                self.on_frame(frame)
                self.keep(frame)
                self._follow(frame)

    # -- the protocol ------------------------------------------------------------------------------------------------

    def _subscribe(self, locals_: list[str]) -> None:
        assert self._socket is not None
        self._number += 1
        entries = []
        for local in locals_:
            route, args = self.wanted[local]
            since = {"_since": self._places[local].whole} if self._places[local].whole else {}
            entries.append({"route": route, "channel": local, "_snapshot": True, **args, **since})
        call = {
            "verb": "subscribe",
            "route": "session",
            "args": {"subscriptions": entries},
            "callbackname": f"f{self._number}",
        }
        self._socket.send(json.dumps(call))

    def _follow(self, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "reply" if frame.get("channel_data"):
                self._answered(frame)
            case "change":
                for place in self._places.values():
                    place.change(frame["channel"], frame["offset"])
            case "resync":
                lost = [local for local, place in self._places.items() if frame["channel"] in place.channels]
                for local in lost:
                    self._places[local].lost()
                self._subscribe(lost)
            case "heartbeat":
                for place in self._places.values():
                    place.told(frame.get("position", {}))

    def _answered(self, frame: dict[str, Any]) -> None:
        local = frame["channel_data"]["local_channel"]
        place = self._places[local]
        context = frame["context"]
        if context["state"] == "success":
            place.answered(frame["channel_data"]["remote_channels"], context)
            return
        place.lost()
        place.channels = []
        if context["error"]["temporary"]:
            self._ended.wait(BACK_SECONDS)
            self._subscribe([local])


class Place:
    """Where one subscription can be continued from: the position of what it shows, not of what is on its way."""

    def __init__(self) -> None:
        self.channels: list[str] = []
        self.whole: dict[str, list[Any]] = {}
        self._coming: dict[str, list[Any]] | None = None

    def connect(self) -> None:
        # Before the new connection's reply nothing that comes is this subscription's.
        self.channels = []
        self._coming = None

    def answered(self, channels: list[str], context: dict[str, Any]) -> None:
        self.channels = channels
        if context.get("recovered"):
            return
        if context.get("part", 1) == 1:
            self._coming = {}
        assert self._coming is not None
        self._coming |= context.get("position", {})
        if not context.get("more"):
            self.whole, self._coming = self._coming, None

    def change(self, channel: str, offset: int) -> None:
        position = (self.whole if self._coming is None else self._coming).get(channel)
        if channel in self.channels and position is not None:
            position[1] = offset

    def told(self, positions: dict[str, list[Any]]) -> None:
        if self._coming is None:
            self.whole |= {channel: list(at) for channel, at in positions.items() if channel in self.channels}

    def lost(self) -> None:
        self.whole, self._coming = {}, None


def _shutdown(found: ClientConnection) -> None:
    with contextlib.suppress(OSError):
        found.socket.shutdown(socket.SHUT_RDWR)
