"""The bus on Redis 6.2 or later: Lua to publish, Redis' pub/sub to hear of it, a list per stream as history.

Publishing is synchronous, from the relay's thread, with deadlines and without retries: the relay retries from a fresh
read. Reading is on the server's loop, over links of our own (`bus_redis_link`), because redis-py's subscriber
resubscribes without a word and never notices a server that stands still.
"""

import asyncio
import hashlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from typing import Any

import hiredis
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from .bus import Bus, Fence, Limits, Message, Position, Publication, Renewed, memory_of, new_epoch
from .bus_redis_link import Address, Feed, Link
from .bus_redis_scripts import HEAD, HISTORY, PUBLISH, RENEW
from .bus_redis_seal import Seal
from .bus_redis_wake import Waker, listen
from .errors import BusUnavailable

logger = logging.getLogger("realtime.bus")

# A publication waits at most this long; no lock is held meanwhile, only the relay waits.
PUBLISH_DEADLINE = 2.0
# Upper bounds of one Lua call, which stops all of Redis while it runs: about 2 ms. Lua's own stack holds 8,000 values.
PORTION_ITEMS = 500
PORTION_SIZE = 1024 * 1024
# Between two attempts to reach Redis: at most half a second, spread so that servers do not come back in step.
RETRY = (0.1, 0.5)
# As Redis itself names the script.
PUBLISH_DIGEST = hashlib.sha1(PUBLISH.encode(), usedforsecurity=False).hexdigest()


