"""Lines that are cut, held, slow or late: to the bus, to the database, to clients."""

from __future__ import annotations

from tests.promise.faults import ON_POSTGRESQL, WITH_REDIS, Fault, fault
from tests.promise.proxy import Proxy

WAYS = ("cut", "reset", "vanished", "held", "late", "slow")
# What one piece of data is late, and bytes a second of a slow line.
LATE_SECONDS = 0.15
SLOW = 30_000


class OfALine(Fault):
    lasts = (1.0, 2.5)
    ways: tuple[str, ...] = WAYS

    def lines(self) -> list[Proxy]:
        raise NotImplementedError

    def begin(self) -> None:
        way = self.variant(*self.ways)
        self.broken = self.lines()
        self.detail += f", {len(self.broken)} of them"
        for line in self.broken:
            match way:
                case "cut" | "reset" | "vanished" | "left":
                    line.close()
                    {"cut": line.cut, "reset": line.reset, "vanished": line.vanish, "left": line.leave}[way]()
                case "held":
                    line.hold()
                case "late":
                    line.delay = LATE_SECONDS
                case "slow":
                    line.rate = SLOW

    def end(self) -> None:
        for line in self.broken:
            line.reopen()
            line.release()
            line.delay, line.rate = 0.0, 0

    def some(self, lines: list[Proxy]) -> list[Proxy]:
        """One of them, or all."""
        return lines if self.chance.random() < 0.3 else [self.chance.choice(lines)]


@fault("line to Redis")
class ToRedis(OfALine):
    pairs = WITH_REDIS

    def lines(self) -> list[Proxy]:
        return self.some([line.redis for line in self.site.lines if line.redis])


@fault("line to the database")
class ToDatabase(OfALine):
    """A driver learns of a network that is gone only from the system, after `tcp_user_timeout`; here it does when the
    line is mended."""

    pairs = ON_POSTGRESQL

    def end(self) -> None:
        for line in self.broken:
            line.give_up()
        super().end()

    def lines(self) -> list[Proxy]:
        return self.some([line.database for line in self.site.lines if line.database])


@fault("line to clients")
class ToClients(OfALine):
    """Longer than what a client needs to notice, now and then."""

    lasts = (0.5, 3.0)
    ways = (*WAYS, "left")

    def lines(self) -> list[Proxy]:
        return self.some(self.site.doors)
