"""Tokens of users, for programs: shown once, stored as a digest, ended by revoking or by their date.

`mlt_<key id>_<secret>`: the prefix tells secret scanners and other kinds of tokens apart, the key id names a token in
lists and logs without giving it away.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from django.db.models import Q
from django.utils import timezone

from realtime.models import Token
from realtime.sessions import Identity, active_users, chunks

PREFIX = "mlt"
# 256 random bits: no dictionary helps, so one fast hash is enough and a look-up by digest is safe.
SECRET_BYTES = 32
# How exact "last used" is: a write for every connection of a reconnecting fleet is not worth more.
USED_STEP = dt.timedelta(minutes=1)


def create(user: Any, name: str, expires_at: dt.datetime | None = None) -> tuple[Token, str]:
    """The row, and the token itself, which nobody can tell again."""
    key_id = secrets.token_hex(4)
    text = f"{PREFIX}_{key_id}_{secrets.token_urlsafe(SECRET_BYTES)}"
    row = Token.objects.create(user=user, name=name, key_id=key_id, digest=digest(text), expires_at=expires_at)
    return row, text


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def revoke(key_id: str) -> bool:
    """False if there is no such token, or it had ended before."""
    return bool(Token.objects.filter(key_id=key_id, revoked_at=None).update(revoked_at=timezone.now()))


def state(row: Token) -> str:
    """One word for people: holds, expired or revoked."""
    if row.revoked_at is not None:
        return "revoked"
    expired = row.expires_at is not None and row.expires_at <= timezone.now()
    return "expired" if expired else "holds"


class Tokens:
    """Recognises them; see `sessions.Authenticator`."""

    kind = "token"

    def recognise(self, token: str) -> Identity | None:
        return self.recognise_all([token]).get(token)

    def recognise_all(self, tokens: Collection[str]) -> dict[str, Identity]:
        """One query, and one more if the use of some is to be noted."""
        digests = {digest(token): token for token in tokens if token.startswith(f"{PREFIX}_")}
        rows: list[Token] = []
        for part in chunks(list(digests)):
            rows.extend(_valid().filter(digest__in=part).select_related("user"))
        rows = [row for row in rows if row.user.is_active]
        _note_use(rows)
        return {digests[row.digest]: Identity(self.kind, row.key_id, row.user, expires=row.expires_at) for row in rows}

    def holding(self, identities: Collection[Identity]) -> set[Identity]:
        users = active_users({identity.user_id for identity in identities})
        expiries: dict[str, dt.datetime | None] = {}
        for part in chunks([identity.key for identity in identities]):
            expiries.update(_valid().filter(key_id__in=part).values_list("key_id", "expires_at"))
        return {
            replace(identity, user=users[identity.user_id], expires=expiries[identity.key])
            for identity in identities
            if identity.key in expiries and identity.user_id in users
        }


def _valid() -> Any:
    return Token.objects.filter(Q(expires_at=None) | Q(expires_at__gt=timezone.now()), revoked_at=None)


def _note_use(rows: Collection[Token]) -> None:
    now = timezone.now()
    due = [row.pk for row in rows if row.last_used_at is None or now - row.last_used_at > USED_STEP]
    for part in chunks(due):
        Token.objects.filter(pk__in=part).update(last_used_at=now)