class RedisBus(Bus):
    """Installations that share a Redis need prefixes of their own. All processes of one share its `secrets`: what is
    not sealed with one of them is skipped."""

    def __init__(
        self,
        url: str,
        *,
        prefix: str = "marshlight",
        limits: Limits | None = None,
        secrets: Sequence[str | bytes] = ("",),
    ) -> None:
        self._url = url
        self._address = Address.of(url)
        # Redis' pub/sub does not know database numbers, so the prefix does.
        self._prefix = f"{prefix}:{self._address.database}"
        self._limits = limits or Limits()
        self._seal = Seal(secrets)
        self._redis = redis.Redis.from_url(
            url,
            protocol=2,
            socket_timeout=PUBLISH_DEADLINE,
            socket_connect_timeout=1.0,
            retry=Retry(NoBackoff(), 0),
            health_check_interval=0,
            decode_responses=True,
        )
        self._digests: dict[str, str] = {}
        self._portion = PORTION_ITEMS
        self._link: Link | None = None
        self._opening = asyncio.Lock()
        self._strangers: set[str] = set()
        self._waker = Waker(url, f"{self._prefix}:wake")
        self._closing = threading.Event()

    # -- publishing --------------------------------------------------------------------------------------------------

    def fences(self, streams: Iterable[str]) -> dict[str, Fence]:
        return {name: _fence(self._run(HEAD, name)) for name in streams}

    def publish(self, batch: Sequence[Publication], fences: MutableMapping[str, Fence] | None = None) -> list[bool]:
        deadline = time.monotonic() + PUBLISH_DEADLINE
        published = [False] * len(batch)
        renewed = False
        for stream, places in _by_stream(batch):
            for portion in self._portions(batch, places):
                if time.monotonic() > deadline:
                    raise BusUnavailable
                known = None if fences is None else fences.get(stream, Fence("", 0, 0, 0))
                try:
                    head, flags = self._run(PUBLISH, stream, *self._words(batch, portion, known))
                except BusUnavailable as error:
                    if isinstance(error.__cause__, redis.TimeoutError):
                        # What is slow for so many may be done for half of them; otherwise the same batch times out for
                        # ever.
                        self._portion = max(1, self._portion // 2)
                    raise
                self._portion = min(PORTION_ITEMS, self._portion * 2)
                if fences is not None:
                    fences[stream] = _fence(head)
                if flags is None:
                    renewed = True
                    break
                for place, flag in zip(portion, flags, strict=True):
                    published[place] = bool(flag)
        if renewed:
            raise Renewed
        return published

    async def tell(self, item: Publication) -> None:
        command = self._words_of(PUBLISH, item.stream, self.identity, self._words([item], [0], None))
        link = await self._commands()
        try:
            try:
                await link.ask("EVALSHA", PUBLISH_DIGEST, *command[1:])
            except hiredis.ReplyError as error:
                if not str(error).startswith("NOSCRIPT"):
                    raise
                await link.ask("EVAL", *command)
        except hiredis.ReplyError as error:
            raise BusUnavailable from error

    def renew(self, streams: Iterable[str], *, backwards: bool = False) -> None:
        for name in streams:
            self._run(RENEW, name, "0" if backwards else "")

    # -- reading -----------------------------------------------------------------------------------------------------

    async def follow(
        self, streams: Sequence[str], receive: Callable[[Message], None], linked: Callable[[bool], None]
    ) -> None:
        channels = {self._feed(name).encode(): name for name in streams}
        complained = False

        def push(channel: bytes, raw: bytes) -> None:
            if (message := self._message(channels[channel], raw)) is not None:
                try:
                    receive(message)
                except Exception:
                    logger.exception("A follower of stream %s failed", message.stream)

        while True:
            feed: Feed | None = None
            live = False
            try:
                feed = await Feed.open(self._address, push)
                await feed.subscribe([self._feed(name) for name in streams])
                live, complained = True, False
                linked(True)
                await asyncio.shield(feed.lost)
                logger.warning("The link to Redis was lost (%s); connecting again", feed.reason)
            except BusUnavailable as error:
                if not complained:
                    complained = True
                    logger.warning("Redis cannot be followed (%s); trying again", error.__cause__ or error)
            finally:
                if feed is not None:
                    feed.abort("no longer followed")
            if live:
                linked(False)
            await asyncio.sleep(random.uniform(*RETRY))

    async def heads(self, streams: Sequence[str]) -> dict[str, Position]:
        answers = await self._ask_all([self._words_of(HEAD, name, "", ()) for name in streams])
        return {name: (_text(answer[0]), int(answer[2])) for name, answer in zip(streams, answers, strict=True)}

    async def history(self, stream: str, after: int) -> tuple[str, list[Message]]:
        (answer,) = await self._ask_all([self._words_of(HISTORY, stream, "", (after,))])
        epoch, head, entries = _text(answer[0]), int(answer[1]), answer[2]
        kept: dict[int, str] = {}
        for entry in entries:
            try:
                offset, sealed = entry.split(b" ", 1)
                kept[int(offset)] = self._seal.opened(stream, sealed)
            except ValueError:
                self._complain(stream, len(entry))
        messages: list[Message] = []
        # From the head downwards, so that what is returned has no gap whatever a script that died may have left.
        for offset in range(head, after, -1):
            if offset not in kept:
                break
            messages.append(Message(stream, epoch, offset, kept[offset]))
        return epoch, messages[::-1]

    async def unlink(self) -> None:
        if self._link is not None and self._link.usable():
            self._link.abort("the bus is closed")
            await asyncio.sleep(0)  # the loop closes the socket in its next turn
        self._link = None

    # -- hints and health --------------------------------------------------------------------------------------------

    def wake(self) -> None:
        self._waker.wake()

    def on_wake(self, callback: Callable[[], None]) -> Callable[[], None]:
        return listen(self._url, f"{self._prefix}:wake", callback, self._closing)

    def problems(self) -> list[str]:
        try:
            memory: Any = self._redis.info("memory")
        except (redis.RedisError, OSError):
            return ["Redis does not answer."]
        if memory.get("maxmemory") and memory.get("maxmemory_policy") != "noeviction":
            policy = memory["maxmemory_policy"]
            return [
                f"Redis evicts keys when its memory is full (maxmemory-policy {policy}), and every evicted key makes "
                "all clients of a stream begin anew. Set maxmemory-policy noeviction."
            ]
        return []

    def close(self) -> None:
        self._closing.set()
        self._waker.close()
        self._redis.close()

    # -- private: commands ---------------------------------------------------------------------------------------------

    def _keys(self, stream: str) -> list[str]:
        base = f"{self._prefix}:{{{stream}}}"
        return [f"{base}:meta", f"{base}:history", f"{base}:seen0", f"{base}:seen1"]

    def _feed(self, stream: str) -> str:
        return f"{self._prefix}:{stream}"

    def _words_of(self, script: str, stream: str, identity: str, more: Iterable[str | int]) -> tuple[Any, ...]:
        keys = self._keys(stream)
        memory = f"{memory_of(stream, self._limits):.3f}"
        return (script, len(keys), *keys, self._feed(stream), identity, new_epoch(), memory, *more)

    def _words(self, batch: Sequence[Publication], places: Sequence[int], fence: Fence | None) -> list[str | int]:
        words: list[str | int] = ["-", 0, 0] if fence is None else [fence.epoch, fence.generation, fence.offset]
        words += [self._limits.changes, self._limits.size, int(self._limits.age * 1000)]
        for place in places:
            item = batch[place]
            words += [item.key, item.revision, self._seal.sealed(item.stream, item.body)]
        return words

    def _run(self, script: str, stream: str, *more: str | int) -> Any:
        """Run a script from a publisher's thread. Raises BusUnavailable."""
        words = self._words_of(script, stream, self.identity, more)[1:]
        try:
            try:
                return self._redis.evalsha(self._digest(script), *words)
            except redis.exceptions.NoScriptError:
                return self._redis.eval(script, *words)
        except (redis.RedisError, OSError) as error:
            raise BusUnavailable from error

    def _digest(self, script: str) -> str:
        if script not in self._digests:
            self._digests[script] = str(self._redis.script_load(script))
        return self._digests[script]

    def _portions(self, batch: Sequence[Publication], places: Sequence[int]) -> Iterator[list[int]]:
        portion: list[int] = []
        size = 0
        for place in places:
            length = len(batch[place].body)
            if portion and (len(portion) >= self._portion or size + length > PORTION_SIZE):
                yield portion
                portion, size = [], 0
            portion.append(place)
            size += length
        if portion:
            yield portion

    async def _ask_all(self, commands: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Pipelined over the command link, which opens when it is needed. Raises BusUnavailable.

        EVAL with its 2 KB of text, not EVALSHA: once a second it costs nothing, and Redis may forget scripts at any
        time.
        """
        link = await self._commands()
        try:
            return await asyncio.gather(*[link.ask("EVAL", *command) for command in commands])
        except hiredis.ReplyError as error:
            raise BusUnavailable from error

    async def _commands(self) -> Link:
        """The command link. Raises BusUnavailable."""
        async with self._opening:
            if self._link is None or not self._link.usable():
                self._link = await Link.open(self._address)
            return self._link

    # -- private: messages ---------------------------------------------------------------------------------------------

    def _message(self, stream: str, raw: bytes) -> Message | None:
        """Anybody may publish on a channel of Redis: what is not ours is told once and skipped, and offsets tell what
        is missing."""
        try:
            epoch, offset, sealed = raw.split(b" ", 2)
            number = int(offset)
            # A new epoch is announced by Redis itself, which has no secret. It says only: look.
            body = self._seal.opened(stream, sealed) if sealed or number else ""
            return Message(stream, epoch.decode("ascii"), number, body)
        except ValueError:
            self._complain(stream, len(raw))
            return None

    def _complain(self, stream: str, size: int) -> None:
        if stream not in self._strangers:
            self._strangers.add(stream)
            logger.warning(
                "Somebody else publishes on Redis' channel %s, or with another SECRET_KEY: %d bytes skipped",
                self._feed(stream),
                size,
            )


def _by_stream(batch: Sequence[Publication]) -> list[tuple[str, list[int]]]:
    """The places of each stream's items, streams in the order of their first item."""
    found: dict[str, list[int]] = {}
    for place, item in enumerate(batch):
        found.setdefault(item.stream, []).append(place)
    return list(found.items())


def _fence(answer: Sequence[Any]) -> Fence:
    return Fence(_text(answer[0]), int(answer[1]), int(answer[2]), int(answer[3]))


def _text(word: bytes | str) -> str:
    return word.decode() if isinstance(word, bytes) else word
