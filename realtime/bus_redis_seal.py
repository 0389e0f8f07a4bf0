"""A mark on everything that travels through Redis, which only processes that know the installation's secret can make.

Redis knows one password for whoever may read and write. With the mark, somebody who may write there can hold back or
repeat what was published, but can invent nothing: neither a change nor an event nor the end of a right.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from hashlib import blake2b

# 128 bits as hexadecimal digits: a mark is checked, never guessed offline, because nothing else tells a good one.
DIGITS = 32


class Seal:
    """The first secret seals, any of them opens: so a secret is changed without a moment in which nobody believes
    anybody. About a microsecond for each body."""

    def __init__(self, secrets: Sequence[str | bytes]) -> None:
        # Hashed first: blake2b takes keys of 64 bytes at most, and this key must open nothing else.
        known = [secret.encode() if isinstance(secret, str) else secret for secret in secrets]
        keys = [blake2b(secret, person=b"realtime.bus", digest_size=64).digest() for secret in known]
        # Copied for each body: the key costs as much as the body does.
        self._fresh = [blake2b(key=key, digest_size=DIGITS // 2) for key in keys]

    def sealed(self, stream: str, body: str) -> str:
        return f"{_mark(self._fresh[0], stream, body.encode())} {body}"

    def opened(self, stream: str, sealed: bytes) -> str:
        """The body; ValueError if nobody of this installation sealed it, for this stream."""
        mark, body = sealed[:DIGITS], sealed[DIGITS + 1 :]
        for fresh in self._fresh:
            if hmac.compare_digest(_mark(fresh, stream, body).encode(), mark):
                return body.decode("utf-8")
        raise ValueError("not sealed by us")


def _mark(fresh: blake2b, stream: str, body: bytes) -> str:
    mark = fresh.copy()
    # No stream's name holds a line break, so no stream and body are another stream with another body.
    mark.update(stream.encode() + b"\n" + body)
    return mark.hexdigest()
