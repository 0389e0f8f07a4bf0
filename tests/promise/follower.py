"""A client that follows the protocol by itself: comes back, continues where it was, subscribes anew when told to."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_socket

from tests.promise.screens import OPENED, Objects, screen

Wanted = dict[str, tuple[str, dict[str, Any]]]

# What a client waits before it comes back; real ones wait longer and by chance, which is not what is measured.
BACK_SECONDS = 0.1


class Follower:
    """Subscribes `wanted` (local name → route, filter) and keeps every frame, over all its connections, in `frames`."""

    def __init__(self, port: int, token: str, wanted: Wanted) -> None:
        self.port = port
        self.wanted = wanted
        self.frames: list[dict[str, Any]] = []
        self.codes: list[int] = []
        #: Called with each frame before anything is done with it; a slow reader sleeps here.
        self.on_frame: Callable[[dict[str, Any]], None] = lambda frame: None
        self._token = token
        self._positions: dict[str, tuple[str, int]] = {}
        self._told: dict[str, tuple[str, int]] = {}
        self._channels: dict[str, list[str]] = {}
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
            while self._away.is_set() and not self._ended.is_set():
                self._ended.wait(0.01)
            self._ended.wait(BACK_SECONDS)

    def _connection(self) -> None:
        with open_socket(
            f"ws://127.0.0.1:{self.port}/ws",
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
            self._channels = {}
            self._told = {}
            self.frames.append({"type": OPENED, "at": time.monotonic()})
            self._subscribe(list(self.wanted))
            while not self._ended.is_set():
                frame = json.loads(found.recv())
                frame["at"] = time.monotonic()
                self.on_frame(frame)
                self.frames.append(frame)
                self._follow(frame)

    # -- the protocol ------------------------------------------------------------------------------------------------

    def _subscribe(self, locals_: list[str]) -> None:
        assert self._socket is not None
        self._number += 1
        entries = []
        for local in locals_:
            route, args = self.wanted[local]
            entries.append({"route": route, "channel": local, "_snapshot": True, **args, "_since": self._positions})
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
                epoch, _ = self._positions.get(frame["channel"], (None, 0))
                if epoch is not None:
                    self._positions[frame["channel"]] = (epoch, frame["offset"])
            case "resync":
                channel = frame["channel"]
                self._positions.pop(channel, None)
                self._subscribe([local for local, names in self._channels.items() if channel in names])
            case "heartbeat":
                for channel, (epoch, offset) in frame.get("position", {}).items():
                    self._positions[channel] = (epoch, offset)

    def _answered(self, frame: dict[str, Any]) -> None:
        local, channels = frame["channel_data"]["local_channel"], frame["channel_data"]["remote_channels"]
        context = frame["context"]
        if context["state"] != "success":
            self._channels.pop(local, None)
            if context["error"]["temporary"]:
                self._ended.wait(BACK_SECONDS)
                self._subscribe([local])
            return
        self._channels[local] = channels
        if context.get("recovered"):
            return
        # Until the last part has come, nothing of it counts.
        for channel in channels:
            self._positions.pop(channel, None)
        if "position" in context:
            self._told |= {channel: (epoch, offset) for channel, (epoch, offset) in context["position"].items()}
        if not context.get("more"):
            self._positions |= {channel: self._told.pop(channel) for channel in channels if channel in self._told}


def _shutdown(found: ClientConnection) -> None:
    with contextlib.suppress(OSError):
        found.socket.shutdown(socket.SHUT_RDWR)
