"""SwampDragon's endpoint for its own clients of 2015: `/data` over SockJS' WebSocket transport, `/data/websocket` raw.

The same connection, calls and rights as on `/ws`; only the wrapping differs, and what those clients cannot take
(heartbeats, resync) is left out by the hub. SockJS' fallbacks (xhr, eventsource, …) are answered 404: each would need
its own session that outlives a request, for browsers without WebSockets, of which there are none left.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from typing import Any

from django.conf import settings as django_settings
from django.core.serializers.json import DjangoJSONEncoder

from realtime.errors import CloseCode
from realtime.framing import text_frame
from realtime.handler import Handler, SocketHandler
from realtime.origin import origin_allowed
from realtime.process import Process
from realtime.protocol import dumps
from realtime.settings import public_address
from realtime.shell import Shell
from realtime.transport import Socket

ENDPOINT = "/data"
# In one frame. SockJS' own client sends one; each costs an answer, and all of them the same turn of the loop.
MESSAGES = 100
# SwampDragon's client comes back after any code but this one, many times a second and for ever if it is let in
# first. Who is closed because a session ended may try the cookie once more; who comes with an ended one is told this.
NEVER_AGAIN = 3001


class Raw:
    """`/data/websocket`: each frame is one message; see `frames.Transport`."""

    name = "raw"
    legacy = True

    def encode(self, text: str) -> bytes:
        return text_frame(text.encode())


class Wrapped:
    """SockJS: each frame is an array of texts. SwampDragon sent replies as objects; its clients take texts as well."""

    name = "sockjs"
    legacy = True
    # SockJS' own sign of life, sent where `/ws` gets a heartbeat.
    beat = text_frame(b"h")

    def encode(self, text: str) -> bytes:
        return text_frame(f"a[{dumps(text)}]".encode())


class WrappedHandler(SocketHandler):
    """`/data/<server>/<session>/websocket`; the two names in between mean something to SockJS' fallbacks only."""

    @staticmethod
    def opened(socket: Socket) -> None:
        socket.send(text_frame(b"o"))

    @staticmethod
    def closing(socket: Socket, code: CloseCode) -> None:
        say_goodbye(socket, int(code), code.reason)
        socket.close(code)

    @staticmethod
    def turning_away(socket: Socket, code: CloseCode) -> None:
        say_goodbye(socket, NEVER_AGAIN, code.reason)
        socket.close(code)

    @staticmethod
    def receiver(shell: Shell) -> Callable[[str], None]:
        def receive(text: str) -> None:
            for message in unwrapped(text):
                shell.receive(message)

        return receive


def say_goodbye(socket: Socket, code: int, reason: str) -> None:
    socket.write_last(text_frame(f"c[{code},{dumps(reason)}]".encode()))


def unwrapped(text: str) -> list[str]:
    """The messages in a frame of a SockJS client; one that is none is passed on, to be refused as any nonsense."""
    if not text:
        return []
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return [text]
    messages = value if isinstance(value, list) else [value]
    if len(messages) > MESSAGES or not all(isinstance(message, str) for message in messages):
        return [text]
    return messages


class InfoHandler(Handler):
    """What SockJS' client asks first: WebSockets, and nothing else."""

    def get(self) -> None:
        origin = self.request.headers.get("Origin")
        if origin is not None:
            if not origin_allowed(origin):
                self.refuse(403, "This origin is not served here.")
                return
            self.set_header("Access-Control-Allow-Origin", origin)
            self.set_header("Access-Control-Allow-Credentials", "true")
            self.set_header("Vary", "Origin")
        self.set_header("Content-Type", "application/json; charset=UTF-8")
        entropy = secrets.randbits(32)
        self.finish(json.dumps({"websocket": True, "cookie_needed": False, "origins": ["*:*"], "entropy": entropy}))


class FallbackHandler(Handler):
    """SockJS' other transports."""

    def get(self, *args: str) -> None:
        self.refuse(404, "Only SockJS' websocket transport is spoken here: see docs/coming-from-swampdragon.md.")

    post = options = head = get


class SettingsHandler(Handler):
    """`/settings.js`, read by SwampDragon's clients before they connect, with what the project tells its pages by the
    setting SWAMP_DRAGON. JSON is JavaScript, Python's `True` was not."""

    def get(self) -> None:
        told = {**getattr(django_settings, "SWAMP_DRAGON", {}), "endpoint": ENDPOINT}
        scheme = public_address().partition(":")[0]
        self.set_header("Content-Type", "text/javascript; charset=UTF-8")
        # Scripts are what this address is for, and old pages may be served by another of our names.
        self.clear_header("Content-Security-Policy")
        self.finish(
            f"window.swampdragon_settings = {json.dumps(told, cls=DjangoJSONEncoder)};\n"
            f"window.swampdragon_host = {json.dumps(f'{scheme}://{self.request.host}')};\n"
        )


def routes(process: Process) -> list[tuple[str, type[Handler], dict[str, Any]]]:
    plain: dict[str, Any] = {"process": process}
    return [
        (r"/settings\.js", SettingsHandler, plain),
        (rf"{ENDPOINT}/info", InfoHandler, plain),
        (rf"{ENDPOINT}/websocket", SocketHandler, {**plain, "transport": Raw()}),
        (rf"{ENDPOINT}/[^/.]+/[^/.]+/websocket", WrappedHandler, {**plain, "transport": Wrapped()}),
        (rf"{ENDPOINT}(?:/.*)?", FallbackHandler, plain),
    ]
