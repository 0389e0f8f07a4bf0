"""Who publishes the changes: on a Redis channel, or through the library that the server expects."""

from __future__ import annotations

import json
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import redis

from benchmarks import machine
from benchmarks.dialects import ALL, message
from benchmarks.place import ROOT


class Publisher(ABC):
    @abstractmethod
    def publish(self, numbers: Sequence[int], rooms: int = 0, room: str = ALL) -> None:
        """Publish these changes to `room` at once; with `rooms` each to the room of its number modulo `rooms`."""

    @abstractmethod
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

    def end(self) -> None:
        self._redis.close()


class Through(Publisher):
    """A program that publishes with the server's own library; it obeys lines of JSON."""

    def __init__(self, command: Sequence[str], env: dict[str, str]) -> None:
        with machine.on(machine.LOAD_CORES):
            self._process = subprocess.Popen(
                command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
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
