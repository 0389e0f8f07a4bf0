"""The bus carries published changes from the relay to every server process: the interface with its guarantees, and the
one in memory.

What every bus promises:

* **One atomic step per stream.** A publication is compared with the newest revision seen of its object, added to the
  history, counted (offset + 1) and sent, or nothing of this happens.
* **Never old over new.** A revision not above the newest seen of that object is refused, which counts as acknowledged:
  what is newer went out already. That memory lives as long as the epoch and at least ``Limits.memory`` seconds; a
  publisher that read the database before that says so by its fence and is told to read again (`Renewed`).
* **Gapless or a new epoch.** Offsets of one epoch grow by one. Whatever the bus cannot continue (its own loss, a
  restart of Redis, another database behind it) gets a new epoch, announced as ``Message(stream, epoch, 0, "")`` before
  its first change.
* **Only a hint for readers.** Messages may be lost between bus and reader. `heads` says where a stream is, `history`
  what was missed.
"""

import asyncio
import logging
import secrets
import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from .errors import BusUnavailable

logger = logging.getLogger("realtime.bus")

Position = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Publication:
    """What the relay asks the bus to publish: `revision` grows with every committed write of the object `key`."""

    stream: str
    key: str
    revision: int
    body: str


@dataclass(frozen=True, slots=True)
class Message:
    """What a reader receives. Offset 0 with an empty body announces a new epoch: nothing older can be continued."""

    stream: str
    epoch: str
    offset: int
    body: str


@dataclass(frozen=True, slots=True)
class Fence:
    """Where a stream stood before its publisher read the database: epoch, generation of the bus' memory of revisions,
    offset, and the highest revision published (one above the database's own counter means the database went back)."""

    epoch: str
    generation: int
    offset: int
    top: int


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a bus remembers of one stream."""

    # A client 5 minutes away on a stream of 30 changes a second still continues.
    changes: int = 10_000
    # Bytes. Redis disconnects readers that are 32 MiB behind, so more could not be read at once.
    size: int = 16 * 1024 * 1024
    # Seconds after the last change. Whoever comes later takes a snapshot, which is cheaper than a long history.
    age: float = 300.0
    # Seconds a revision is remembered: as long as the journal keeps published rows.
    memory: float = 900.0
    # The same for events, whose keys are never used twice: only repeated attempts must be refused.
    event_memory: float = 60.0


class Renewed(BusUnavailable):
    """The stream began anew after the database was read: read again."""


class Bus(ABC):
    """See the module for the guarantees. Publishing is synchronous, from any thread; reading is on one asyncio loop."""

    # -- publishing --------------------------------------------------------------------------------------------------

    @abstractmethod
    def fences(self, streams: Iterable[str]) -> dict[str, Fence]:
        """Take these before reading the database and give them to `publish`. Judges the epochs, so a relay calls it at
        its start."""

    @abstractmethod
    def publish(self, batch: Sequence[Publication], fences: MutableMapping[str, Fence] | None = None) -> list[bool]:
        """Publish one stream after the other, in the order of their first items; one atomic step per stream.

        Returns one bool per item: published, or refused as not newer; both are acknowledgements. `fences` belongs to
        one publisher and is brought up to date here. Raises `Renewed` (fences brought up to date too: read again) or
        `BusUnavailable` within about 2 s; then parts of the batch may have been published, and publishing again is
        harmless.
        """

    @abstractmethod
    def renew(self, streams: Iterable[str], *, backwards: bool = False) -> None:
        """Start new epochs: history gone, followers told at once. `backwards`: the database went back, forget its
        highest revision."""

    # -- reading -----------------------------------------------------------------------------------------------------

    @abstractmethod
    async def follow(
        self, streams: Sequence[str], receive: Callable[[Message], None], linked: Callable[[bool], None]
    ) -> None:
        """Receive until cancelled; while linked in the order of publication, over all streams.

        `linked(True)` after each (re)subscription: compare heads now. `linked(False)`: messages may be missed from
        here.
        """

    @abstractmethod
    async def heads(self, streams: Sequence[str]) -> dict[str, Position]:
        """Epoch and newest offset of each stream; a stream never heard of gets an epoch. Raises BusUnavailable."""

    @abstractmethod
    async def history(self, stream: str, after: int) -> tuple[str, list[Message]]:
        """The epoch and all kept messages with a larger offset, gapless; they may begin later than `after` + 1. Raises
        BusUnavailable."""

    async def unlink(self) -> None:  # noqa: B027 - a bus without connections has nothing to give back
        """Give back what belongs to the running loop: the last thing that a reader does before its loop ends."""

    # -- hints and health --------------------------------------------------------------------------------------------

    @abstractmethod
    def wake(self) -> None:
        """Tell relays of all processes that something was committed. A hint: never waits, never raises, may be lost."""

    @abstractmethod
    def on_wake(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` (from another thread; it must not wait) after each `wake` anywhere. Returns its undo."""

    def problems(self) -> list[str]:
        """What an operator must change, as sentences. May ask the bus, so not on the loop."""
        return []

    @abstractmethod
    def close(self) -> None:
        """Give the rest back, after `unlink`; the bus is not used afterwards."""


def new_epoch() -> str:
    """Random and short, because it travels in every position."""
    return secrets.token_urlsafe(9)


def memory_of(stream: str, limits: Limits) -> float:
    """Streams of no model begin with "!"."""
    return limits.event_memory if stream.startswith("!") else limits.memory


# -- in memory -------------------------------------------------------------------------------------------------------


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
    """The bus of one process: for the embedded default and for tests. A new process is a new epoch."""

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
