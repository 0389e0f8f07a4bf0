"""Which rows of Django's own tables, and of tokens, end identities or change rights: the journal watches them for us.

So a kick needs no signal: an UPDATE by another program ends a session just as a click in the admin does.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user_model

from realtime import registry
from realtime.models import Token

# Of a user's row; a last_login, which changes with every sign-in, concerns nobody.
USER_COLUMNS = ("password", "is_active", "is_staff", "is_superuser")
# What is new ends nothing.
CHANGES = ("update", "delete")


def declare() -> None:
    """Once, while the apps are loaded and before triggers are made."""
    user: Any = get_user_model()
    registry.watch(user, on=[_column(user, name) for name in USER_COLUMNS if _has(user, name)], events=CHANGES)
    for relation in ("groups", "user_permissions"):
        if _has(user, relation):
            through = user._meta.get_field(relation).remote_field.through
            registry.watch(through, columns=[_names_user(through, user)])
    if apps.is_installed("django.contrib.auth"):
        from django.contrib.auth.models import Group, Permission

        registry.watch(Group.permissions.through)
        registry.watch(Permission, on=["codename", "content_type_id"], events=CHANGES)
    store: Any = import_module(settings.SESSION_ENGINE).SessionStore
    if hasattr(store, "get_model_class"):
        # Only its end: every request that writes to a session updates its row.
        registry.watch(store.get_model_class(), on=[], events=["delete"])
    registry.watch(Token, on=["revoked_at", "expires_at"], events=CHANGES)


def _has(model: Any, name: str) -> bool:
    return any(field.name == name for field in model._meta.get_fields())


def _column(model: Any, name: str) -> str:
    column: str = model._meta.get_field(name).column
    return column


def _names_user(through: Any, user: Any) -> str:
    column: str = next(f.column for f in through._meta.concrete_fields if f.related_model is user)
    return column
