"""The bus carries published changes from the relay to every server process: the interface with its guarantees.

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

import secrets
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass

from .errors import BusUnavailable

Position = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Publication:
    """What the relay asks the bus to publish: `revision` grows with every committed write of the object `key`."""

    stream: str
    key: str
    revision: int
    body: str


# Not frozen, though nobody changes one: to make a frozen one takes several times as long.
@dataclass(slots=True)
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
    """See the module for the guarantees. Publishing is synchronous, from any thread; reading and `tell` are on one
    asyncio loop."""

    # -- publishing --------------------------------------------------------------------------------------------------

    #: Names the database whose changes are published; a publisher sets it. A stream that was published from another one
    #: gets a new epoch at its next `fences` or `publish`. Empty: this process only reads, and does not judge.
    identity: str = ""

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
    async def tell(self, item: Publication) -> None:
        """As `publish` of this alone without fences, on the loop that reads. Raises BusUnavailable; the item may have
        been published nevertheless."""

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
        """Tell relays of all processes that something was committed. A hint: never raises, may be lost, may take half a
        second of whoever asks, who is the one thread of `realtime.wake`."""

    @abstractmethod
    def on_wake(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` (from another thread; it must not wait) after each `wake` anywhere. Returns its undo."""

    def problems(self) -> list[str]:
        """What an operator must change, as sentences. May ask the bus, so not on the loop."""
        return []

    @abstractmethod
    def close(self) -> None:
        """Give the rest back, after `unlink`; the bus is not used afterwards."""


# -- the bus of this process -----------------------------------------------------------------------------------------

_bus: Bus | None = None
_making = threading.Lock()


def make_bus(identity: str = "") -> Bus:
    """The bus that the settings choose: Redis with `REDIS_URL`, else memory."""
    from django.conf import settings as django_settings

    from .settings import limits, settings

    kept = limits()
    remembered = Limits(
        changes=kept.history_changes,
        size=kept.history_bytes,
        age=kept.history_seconds,
        memory=settings.JOURNAL_SECONDS,
    )
    url = getattr(django_settings, "REDIS_URL", "")
    bus: Bus
    if url:
        from .bus_redis import RedisBus

        secrets = [django_settings.SECRET_KEY, *django_settings.SECRET_KEY_FALLBACKS]
        bus = RedisBus(url, prefix=settings.BUS_PREFIX, limits=remembered, secrets=secrets)
    else:
        from .bus_memory import MemoryBus

        bus = MemoryBus(remembered)
    bus.identity = identity
    return bus


def get_bus() -> Bus:
    """The one bus of this process, made when it is first asked for."""
    global _bus
    with _making:
        if _bus is None:
            _bus = make_bus()
        return _bus


def forget_bus() -> None:
    """Close it; whoever asks next gets a new one, chosen by the settings as they are then."""
    global _bus
    with _making:
        if _bus is not None:
            _bus.close()
        _bus = None


def new_epoch() -> str:
    """Random and short, because it travels in every position."""
    return secrets.token_urlsafe(9)


def memory_of(stream: str, limits: Limits) -> float:
    """Streams of no model begin with "!"."""
    return limits.event_memory if stream.startswith("!") else limits.memory
