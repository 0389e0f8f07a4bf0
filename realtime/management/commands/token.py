"""`manage.py token create | list | revoke`: tokens with which programs act as a user."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from realtime import tokens
from realtime.models import Token


class Command(BaseCommand):
    help = "Make, list or revoke the tokens with which programs act as a user."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="print a new token; it cannot be shown again")
        create.add_argument("username")
        create.add_argument("--name", default="", help="what it is for, e.g. 'weather script'")
        create.add_argument("--days", type=int, help="how long it holds (default: until it is revoked)")
        listing = actions.add_parser("list", help="show tokens without their secrets")
        listing.add_argument("username", nargs="?")
        revoke = actions.add_parser("revoke", help="end a token at once, its connections included")
        revoke.add_argument("key_id")

    def handle(self, *args: Any, action: str, **options: Any) -> None:
        getattr(self, f"_{action}")(**options)

    def _create(self, username: str, name: str, days: int | None, **options: Any) -> None:
        model: Any = get_user_model()
        try:
            user = model._default_manager.get_by_natural_key(username)
        except model.DoesNotExist:
            raise CommandError(f"There is no user {username!r}.") from None
        if days is not None and days < 1:
            raise CommandError("--days is at least 1.")
        expires_at = None if days is None else timezone.now() + dt.timedelta(days=days)
        _row, text = tokens.create(user, name or "made on the command line", expires_at)
        self.stdout.write(text)

    def _list(self, username: str | None, **options: Any) -> None:
        rows = Token.objects.select_related("user").order_by("created_at")
        if username is not None:
            model: Any = get_user_model()
            rows = rows.filter(**{f"user__{model.USERNAME_FIELD}": username})
        for row in rows:
            self.stdout.write(f"{row.key_id}  {row.user}  {tokens.state(row):8}  {row.name}")

    def _revoke(self, key_id: str, **options: Any) -> None:
        if not tokens.revoke(key_id):
            raise CommandError(f"There is no token {key_id!r} that still holds.")
        self.stdout.write(f"{key_id} is revoked.")
