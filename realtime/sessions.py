"""Who is at the other end, and whether they still are: a Django session, a token, or what another app recognises.

Everything here is synchronous and belongs into a worker thread. An app brings its own kind of token by naming a class
like `Sessions` and `Tokens` in its AppConfig: `authenticators = ["shop.tills.TillAuthenticator"]`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib import import_module
from typing import Any, Protocol

from django.apps import apps
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model, load_backend
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.module_loading import import_string

from realtime.alive import again

# SQLite of the oldest supported Python takes 999 parameters in one statement.
CHUNK = 500


@dataclass(frozen=True, slots=True)
class Identity:
    """Equal when kind and key are. Only `secret` must never be logged, and no repr shows it."""

    kind: str
    key: str
    user: Any = field(compare=False, repr=False)
    subject: Any = field(default=None, compare=False)
    expires: dt.datetime | None = field(default=None, compare=False)
    secret: str = field(default="", compare=False, repr=False)
    auth_hash: str = field(default="", compare=False, repr=False)

    @property
    def anonymous(self) -> bool:
        return self.kind == "anonymous"

    @property
    def user_id(self) -> Any:
        """The user's key as the wire and the journal write it, None for those who are no user."""
        return getattr(self.user, "pk", None)

    def expired(self, now: dt.datetime) -> bool:
        return self.expires is not None and self.expires <= now


def anonymous() -> Identity:
    return Identity("anonymous", "", AnonymousUser())


class Authenticator(Protocol):
    """Recognises one kind of identity by a secret, and says later which of them still hold.

    One that also has `recognise_all(tokens)`, from token to identity for those that are valid, is asked for all who
    come at the same moment at once.
    """

    kind: str

    def recognise(self, token: str) -> Identity | None:
        """None if the token is not of this kind, or not valid (any more)."""

    def holding(self, identities: Collection[Identity]) -> set[Identity]:
        """Those that still hold, with their users as they are now."""


def from_cookie(session_key: str) -> Identity | None:
    # A quoted cookie can carry a NUL, and PostgreSQL takes none: an error would tell it from other inventions.
    return None if "\0" in session_key else Sessions().recognise(session_key)


def from_token(token: str) -> Identity | None:
    """The identity behind a token of any kind, None for a token that is nobody's."""
    for authenticator in authenticators():
        if authenticator.kind != Sessions.kind and (identity := authenticator.recognise(token)) is not None:
            return identity
    return None


def from_cookies(session_keys: Collection[str]) -> dict[str, Identity | None]:
    """As `from_cookie`, of several: each has an identity of its own."""
    asked = [key for key in session_keys if "\0" not in key]
    return dict.fromkeys(session_keys) | again(lambda: Sessions().recognise_all(asked))


def from_tokens(tokens: Collection[str]) -> dict[str, Identity | None]:
    """As `from_token`, of several. Those that only `from_token` can tell are missing."""
    found: dict[str, Identity | None] = {}
    for authenticator in authenticators():
        if authenticator.kind == Sessions.kind:
            continue
        left = [token for token in tokens if token not in found]
        ask = getattr(authenticator, "recognise_all", None)
        if ask is None:
            return found
        found |= again(partial(ask, left))
    return dict.fromkeys(tokens) | found


def another(identity: Identity | None) -> Identity | None:
    """The same for somebody else: users remember what was found of them, so nobody gets one that another has."""
    return None if identity is None else replace(identity, user=copy(identity.user))


def holding(identities: Iterable[Identity]) -> set[Identity]:
    """Those of all kinds that still hold, with their users as they are now; anonymous ones always do."""
    by_kind: dict[str, set[Identity]] = {}
    for identity in identities:
        by_kind.setdefault(identity.kind, set()).add(identity)
    held = by_kind.pop("anonymous", set())
    now = timezone.now()
    for authenticator in authenticators():
        asked = [identity for identity in by_kind.get(authenticator.kind, ()) if not identity.expired(now)]
        if asked:
            held |= authenticator.holding(asked)
    return held


def refreshed(identity: Identity) -> Identity | None:
    """The same identity with its user read anew: one query before each call, because users cache their permissions."""
    if identity.user_id is None:
        return identity
    # Often the first statement on a connection that nobody asked.
    user = again(lambda: active_users([identity.user_id])).get(identity.user_id)
    if user is None or (identity.auth_hash and not _hash_holds(user, identity.auth_hash)):
        return None
    return replace(identity, user=user)


@cache
def authenticators() -> tuple[Authenticator, ...]:
    from realtime.tokens import Tokens

    named = [path for config in apps.get_app_configs() for path in getattr(config, "authenticators", ())]
    return (Sessions(), Tokens(), *(import_string(path)() for path in named))


# Django's own sessions


