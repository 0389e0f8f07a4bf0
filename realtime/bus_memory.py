"""The bus of one process, from the relay's thread to the server's loop: for the embedded default and for tests."""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from .bus import Bus, Fence, Limits, Message, Position, Publication, Renewed, memory_of, new_epoch

logger = logging.getLogger("realtime.bus")


@dataclass(slots=True)
class _Stream:
    epoch: str
    since: float
    generation: int = 0
    offset: int = 0
    top: int = 0
    size: int = 0
    last: float = 0.0
    history: deque[Message] = field(default_factory=deque)
    guard: dict[str, int] = field(default_factory=dict)
    older_guard: dict[str, int] = field(default_factory=dict)

    def turn(self, now: float, memory: float) -> None:
        """Forget revisions older than two generations: two dictionaries take turns, so nothing is searched."""
        turns = int((now - self.since) // memory)
        if turns > 0:
            self.older_guard = self.guard if turns == 1 else {}
            self.guard = {}
            self.generation += turns
            self.since += turns * memory

    def newest(self, key: str) -> int:
        return max(self.guard.get(key, 0), self.older_guard.get(key, 0))

    def fence(self) -> Fence:
        return Fence(self.epoch, self.generation, self.offset, self.top)


class _Follower:
    """Hands messages over to one loop: one call_soon_threadsafe for all that waits, however many were published."""

    def __init__(self, streams: Iterable[str], receive: Callable[[Message], None]) -> None:
        self.streams = frozenset(streams)
        self._receive = receive
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Message] = deque()
        self._called = False

    def put(self, messages: Iterable[Message]) -> None:
        """Called under the bus' lock, so the order of publication is the order here."""
        self._waiting.extend(m for m in messages if m.stream in self.streams)
        if self._waiting and not self._called:
            self._called = True
            try:
                self._loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:  # the loop was closed while its server goes down
                self._waiting.clear()

    def _deliver(self) -> None:
        self._called = False  # before taking: what is put from here on calls again
        while self._waiting:
            message = self._waiting.popleft()
            try:
                self._receive(message)
            except Exception:
                logger.exception("A follower of stream %s failed", message.stream)


class MemoryBus(Bus):
    """A new one is a new epoch of everything."""

    def __init__(self, limits: Limits | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits or Limits()
        self._clock = clock
        self._lock = threading.Lock()
        self._streams: dict[str, _Stream] = {}
        self._followers: list[_Follower] = []
        self._wakes: list[Callable[[], None]] = []

    def fences(self, streams: Iterable[str]) -> dict[str, Fence]:
        with self._lock:
            return {name: self._stream(name).fence() for name in streams}

    def publish(self, batch: Sequence[Publication], fences: MutableMapping[str, Fence] | None = None) -> list[bool]:
        published: list[bool] = []
        with self._lock:
            now = self._clock()
            messages: list[Message] = []
            streams = {name: self._stream(name) for name in dict.fromkeys(item.stream for item in batch)}
            stale = [name for name, stream in streams.items() if _fell(fences, name, stream.fence())]
            if fences is not None:
                fences.update({name: streams[name].fence() for name in stale})
            if stale:
                raise Renewed
            for item in batch:
                stream = streams[item.stream]
                if item.revision <= stream.newest(item.key):
                    published.append(False)
                    continue
                stream.offset += 1
                message = Message(item.stream, stream.epoch, stream.offset, item.body)
                stream.history.append(message)
                stream.size += len(item.body)
                stream.guard[item.key] = item.revision
                stream.top = max(stream.top, item.revision)
                stream.last = now
                messages.append(message)
                published.append(True)
            for stream in streams.values():
                while len(stream.history) > self._limits.changes or stream.size > self._limits.size:
                    stream.size -= len(stream.history.popleft().body)
            if fences is not None:
                fences.update({name: stream.fence() for name, stream in streams.items()})
            self._send(messages)
        return published

    async def tell(self, item: Publication) -> None:
        self.publish([item])

    def renew(self, streams: Iterable[str], *, backwards: bool = False) -> None:
        with self._lock:
            for name in streams:
                self._begin(name, 0 if backwards or name not in self._streams else self._streams[name].top)

    async def follow(
        self, streams: Sequence[str], receive: Callable[[Message], None], linked: Callable[[bool], None]
    ) -> None:
        follower = _Follower(streams, receive)
        with self._lock:
            self._followers.append(follower)
        try:
            linked(True)
            await asyncio.get_running_loop().create_future()  # for ever: memory loses no link
        finally:
            with self._lock:
                self._followers.remove(follower)

    async def heads(self, streams: Sequence[str]) -> dict[str, Position]:
        with self._lock:
            return {name: (self._stream(name).epoch, self._stream(name).offset) for name in streams}

    async def history(self, stream: str, after: int) -> tuple[str, list[Message]]:
        with self._lock:
            kept = self._stream(stream)
            first = max(0, len(kept.history) - (kept.offset - after)) if after < kept.offset else len(kept.history)
            return kept.epoch, list(islice(kept.history, first, None))

    def wake(self) -> None:
        for callback in tuple(self._wakes):
            try:
                callback()
            except Exception:
                logger.exception("A wake callback failed")

    def on_wake(self, callback: Callable[[], None]) -> Callable[[], None]:
        self._wakes.append(callback)
        return lambda: self._wakes.remove(callback)

    def close(self) -> None:
        self._wakes.clear()

    def _stream(self, name: str) -> _Stream:
        now = self._clock()
        stream = self._streams.get(name)
        if stream is None:
            stream = self._begin(name, 0)
        stream.turn(now, memory_of(name, self._limits))
        if stream.history and now - stream.last > self._limits.age:
            stream.history.clear()
            stream.size = 0
        return stream

    def _begin(self, name: str, top: int) -> _Stream:
        stream = self._streams[name] = _Stream(new_epoch(), self._clock(), top=top)
        self._send([Message(name, stream.epoch, 0, "")])
        return stream

    def _send(self, messages: Sequence[Message]) -> None:
        for follower in self._followers:
            follower.put(messages)


def _fell(fences: MutableMapping[str, Fence] | None, name: str, now: Fence) -> bool:
    """Who read before this epoch, or so long ago that newer revisions may be forgotten, must not publish."""
    if fences is None:
        return False
    fence = fences.get(name)
    return fence is None or fence.epoch != now.epoch or now.generation - fence.generation > 1
