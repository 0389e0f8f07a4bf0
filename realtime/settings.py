"""One place of defaults. `settings.PONG_SECONDS` is Django's `REALTIME_PONG_SECONDS` if the project sets it.

Read at the time of use, so `override_settings` works. A test asserts that every name here is documented.
"""

from __future__ import annotations

from typing import Generic, TypeVar, overload

from django.conf import settings as django_settings

T = TypeVar("T")

PREFIX = "REALTIME_"


class Default(Generic[T]):
    """The value of a setting that the project leaves alone."""

    name: str

    def __init__(self, value: T) -> None:
        self.value = value

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Default[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Default[T] | T:
        if instance is None:
            return self
        found: T = getattr(django_settings, PREFIX + self.name, self.value)
        return found


class Settings:
    # -- one connection ----------------------------------------------------------------------------------------
    # A call is a few hundred bytes; a message this long is a mistake or an attack.
    MESSAGE_BYTES = Default(64 * 1024)
    # Every open page, every board and every script of one user counts; a runaway reconnect loop ends here.
    CONNECTIONS_PER_USER = Default(100)
    # A list page with every card subscribed alone still fits.
    SUBSCRIPTIONS_PER_CONNECTION = Default(256)
    # Faster than anybody clicks; the burst is a page that opens.
    CALLS_PER_SECOND = Default(20.0)
    CALLS_BURST = Default(40)
    # Reading pauses for a client above its rate; one that keeps filling its pipe for so long is cut (4029).
    TOO_FAST_SECONDS = Default(10.0)
    # What one slow reader may cost in memory; then it is told to come back (4008).
    OUTBOX_BYTES = Default(1024 * 1024)

    # -- time --------------------------------------------------------------------------------------------------
    # Headers of a handshake; half-finished ones are an old way to use up a server.
    HANDSHAKE_SECONDS = Default(10.0)
    # A connection without cookie or token must have logged in, or used a public route, by then.
    LOGIN_SECONDS = Default(10.0)
    # The longest a verb may take before its caller is told `timed_out`.
    VERB_SECONDS = Default(10.0)
    # A peer that answers no ping for so long is gone (4010); a ping is sent at half of it.
    PONG_SECONDS = Default(20.0)
    # Two missed heartbeats are what a page calls "not live": 10 s on a visible one. Hidden pages save their battery.
    HEARTBEAT_SECONDS = Default(5.0)
    HEARTBEAT_HIDDEN_SECONDS = Default(25.0)
    # How old a position may be that a client continues from; well inside the history's five minutes.
    POSITION_SECONDS = Default(25.0)
    # One query per server for all its identities; with the journal's kicks the bound is 5 s even if one is lost.
    IDENTITY_SECONDS = Default(3.0)
    # The last change before a silence may be the lost one, so heads are asked for although nothing came.
    HEADS_SECONDS = Default(1.0)
    # A server that stops waits so long for its threads and its clients' goodbyes.
    STOP_SECONDS = Default(5.0)

    # -- the process -------------------------------------------------------------------------------------------
    # Threads that run verbs: each holds one database connection.
    VERB_THREADS = Default(8)
    # Threads that run Django's pages inside `server.py`; behind gunicorn they idle.
    PAGE_THREADS = Default(8)
    # The largest HTTP body that Django's pages take through this server: forms, not films.
    BODY_BYTES = Default(2 * 1024 * 1024)
    # Addresses beside MARSHLIGHT_URL that pages may be served from, e.g. ["https://other.example"].
    ALLOWED_ORIGINS: Default[list[str]] = Default([])


settings = Settings()