class Sessions:
    """A browser's session cookie. Read as Django's middleware reads it, but never written: a new key would never reach
    the browser."""

    kind = "session"

    def recognise(self, token: str) -> Identity | None:
        return self.recognise_all([token]).get(token)

    def recognise_all(self, tokens: Collection[str]) -> dict[str, Identity]:
        """Two queries, unless sessions are without a table or the app's backend finds users its own way."""
        owners = {token: owner for token, found in self._read(tokens).items() if (owner := _owner(*found)) is not None}
        users = _users(owners.values())
        held = {}
        for token, owner in owners.items():
            user = users.get(owner)
            if user is not None and user.is_active and _hash_holds(user, owner.auth_hash):
                key = hashlib.sha256(token.encode()).hexdigest()[:32]
                # Users remember what was found of them: nobody gets one that another has.
                user, hash_ = copy(user), owner.auth_hash
                held[token] = Identity(self.kind, key, user, expires=owner.expires, secret=token, auth_hash=hash_)
        return held

    def holding(self, identities: Collection[Identity]) -> set[Identity]:
        users = active_users({identity.user_id for identity in identities})
        expiries = self._expiries([identity.secret for identity in identities])
        held = set()
        for identity in identities:
            user = users.get(identity.user_id)
            if user is not None and identity.secret in expiries and _hash_holds(user, identity.auth_hash):
                held.add(replace(identity, user=user, expires=expiries[identity.secret]))
        return held

    def _read(self, session_keys: Collection[str]) -> dict[str, tuple[dict[str, Any], dt.datetime | None]]:
        """The sessions and when each ends, in one query: thousands of browsers may come back in the same second."""
        store = _store()
        if not hasattr(store, "get_model_class"):
            return {key: (self._load(key), None) for key in session_keys}
        found = {}
        for part in chunks(list(session_keys)):
            rows = store.get_model_class().objects.filter(session_key__in=part, expire_date__gt=timezone.now())
            found.update({row.session_key: (row.get_decoded(), row.expire_date) for row in rows})
        return found

    def _load(self, session_key: str) -> dict[str, Any]:
        store = _store()(session_key)
        # The public mapping, not load(): the engines differ in what load() does with a key they do not know.
        return dict(store.items()) if SESSION_KEY in store else {}

    def _expiries(self, session_keys: Sequence[str]) -> dict[str, dt.datetime | None]:
        """When each of the sessions that still exist ends; None where only the store itself knows."""
        store = _store()
        if not hasattr(store, "get_model_class"):  # sessions without a table: asked one by one
            return {key: None for key in session_keys if self._load(key)}
        model = store.get_model_class()
        found: dict[str, dt.datetime | None] = {}
        for part in chunks(session_keys):
            rows = model.objects.filter(session_key__in=part, expire_date__gt=timezone.now())
            found.update(rows.values_list("session_key", "expire_date"))
        return found


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whose a session says it is."""

    backend: str
    user_id: Any
    auth_hash: str
    expires: dt.datetime | None


def _owner(session: Mapping[str, Any], expires: dt.datetime | None) -> _Owner | None:
    backend = session.get(BACKEND_SESSION_KEY)
    if backend not in settings.AUTHENTICATION_BACKENDS:
        return None
    user_model: Any = get_user_model()
    try:
        user_id = user_model._meta.pk.to_python(session[SESSION_KEY])
    except Exception:  # a forged session in a store that anybody may write: nobody, whatever it was
        return None
    return _Owner(str(backend), user_id, str(session.get(HASH_SESSION_KEY, "")), expires)


def _users(owners: Collection[_Owner]) -> dict[_Owner, Any]:
    """Their users, each as the backend of its session finds it."""
    found = {}
    for path in {owner.backend for owner in owners}:
        backend: Any = load_backend(path)
        asked = {owner for owner in owners if owner.backend == path}
        ask_each = type(backend).get_user is not ModelBackend.get_user
        ids = {owner.user_id for owner in asked}
        users = {key: backend.get_user(key) for key in ids} if ask_each or len(ids) == 1 else _with_keys(ids)
        for owner in asked:
            user = users.get(owner.user_id)
            if user is not None and (ask_each or backend.user_can_authenticate(user)):
                found[owner] = user
    return found


def _with_keys(keys: Collection[Any]) -> dict[Any, Any]:
    manager: Any = get_user_model()._default_manager
    return {user.pk: user for part in chunks(list(keys)) for user in manager.filter(pk__in=part)}


def _store() -> Any:
    return import_module(settings.SESSION_ENGINE).SessionStore


def _hash_holds(user: Any, stored: str) -> bool:
    """Whether the password is the one the session was made with, also under an earlier SECRET_KEY."""
    hashes = [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
    return any(constant_time_compare(stored, each) for each in hashes)


def active_users(keys: Collection[Any]) -> dict[Any, Any]:
    """The users with these keys that may act now, read anew."""
    return {key: user for key, user in _with_keys(keys).items() if user.is_active}


def chunks(items: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Parts that fit into one SQL statement."""
    return (items[i : i + CHUNK] for i in range(0, len(items), CHUNK))
