"""Who publishes the changes: on Marshlight's own bus, on a Redis channel, or through a peer's own library."""

from __future__ import annotations

import json
import os
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import redis

from benchmarks import environment, machine
from benchmarks.dialects import ALL, message, thing
from benchmarks.place import ROOT


class Publisher(ABC):
    @abstractmethod
    def publish(self, numbers: Sequence[int], rooms: int = 0, room: str = ALL) -> None:
        """Publish these changes to `room` at once; with `rooms` each to the room of its number modulo `rooms`."""

    def end(self) -> None:
        """No more is published."""


class Channel(Publisher):
    """A Redis channel per room."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url)

    def publish(self, numbers: Sequence[int], rooms: int = 0, room: str = ALL) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for number in numbers:
            room = str(number % rooms) if rooms else room
            pipe.publish(f"room:{room}", message(number, time.monotonic(), room))
        pipe.execute()


class OwnBus(Publisher):
    """Changes of the model `device` on the real bus, as the relay publishes them; each of an object of its own."""

    # Away from the objects and revisions of the database.
    BEYOND = 1_000_000

    def __init__(self, env: dict[str, str]) -> None:
        os.environ.update(env)
        import django

        django.setup()
        from devices.models import Device
        from realtime import journal
        from realtime.bus import make_bus
        from realtime.models import published
        from realtime.values import wire_values

        self._state = wire_values(Device.objects.all()[0], published()[Device].columns)
        self._bus = make_bus()
        self._bus.identity = journal.identity()
        self._revision = self.BEYOND

    def publish(self, numbers: Sequence[int], rooms: int = 0, room: str = ALL) -> None:
        from realtime.bus import Publication
        from realtime.change import Change, encode

        batch = []
        for number in numbers:
            self._revision += 1
            # Objects have keys of their own over all measurements: none is ever "not newer", none is merged.
            key, room = str(self._revision), str(number % rooms) if rooms else room
            state = self._state | {"location": int(room)} if rooms else self._state
            data = thing(number, time.monotonic(), room)
            item = Change("device", key, self._revision, "updated", data, state, (state,), number, "device")
            batch.append(Publication("device", key, self._revision, encode(item)))
        self._bus.publish(batch)

    def end(self) -> None:
        self._bus.close()


class Through(Publisher):
    """A program in the peers' environment that publishes with the peer's own library; it obeys lines of JSON."""

    def __init__(self, command: Sequence[str]) -> None:
        with machine.on(machine.LOAD_CORES):
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=environment.peers(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )

    def publish(self, numbers: Sequence[int], rooms: int = 0, room: str = ALL) -> None:
        self._ask({"numbers": list(numbers), "rooms": rooms, "room": room})

    def _ask(self, words: dict[str, Any]) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        if not self._process.stdout.readline():
            raise RuntimeError("the publisher ended")

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
