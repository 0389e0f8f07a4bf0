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
    anybody. Less than a microsecond for each body."""

    def __init__(self, secrets: Sequence[str | bytes]) -> None:
        # Hashed first: blake2b takes keys of 64 bytes at most, and this key must open nothing else.
        known = [secret.encode() if isinstance(secret, str) else secret for secret in secrets]
        keys = [blake2b(secret, person=b"realtime.bus", digest_size=64).digest() for secret in known]
        self._fresh = [blake2b(key=key, digest_size=DIGITS // 2) for key in keys]
        # By stream, copied for each body: a key costs as much as a body does.
        self._begun: dict[str, list[blake2b]] = {}

    def sealed(self, stream: str, body: str) -> str:
        return f"{_mark(self._of(stream)[0], body.encode())} {body}"

    def opened(self, stream: str, sealed: bytes) -> str:
        """The body; ValueError if nobody of this installation sealed it, for this stream."""
        mark, body = sealed[:DIGITS], sealed[DIGITS + 1 :]
        for begun in self._of(stream):
            if hmac.compare_digest(_mark(begun, body).encode(), mark):
                return body.decode("utf-8")
        raise ValueError("not sealed by us")

    def _of(self, stream: str) -> list[blake2b]:
        begun = self._begun.get(stream)
        if begun is None:
            begun = self._begun[stream] = [fresh.copy() for fresh in self._fresh]
            for each in begun:
                # No stream's name holds a line break, so no stream and body are another stream with another body.
                each.update(stream.encode() + b"\n")
        return begun


def _mark(begun: blake2b, body: bytes) -> str:
    mark = begun.copy()
    mark.update(body)
    return mark.hexdigest()
