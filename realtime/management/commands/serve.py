"""`manage.py serve`: the server of any project that has `realtime` among its apps; options as of `server.py`."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from realtime import server


class Command(BaseCommand):
    help = server.DESCRIPTION

    def add_arguments(self, parser: CommandParser) -> None:
        server.add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        server.run(Namespace(**options))
