"""What a Redis can do to those who trust it."""

from __future__ import annotations

import secrets
import signal
from functools import cached_property
from typing import Any

import redis

from tests.promise.faults import WITH_REDIS, Fault, fault


class OfRedis(Fault):
    pairs = WITH_REDIS

    @cached_property
    def client(self) -> Any:
        return redis.Redis(port=self.site.redis.port, socket_timeout=10)

    def tidy(self) -> None:
        self.client.close()


@fault("Redis ends and comes back")
class Restarted(OfRedis):
    lasts = (0.3, 2.5)

    def begin(self) -> None:
        how = self.variant("killed", "told to end", "killed, comes back with what it knew a while ago")
        (self.site.redis.directory / "dump.rdb").unlink(missing_ok=True)
        if self.number % 3 == 2:
            self.client.save()
        self.site.redis.stop(signal.SIGTERM if how == "told to end" else signal.SIGKILL)

    def end(self) -> None:
        self.site.redis.start()


@fault("Redis stands still")
class Stopped(OfRedis):
    lasts = (0.5, 3.5)

    def begin(self) -> None:
        self.site.redis.process.send_signal(signal.SIGSTOP)

    def end(self) -> None:
        self.site.redis.process.send_signal(signal.SIGCONT)


@fault("Redis forgets everything")
class Flushed(OfRedis):
    lasts = (0.0, 0.1)

    def begin(self) -> None:
        self.detail = "twice, in the middle of it all"
        self.client.flushall()

    def end(self) -> None:
        self.client.flushall()


@fault("Redis throws its subscribers out")
class Deaf(OfRedis):
    lasts = (0.0, 0.3)

    def begin(self) -> None:
        if self.variant("CLIENT KILL TYPE pubsub", "a message of 33 MB").startswith("CLIENT"):
            self.client.client_kill_filter(_type="pubsub")
        else:
            self.client.publish("marshlight:0:device", b"x" * 33 * 1024 * 1024)

    def end(self) -> None:
        self.client.client_kill_filter(_type="pubsub")


@fault("Redis is full")
class Full(OfRedis):
    lasts = (0.5, 2.0)

    def begin(self) -> None:
        self.client.config_set("maxmemory-policy", "noeviction")
        self.client.config_set("maxmemory", 1)

    def end(self) -> None:
        self.client.config_set("maxmemory", 0)


@fault("a stranger on the bus")
class Strangers(OfRedis):
    """Whoever may publish there may lie; what makes no sense must not harm."""

    lasts = (0.1, 0.5)

    def begin(self) -> None:
        how = self.variant(
            "noise", "the next offset, without sense", "an offset far ahead", "another epoch", "an old offset"
        )
        for stream in ("device", "location", "!control"):
            feed = f"marshlight:0:{stream}"
            epoch, offset = self._head(stream)
            if how == "noise":
                for _ in range(3):
                    self.client.publish(feed, secrets.token_bytes(40))
            elif how == "the next offset, without sense":
                self.client.publish(feed, f"{epoch} {offset + 1} {{not JSON")
            elif how == "an offset far ahead":
                self.client.publish(feed, f"{epoch} {offset + 1000} {{}}")
            elif how == "another epoch":
                self.client.publish(feed, f"{secrets.token_urlsafe(9)} 1 {{}}")
            else:
                self.client.publish(feed, f"{epoch} {max(1, offset - 1)} {{}}")

    def end(self) -> None:
        pass

    def _head(self, stream: str) -> tuple[str, int]:
        meta = self.client.hgetall(f"marshlight:0:{{{stream}}}:meta")
        return meta.get(b"epoch", b"none").decode(), int(meta.get(b"offset", 0))
