"""One place of defaults. `settings.PONG_SECONDS` is Django's `REALTIME_PONG_SECONDS` if the project sets it.

Read at the time of use, so `override_settings` works. What the pure modules obey stands in `limits.Limits` and is
overridden in the same way: `limits()` has `message_bytes` from `REALTIME_MESSAGE_BYTES`.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

from django.conf import settings as django_settings

from realtime.limits import DEFAULT_LIMITS, Limits

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
    # -- one user ----------------------------------------------------------------------------------------------
    # Every open page, every board and every script of one user counts; a runaway reconnect loop ends here.
    CONNECTIONS_PER_USER = Default(100)
    # Of one address, as long as nobody knows who it is. A school or an office is one address.
    CONNECTIONS_PER_ADDRESS = Default(1000)

    # -- time --------------------------------------------------------------------------------------------------
    # Headers of a handshake; half-finished ones are an old way to use up a server.
    HANDSHAKE_SECONDS = Default(10.0)
    # The longest a verb may take before its caller is told `timed_out`.
    VERB_SECONDS = Default(10.0)
    # A peer that answers no ping for so long is gone (4010); a ping is sent at half of it.
    PONG_SECONDS = Default(20.0)
    # How soon somebody who is there answers, even from a train: whoever has not when a place is wanted has left.
    PONG_GRACE_SECONDS = Default(2.0)
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

    # -- the journal -------------------------------------------------------------------------------------------
    # More objects of a model changed by one statement are told as a resync: a snapshot is cheaper than so many frames.
    JOURNAL_MASS = Default(1000)
    # More different states of one object since its last publication, and the stream resyncs: nobody filters that many.
    JOURNAL_STATES = Default(32)
    # Published rows stay so long: a snapshot must know the revision of whatever may still be on its way to it.
    JOURNAL_SECONDS = Default(900.0)

    # -- the bus and the relay ---------------------------------------------------------------------------------
    # Begins every key and channel in Redis: installations that share one need different names.
    BUS_PREFIX = Default("marshlight")
    # How long a change waits at most when its wake was lost. A read of nothing takes 0.3 ms on PostgreSQL.
    RELAY_POLL_SECONDS = Default(0.1)
    # SQLite tells in 9 microseconds whether anybody committed, so this is asked often; other commits come with a wake.
    RELAY_GLANCE_SECONDS = Default(0.01)
    # Rows of one step: what is read, loaded and published together. 500 rows take some 50 ms.
    RELAY_BATCH = Default(500)
    # Between two attempts when the database or the bus does not answer: half of what a screen may lag.
    RELAY_RETRY_SECONDS = Default(0.5)
    # More due objects of one model than JOURNAL_MASS become a resync, but not again so soon: then they are published
    # one by one, unless they are more than the history holds.
    RELAY_MASS_SECONDS = Default(10.0)
    # How often published rows are pruned and what was set aside is tried again.
    RELAY_TIDY_SECONDS = Default(60.0)

    # -- health ------------------------------------------------------------------------------------------------
    # The oldest change that waits to be published; normal are milliseconds.
    JOURNAL_RED_SECONDS = Default(10.0)
    # From here on people are told that what they see may be older: the promise is 2 s.
    LATE_SECONDS = Default(2.0)
    # SQLite needs room for its log beside the database, and PostgreSQL stops writing without any.
    DISK_RED_BYTES = Default(100 * 1024 * 1024)

    # -- the process -------------------------------------------------------------------------------------------
    # Threads that run verbs: each holds one database connection.
    VERB_THREADS = Default(8)
    # Threads that judge identities and rights, apart from the verbs: slow verbs must not delay a kick. More than judge
    # rights at once (three), so that handshakes always find one.
    JUDGE_THREADS = Default(5)
    # Threads that run Django's pages inside `server.py`; behind gunicorn they idle.
    PAGE_THREADS = Default(8)
    # The largest HTTP body that Django's pages take through this server: forms, not films.
    BODY_BYTES = Default(2 * 1024 * 1024)
    # Whether X-Forwarded-For and -Proto come from our own proxy. None: if MARSHLIGHT_URL is https: TLS ends there.
    BEHIND_PROXY: Default[bool | None] = Default(None)


settings = Settings()


def public_address() -> str:
    """The address people open, as `https://name[:port]`: only its pages may connect. MARSHLIGHT_URL, which a project on
    one machine may leave out."""
    return str(getattr(django_settings, "MARSHLIGHT_URL", "") or "http://127.0.0.1:8000").rstrip("/")


def data_directory() -> Path:
    """Where the server keeps its lock file: DATA_DIR, or what every project has since `startproject`."""
    return Path(getattr(django_settings, "DATA_DIR", None) or getattr(django_settings, "BASE_DIR", None) or ".")


def limits() -> Limits:
    """The limits of the pure modules, as this project sets them."""
    named: dict[str, Any] = {field.name: PREFIX + field.name.upper() for field in fields(Limits)}
    return Limits(
        **{field: getattr(django_settings, name) for field, name in named.items() if hasattr(django_settings, name)}
    )


def limit(name: str) -> Any:
    """One of them, for who needs it in every call."""
    return getattr(django_settings, PREFIX + name.upper(), getattr(DEFAULT_LIMITS, name))
