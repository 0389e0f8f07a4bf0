"""`manage.py link`: a sign-in link that works once, for a quarter of an hour."""

from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError, CommandParser

from project import first_user, signin


class Command(BaseCommand):
    help = "Print a link that signs a user in once, within 15 minutes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", help="user name; the administrator without it, who is made if there is none")

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["user"]
        if name is None:
            user = first_user.administrator(settings.DATA_DIR)
        else:
            found = User.objects.filter(username=name, is_active=True).first()
            if found is None:
                raise CommandError(f"There is no active user {name!r}.")
            user = found
        self.stdout.write(signin.link(settings.MARSHLIGHT_URL, user))
