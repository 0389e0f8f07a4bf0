"""What the surroundings decide: public address, database, data directory, secret key.

Each function takes the text of a variable and answers with settings; what cannot be used raises `ImproperlyConfigured`
with one sentence that names the variable and shows a value that works. Passwords in a URL are never repeated.
"""

import ipaddress
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import dj_database_url
from django.core.exceptions import ImproperlyConfigured

DEFAULT_PORTS = {"http": 80, "https": 443}
LOOPBACK_NAMES = ("127.0.0.1", "localhost")
DATABASES_KNOWN = ("sqlite", "postgres", "postgresql")
BUSES_KNOWN = ("redis", "rediss", "unix")


# -- public address --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Address:
    """Where people reach this Marshlight: `https://panel.example.org`."""

    scheme: str
    host: str
    port: int

    @property
    def secure(self) -> bool:
        return self.scheme == "https"

    @property
    def loopback(self) -> bool:
        return self.host == "localhost" or _is_loopback(self.host)

    def origin(self, host: str | None = None, *, scheme: str | None = None) -> str:
        """`scheme://host[:port]` as browsers write it: no default port, IPv6 in brackets."""
        name = host or self.host
        bracketed = f"[{name}]" if ":" in name else name
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{scheme or self.scheme}://{bracketed}{port}"


def address(url: str) -> Address:
    parts = urlsplit(url.strip())
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
        raise ImproperlyConfigured(
            f"MARSHLIGHT_URL is {url!r}; it must be the address people open, with its scheme: https://panel.example.org"
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment or parts.username:
        raise ImproperlyConfigured(
            f"MARSHLIGHT_URL names more than scheme, host and port: write {parts.scheme}://{parts.hostname}"
        )
    try:
        port = parts.port or DEFAULT_PORTS[parts.scheme]
    except ValueError:
        raise ImproperlyConfigured("MARSHLIGHT_URL has a port that is no number from 1 to 65535") from None
    return Address(parts.scheme, parts.hostname, port)


def hosts(public: Address, extra: str = "") -> list[str]:
    """Names a request may be addressed to. A loopback address goes by all its names; `extra` is separated by commas."""
    names = [public.host, *(LOOPBACK_NAMES if public.loopback else ()), *extra.replace(" ", "").split(",")]
    unique = [name for name in dict.fromkeys(names) if name]
    if "*" in unique:
        raise ImproperlyConfigured("MARSHLIGHT_HOSTS must name the hosts; * would let any page speak as this one")
    return [f"[{name}]" if ":" in name and not name.startswith("[") else name for name in unique]


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# -- database and bus ------------------------------------------------------------------------------------------


def database(url: str, data: Path) -> dict[str, Any]:
    """Django's settings of one database; SQLite in the data directory when `url` is empty."""
    if not url:
        return _sqlite(str(data / "db.sqlite3"))
    scheme = url.partition("://")[0]
    try:
        if scheme not in DATABASES_KNOWN:
            raise ValueError
        chosen = cast(dict[str, Any], dj_database_url.parse(url, conn_health_checks=True))
    except ValueError:
        raise ImproperlyConfigured(
            "DATABASE_URL cannot be read; write postgresql://user:password@host:5432/name or sqlite:////path/to/file"
        ) from None
    if scheme == "sqlite":
        return _sqlite(chosen["NAME"])
    if not chosen["NAME"]:
        raise ImproperlyConfigured("DATABASE_URL names no database; write postgresql://user:password@host:5432/name")
    # A minute spares a worker thread most connects and still lets go of what it no longer uses.
    chosen["CONN_MAX_AGE"] = 60
    chosen["OPTIONS"] = {**_postgresql(), **chosen.get("OPTIONS", {})}
    return chosen


def _postgresql() -> dict[str, Any]:
    """No thread waits for ever: neither for a server that is gone nor for a writer that is frozen. Any of these can be
    replaced in the URL, `?options=` for the last two."""
    return {
        "connect_timeout": 5,
        # A network that swallows packets is noticed after 5 + 3 × 2 s; Linux' own keepalive takes two hours.
        "keepalives_idle": 5,
        "keepalives_interval": 2,
        "keepalives_count": 3,
        # The same for what was sent and not acknowledged; in milliseconds.
        "tcp_user_timeout": 11_000,
        # A process that is stopped, or its machine gone, inside a transaction keeps its rows from every other writer;
        # nothing here leaves a transaction idle for a minute. And whoever waits for such a row gives up before the
        # caller of a verb does (10 s), so that the verb's thread is free again.
        "options": "-c idle_in_transaction_session_timeout=60s -c lock_timeout=8s",
    }


def _sqlite(name: str) -> dict[str, Any]:
    return {
        "ENGINE": "realtime.sqlite",
        "NAME": name,
        "CONN_MAX_AGE": 60,
        "OPTIONS": {
            # A transaction that began by reading fails at once when it wants to write while another does.
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            # Readers go on while one writes; a power cut may lose the last commits, never the file.
            "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;",
        },
    }


def bus(url: str) -> str:
    """The Redis address, or nothing: then the bus lives in this one process."""
    if url and url.partition("://")[0] not in BUSES_KNOWN:
        raise ImproperlyConfigured("REDIS_URL cannot be read; write redis://host:6379/0 or leave it out")
    return url


# -- data directory --------------------------------------------------------------------------------------------


def directory(path: Path) -> Path:
    """The data directory, made if need be; only its owner may look inside."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"MARSHLIGHT_DATA cannot be used: {error}") from None
    return path.absolute()


def secret_key(data: Path) -> str:
    """The key kept in the data directory; made once, even if two processes start at the same moment."""
    path = data / "secret-key"
    if not path.exists():
        write_secret(path, secrets.token_urlsafe(64))
    key = path.read_text().strip()
    if len(key) < 50:
        raise ImproperlyConfigured(
            f"{path} holds no secret key; delete it and a new one is made (everyone signs in again)"
        )
    return key


def write_secret(path: Path, text: str) -> None:
    """Put `text` into a file that only its owner reads. A file already there stays as it is."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text + "\n")
        os.link(draft, path)  # unlike a rename this never replaces what another process put there first
    except FileExistsError:
        pass
    finally:
        draft.unlink()
