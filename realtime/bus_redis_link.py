"""One connection to Redis on the asyncio loop: a parser, a queue of answers, and a pulse.

TCP takes minutes to notice a paused server or a pulled cable, so every link sends its own ping and counts as lost when
nothing at all was heard for `PING` + `DEADLINE` seconds. Whoever waits for an answer of a lost link gets
BusUnavailable.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self, cast

import hiredis
from redis.connection import SSLConnection, parse_url

from .errors import BusUnavailable

PING = 0.5
DEADLINE = 1.0

Word = str | bytes | int


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is and who we are there, from a URL as redis-py understands it."""

    host: str
    port: int
    path: str | None
    database: int
    username: str | None
    password: str | None
    tls: ssl.SSLContext | None

    @classmethod
    def of(cls, url: str) -> Self:
        parts = cast(dict[str, Any], parse_url(url))  # type: ignore[no-untyped-call]
        return cls(
            host=parts.get("host", "localhost"),
            port=parts.get("port", 6379),
            path=parts.get("path"),
            database=parts.get("db", 0),
            username=parts.get("username"),
            password=parts.get("password"),
            tls=_tls(parts) if parts.get("connection_class") is SSLConnection else None,
        )

    def introduction(self) -> list[tuple[Word, ...]]:
        """The commands that make a fresh connection ours."""
        commands: list[tuple[Word, ...]] = []
        if self.password is not None:
            commands.append(("AUTH", *([self.username] if self.username else []), self.password))
        if self.database:
            commands.append(("SELECT", self.database))
        return commands


def _tls(parts: dict[str, Any]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=parts.get("ssl_ca_certs"))
    if parts.get("ssl_cert_reqs") == "none":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if parts.get("ssl_certfile"):
        context.load_cert_chain(parts["ssl_certfile"], parts.get("ssl_keyfile"))
    return context


def _pack(*words: Word) -> bytes:
    packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type] # its stub knows tuples of one word only
    return packed


class Link(asyncio.Protocol):
    """A connection for commands: `ask` returns a future per command, answered in order.

    `lost` is done when the link is no longer to be used, whatever the reason.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reader = hiredis.Reader()
        self._answers: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport | None = None
        self._pulse: asyncio.TimerHandle | None = None
        self._asked_at: float | None = None
        self.reason = ""
        self.lost: asyncio.Future[None] = self._loop.create_future()

    @classmethod
    async def open(cls, address: Address, *arguments: Any) -> Self:
        """A link that has already answered. Raises BusUnavailable within `DEADLINE`."""
        link = cls(*arguments)
        try:
            async with asyncio.timeout(DEADLINE):
                if address.path is not None:
                    await link._loop.create_unix_connection(lambda: link, address.path)
                else:
                    await link._loop.create_connection(lambda: link, address.host, address.port, ssl=address.tls)
                await asyncio.gather(*[link.ask(*command) for command in address.introduction()], link.ask("PING"))
        except (OSError, TimeoutError, hiredis.ReplyError, hiredis.ProtocolError) as error:
            link.abort(str(error) or "no answer")
            raise BusUnavailable from error
        except BaseException:
            link.abort("given up")
            raise
        return link

    def ask(self, *words: Word) -> asyncio.Future[Any]:
        """Its result is the answer; hiredis.ReplyError or BusUnavailable otherwise."""
        answer: asyncio.Future[Any] = self._loop.create_future()
        if self.lost.done() or self._transport is None:
            answer.set_exception(BusUnavailable())
        else:
            self._answers.append(answer)
            self._transport.write(_pack(*words))
        return answer

    def usable(self) -> bool:
        return not self.lost.done() and self._loop is asyncio.get_running_loop()

    def abort(self, reason: str) -> None:
        """Stop using this link now, without waiting for TCP."""
        if self._pulse is not None:
            self._pulse.cancel()
        if self._transport is not None:
            self._transport.abort()
        if not self.lost.done():
            self.reason = reason
            self.lost.set_result(None)
        while self._answers:
            answer = self._answers.popleft()
            if not answer.done():
                answer.set_exception(BusUnavailable())
                answer.exception()  # nobody may be waiting for it any more

    # -- asyncio.Protocol ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._pulse = self._loop.call_later(PING, self._beat)

    def connection_lost(self, error: Exception | None) -> None:
        self.abort(str(error or "closed by Redis"))

    def data_received(self, data: bytes) -> None:
        self._asked_at = None
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not False:
                self.take(reply)
        except hiredis.ProtocolError as error:
            self.abort(str(error))

    # -- for subclasses ------------------------------------------------------------------------------------------------

    def take(self, reply: Any) -> None:
        if not self._answers:
            self.abort("an answer that nobody asked for")
            return
        answer = self._answers.popleft()
        if answer.done():
            return
        if isinstance(reply, hiredis.ReplyError):
            answer.set_exception(reply)
        else:
            answer.set_result(reply)

    def ping(self) -> None:
        # Its result is not looked at: any byte received is a sign of life.
        self.ask("PING").add_done_callback(lambda answer: answer.exception())

    # -- private -------------------------------------------------------------------------------------------------------

    def _beat(self) -> None:
        # A loop that stood still runs what it received before its timers, so a late timer is not taken for silence.
        now = self._loop.time()
        if self._asked_at is not None and now - self._asked_at >= DEADLINE - 0.05:
            self.abort(f"no answer within {DEADLINE:g} s")
            return
        if self._asked_at is None:
            self._asked_at = now
            self.ping()
        self._pulse = self._loop.call_later(PING, self._beat)


class Feed(Link):
    """A connection that follows channels: each message goes to `push(channel, body)` as it is parsed."""

    def __init__(self, push: Callable[[bytes, bytes], None]) -> None:
        super().__init__()
        self._push = push
        self._subscribed = False
        self._missing = 0
        self._confirmed: asyncio.Future[None] = self._loop.create_future()

    async def subscribe(self, channels: Sequence[str]) -> None:
        """Returns when Redis has confirmed every channel. Raises BusUnavailable."""
        assert self._transport is not None
        self._subscribed = True
        self._missing = len(channels)
        self._transport.write(_pack("SUBSCRIBE", *channels))
        await asyncio.wait((self._confirmed, self.lost), return_when=asyncio.FIRST_COMPLETED, timeout=DEADLINE)
        if not self._confirmed.done():
            self.abort("the subscription was not confirmed")
            raise BusUnavailable

    def take(self, reply: Any) -> None:
        if not self._subscribed:
            super().take(reply)
            return
        kind = reply[0] if isinstance(reply, list) and len(reply) >= 2 else None
        if kind == b"message":
            self._push(reply[1], reply[2])
        elif kind == b"subscribe":
            self._missing -= 1
            if not self._missing and not self._confirmed.done():
                self._confirmed.set_result(None)
        elif kind != b"pong":
            self.abort(f"unexpected answer {reply!r:.100}")

    def ping(self) -> None:
        if not self._subscribed:
            super().ping()
        elif self._transport is not None:
            self._transport.write(_pack("PING"))
