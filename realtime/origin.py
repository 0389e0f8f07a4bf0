"""Which Host and which Origin a handshake may name.

Checked by us for every request, because Tornado does not ask about an Origin that equals the Host: then a page of
any name that points to our address (DNS rebinding) would be let in with the visitor's cookie.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

from realtime.settings import public_address

Origin = tuple[str, str, int]

_PORTS = {"http": 80, "https": 443}


def host_allowed(host: str) -> bool:
    """Whether this Host header is one of ALLOWED_HOSTS, as Django itself would judge it."""
    domain, _port = split_domain_port(host)
    return bool(domain) and validate_host(domain, settings.ALLOWED_HOSTS)


def origin_allowed(origin: str) -> bool:
    """Whether scheme, host and port are exactly those of an address this project is served from."""
    asked = parse(origin)
    return asked is not None and asked in {parse(address) for address in allowed_origins()}


def allowed_origins() -> list[str]:
    return list(getattr(settings, "MARSHLIGHT_ORIGINS", ())) or [public_address()]


def parse(origin: str) -> Origin | None:
    """(scheme, host, port) of `https://name[:port]` and of nothing else: no path, no user, not `null`."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    scheme, host = parts.scheme.lower(), parts.hostname
    if scheme not in _PORTS or not host or parts.username is not None or "@" in parts.netloc:
        return None
    if parts.path or parts.query or parts.fragment or origin != origin.strip():
        return None
    return scheme, host.lower(), port or _PORTS[scheme]
