"""What waits for one connection: bounded in bytes, the newest state of an object in place of the older.

Replacing means: the older goes, the newer is appended at the end. In the older's place it would overtake what stands
between them, for example a heartbeat that tells a position.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from .errors import TooSlow
from .limits import DEFAULT_LIMITS


class Outbox:
    def __init__(self, limit: int = DEFAULT_LIMITS.outbox_bytes) -> None:
        self.limit = limit
        # Bytes that wait here, and those that the transport has and the kernel has not: both are memory.
        self.queued = 0
        self.in_flight = 0
        # A plain dict that loses its first entries is slow to find the first of the rest.
        self._frames: OrderedDict[Hashable, bytes] = OrderedDict()
        self._serial = 0

    def put(self, frame: bytes, key: Hashable | None = None) -> None:
        """Append, in place of an older frame with the same key. TooSlow when more would wait than the limit."""
        if key is None:
            self._serial += 1
            # Ints are no keys of anybody else.
            key = self._serial
        elif (older := self._frames.pop(key, None)) is not None:
            self.queued -= len(older)
        self._frames[key] = frame
        self.queued += len(frame)
        if self.queued + self.in_flight > self.limit:
            raise TooSlow

    def take(self, at_most: int) -> list[bytes]:
        """The frames to send now, at least one if there is any; more only while they have `at_most` bytes together.

        What is taken can no longer be replaced. Add what the kernel refuses to `in_flight`.
        """
        taken: list[bytes] = []
        size = 0
        while self._frames:
            key = next(iter(self._frames))
            frame = self._frames[key]
            if taken and size + len(frame) > at_most:
                break
            del self._frames[key]
            taken.append(frame)
            size += len(frame)
        self.queued -= size
        return taken

    def clear(self) -> None:
        self._frames.clear()
        self.queued = 0

    @property
    def size(self) -> int:
        return self.queued + self.in_flight

    @property
    def empty(self) -> bool:
        """Whether a frame that is sent now overtakes nothing."""
        return not self._frames and not self.in_flight
