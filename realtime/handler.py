"""From an HTTP request to a live connection: who asks, from where, the handshake, and then frames.

A page cannot read why a handshake was refused. So only what no honest client does (a foreign Host or Origin, a cookie
without Origin) is HTTP 403; a missing or ended identity is let in, told so in an error frame, and closed with 4001.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import itertools
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from django.conf import settings as django_settings
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError, RequestHandler

from realtime import sessions
from realtime.connection import Connection
from realtime.errors import CloseCode, LoginRequired
from realtime.frames import Transport
from realtime.origin import host_allowed, origin_allowed
from realtime.settings import settings
from realtime.shell import Shell, believed
from realtime.transport import Events, Socket, taken_over

if TYPE_CHECKING:
    from realtime.process import Process

logger = logging.getLogger("realtime.handler")

# RFC 6455, 1.3.
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

# For whatever this server says itself; Django's pages bring their own.
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-store",
}

_serial = itertools.count(1)


class Handler(RequestHandler):
    """What every answer of this server has: a checked Host, security headers, no text from inside."""

    def initialize(self, process: Process) -> None:
        self.process = process

    def set_default_headers(self) -> None:
        for name, value in HEADERS.items():
            self.set_header(name, value)
        self.clear_header("Server")
        if django_settings.SECURE_HSTS_SECONDS and self.request.protocol == "https":
            self.set_header("Strict-Transport-Security", f"max-age={django_settings.SECURE_HSTS_SECONDS}")

    def prepare(self) -> None:
        if not host_allowed(self.request.host):
            self.refuse(403, "This host is not served here.")

    def refuse(self, status: int, text: str, **headers: str) -> None:
        self.set_status(status)
        for name, value in headers.items():
            self.set_header(name.replace("_", "-"), value)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(text + "\n")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.refuse(status_code, self._reason)

    def log_exception(self, *error: Any) -> None:
        """Without the request, whose address and headers Tornado would write down."""
        # Who leaves while it is being answered (a page that is closed, a phone out of reach) is nobody's fault.
        if not isinstance(error[1], HTTPError | StreamClosedError):
            logger.error("%s %s failed", self.request.method, self.request.path, exc_info=error)


class SocketHandler(Handler):
    """`/ws`. Subclasses speak the same protocol in another wrapping."""

    def initialize(self, process: Process, transport: Transport) -> None:  # type: ignore[override]
        super().initialize(process)
        self.transport = transport

    # Before the handshake

    def prepare(self) -> None:
        super().prepare()
        if self._finished:
            return
        origin = self.request.headers.get("Origin")
        if origin is not None and not origin_allowed(origin):
            self.refuse(403, "This origin is not served here.")
        elif origin is None and self.cookie and not self.bearer:
            # Every browser sends an Origin; a program has a token.
            self.refuse(403, "A cookie needs an Origin.")

    @property
    def bearer(self) -> str:
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        return token.strip() if scheme.lower() == "bearer" else ""

    @property
    def cookie(self) -> str:
        return self.get_cookie(django_settings.SESSION_COOKIE_NAME) or ""

    async def get(self, *args: str) -> None:
        refusal = handshake_fault(self.request.headers)
        if refusal is not None:
            status, text = refusal
            headers = {"Sec_WebSocket_Version": "13"} if status == 426 else {}
            self.refuse(status, text, **headers)
            return
        self.judgements, self.began = self.process.clients.judgements, self.process.clock()
        try:
            identity = await self._identify()
        except Exception as error:
            # Without the database nobody can be told from anybody; the client comes back by itself.
            logger.warning("could not identify a client: %s", type(error).__name__)
            self.refuse(503, "Try again.", Retry_After="1")
            return
        key = self.request.headers["Sec-WebSocket-Key"].encode()
        self.set_status(101)
        for name in (*HEADERS, "Content-Type"):
            self.clear_header(name)
        self.set_header("Upgrade", "websocket")
        self.set_header("Connection", "Upgrade")
        self.set_header("Sec-WebSocket-Accept", base64.b64encode(hashlib.sha1(key + GUID).digest()).decode())
        await asyncio.shield(self.finish())
        try:
            own, received = taken_over(self.detach())
        except OSError as error:
            logger.info("a client was gone before it was served: %s", error)
            return
        self._serve(Socket(own, self.process.limits, self.process.clock), received, identity)

    async def _identify(self) -> sessions.Identity | None:
        """Who asks; None for an identity that has ended or never was."""
        if self.bearer:
            asked = self.process.bearers.ask(self.bearer)
        elif self.cookie:
            asked = self.process.cookies.ask(self.cookie)
        else:
            return sessions.anonymous()
        return await asyncio.wait_for(asked, settings.VERB_SECONDS)

    # After it

    def _serve(self, socket: Socket, received: bytes, identity: sessions.Identity | None) -> None:
        process, closing = self.process, self.turning_away if identity is None else self.closing
        # Nothing that stays may know this handler, or every connection keeps its request for as long as it lives.
        connection = Connection(
            f"c{next(_serial)}",
            self.transport,
            socket.send,
            lambda code: closing(socket, code),
            process.clock,
            process.limits,
        )
        shell = connection.shell = Shell(connection, socket, process, self.request.remote_ip or "")
        socket.events = Events(text=self.receiver(shell), drained=connection.drained, closed=shell.closed)
        process.sockets.add(socket)
        self.opened(socket)
        if identity is None:
            logger.debug("%s refused: its identity does not hold", connection.id)
            connection.refuse(CloseCode.IDENTITY, LoginRequired())
        elif (refusal := process.clients.add(connection, identity)) is not None:
            connection.refuse(refusal)
        elif process.clients.judgements == self.judgements:
            shell.read(self.judgements, believed(self.began))
            shell.known_until = process.clock() + settings.IDENTITY_SECONDS
        socket.serve(received)

    @staticmethod
    def opened(socket: Socket) -> None:
        """The socket is there; nothing was sent yet."""

    @staticmethod
    def closing(socket: Socket, code: CloseCode) -> None:
        """Nothing is sent from here on."""
        socket.close(code)

    @staticmethod
    def turning_away(socket: Socket, code: CloseCode) -> None:
        """As `closing`, for who came with an identity that does not hold."""
        socket.close(code)

    @staticmethod
    def receiver(shell: Shell) -> Callable[[str], None]:
        """Takes the texts of the peer."""
        return shell.receive


def handshake_fault(headers: Any) -> tuple[int, str] | None:
    """Status and text for what is no WebSocket handshake of version 13."""
    if headers.get("Upgrade", "").lower() != "websocket":
        return 426, "Only WebSockets are spoken here."
    if "upgrade" not in {word.strip().lower() for word in headers.get("Connection", "").split(",")}:
        return 400, "Connection must be Upgrade."
    if headers.get("Sec-WebSocket-Version") != "13":
        return 426, "Only version 13 is spoken here."
    try:
        key = base64.b64decode(headers.get("Sec-WebSocket-Key", ""), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    return None if len(key) == 16 else (400, "Sec-WebSocket-Key must be 16 bytes in base64.")
