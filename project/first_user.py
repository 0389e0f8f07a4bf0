"""The administrator who exists before anybody else, so that somebody can sign in."""

import secrets
from pathlib import Path

from django.contrib.auth.models import User

from project.environment import write_secret

NAME = "admin"


def administrator(data: Path) -> User:
    """The first active superuser; made, with a password in `password_file(data)`, where there is none."""
    found = User.objects.filter(is_superuser=True, is_active=True).order_by("pk").first()
    if found is not None:
        return found
    path = password_file(data)
    path.unlink(missing_ok=True)  # it belonged to a database that is gone
    password = secrets.token_urlsafe(15)
    # The file first: a password that nobody can read again would be worse than a file without a user.
    write_secret(path, password)
    name = f"{NAME}-{secrets.token_hex(3)}" if User.objects.filter(username=NAME).exists() else NAME
    return User.objects.create_superuser(name, password=password)


def password_file(data: Path) -> Path:
    return data / "admin-password"
