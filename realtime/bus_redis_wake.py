"""Hints over Redis that something was committed. Losing one costs a relay's poll interval, so nothing here retries or
raises."""

import contextlib
import threading
import time
from collections.abc import Callable

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

# A hint later than this is worth nothing: the relay has polled meanwhile.
DEADLINE = 0.5
PING = 0.5
SILENCE = 1.5


class Waker:
    """Sends one hint; whoever calls it waits for Redis, at most `DEADLINE`."""

    def __init__(self, url: str, channel: str) -> None:
        self._client = _client(url)
        self._channel = channel
        # A client that is closed under whoever sends fails with whatever it stumbles over.
        self._lock = threading.Lock()
        self._closed = False

    def wake(self) -> None:
        with self._lock, contextlib.suppress(redis.RedisError, OSError):
            if not self._closed:
                self._client.publish(self._channel, "")

    def close(self) -> None:
        """Waits for a hint that is under way."""
        with self._lock:
            self._closed = True
            self._client.close()


def listen(url: str, channel: str, callback: Callable[[], None], closing: threading.Event) -> Callable[[], None]:
    """Call `callback` for each hint, from a thread of its own, until the returned undo is called or `closing` set."""
    undone = threading.Event()

    def stopped() -> bool:
        return undone.is_set() or closing.is_set()

    def hear() -> None:
        with contextlib.closing(_client(url)) as client, client.pubsub() as subscriber:  # type: ignore[no-untyped-call]
            subscriber.subscribe(channel)
            heard = asked = time.monotonic()
            while not stopped():
                message = subscriber.get_message(timeout=0.1)
                now = time.monotonic()
                if message is not None:
                    heard = now
                    if message["type"] == "message":
                        callback()
                if now - heard > SILENCE:  # redis-py would wait for ever for a server that stands still
                    return
                if now - asked > PING:
                    asked = now
                    subscriber.ping()

    def run() -> None:
        while not stopped():
            with contextlib.suppress(redis.RedisError, OSError):
                hear()
            undone.wait(0.5)

    threading.Thread(target=run, name="realtime-wakes", daemon=True).start()
    return undone.set


def _client(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url, socket_timeout=DEADLINE, socket_connect_timeout=DEADLINE, retry=Retry(NoBackoff(), 0), protocol=2
    )
