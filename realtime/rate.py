"""How fast one client may call: a token bucket that goes into debt instead of refusing.

Whoever calls too fast is read later, so an honest client is only slowed down. One that keeps its bucket empty for
`flood_seconds` does not listen.
"""

from __future__ import annotations

from collections.abc import Callable


class Bucket:
    __slots__ = ("_at", "_burst", "_clock", "_flood_seconds", "_since", "_tokens", "per_second")

    def __init__(self, per_second: float, burst: float, flood_seconds: float, clock: Callable[[], float]) -> None:
        self.per_second = per_second
        self._burst = burst
        self._flood_seconds = flood_seconds
        self._clock = clock
        self._tokens = burst
        self._at = clock()
        # Since when calls have been coming before their time; None: they are not.
        self._since: float | None = None

    def take(self, count: int = 1) -> float:
        """So many calls came: for how many seconds nothing more should be read."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.per_second)
        self._at = now
        # A client that is read only when its bucket is at nought again floods if it has the next call ready then.
        if self._tokens >= 1:
            self._since = None
        self._tokens -= count
        if self._tokens < 0 and self._since is None:
            self._since = now
        return max(0.0, -self._tokens / self.per_second)

    @property
    def flooding(self) -> bool:
        return self._since is not None and self._at - self._since >= self._flood_seconds
