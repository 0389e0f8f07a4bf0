"""One turn of the loop: frames are collected per channel, then every client gets its own in one piece.

The frames of a channel are joined once per transport. A client that is in no other channel of this turn, and has
nothing waiting, is sent that very bytes object; everybody else gets them singly through the outbox, where a newer
state of an object replaces an older one.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

from .channel import Channel
from .frames import Client, Frame


class Turn:
    def __init__(self, schedule: Callable[[], None]) -> None:
        self._schedule = schedule
        self._scheduled = False
        self._waiting: dict[Channel, None] = {}
        self._touched: dict[Client, None] = {}
        # For /healthz: how much work, and how far it was spread.
        self.frames = 0
        self.deliveries = 0

    def collect(self, channel: Channel, key: Hashable, frame: Frame, offset: int) -> None:
        """For those in the channel who get everything. The older frame of an object goes, the newer comes last."""
        self.frames += 1
        channel.offset = offset
        if channel.fast:
            channel.frames.pop(key, None)
            channel.frames[key] = frame
            self._waiting[channel] = None
            self.wake()

    def put(self, client: Client, frame: bytes, key: Hashable | None = None) -> None:
        """For one client, behind what waits for it."""
        self.deliveries += 1
        client.put(frame, key)
        self._touched[client] = None
        self.wake()

    def wake(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._schedule()

    def begin(self) -> None:
        """The scheduled flush has come, or somebody could not wait for it. What comes up during it is sent by it."""
        self._scheduled = True

    def end(self) -> None:
        self._scheduled = False

    def send(self) -> None:
        waiting, self._waiting = self._waiting, {}
        several = _in_several(waiting) if len(waiting) > 1 else ()
        for channel in waiting:
            frames, channel.frames = channel.frames, {}
            for transport, clients in list(channel.fast.values()):
                encoded = [frame.encoded(transport) for frame in frames.values()]
                joined = encoded[0] if len(encoded) == 1 else b"".join(encoded)
                self.deliveries += len(encoded) * len(clients)
                # A copy, because a client that fails leaves.
                for client in list(clients):
                    if client.clear and client not in several:
                        left = client.send(joined)
                        if left:
                            client.stuck(left)
                    else:
                        for key, frame in zip(frames, encoded, strict=True):
                            client.put(frame, (channel.name, key))
                        self._touched[client] = None
        touched, self._touched = self._touched, {}
        for client in touched:
            client.flush()


def _in_several(waiting: Iterable[Channel]) -> set[Client]:
    once: set[Client] = set()
    several: set[Client] = set()
    for channel in waiting:
        for _, clients in channel.fast.values():
            if not once.isdisjoint(clients):
                several.update(once.intersection(clients))
            once.update(clients)
    return several
