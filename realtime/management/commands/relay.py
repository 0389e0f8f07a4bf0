"""`manage.py relay`: publish the journal from a process of its own, beside servers started with --no-relay."""

from __future__ import annotations

import signal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from realtime.relay import Relay


class Command(BaseCommand):
    help = "Publish what the journal holds, until stopped. Several may run: one works, the others stand by."

    def handle(self, *args: Any, **options: Any) -> None:
        if not getattr(settings, "REDIS_URL", ""):
            raise CommandError("A relay in a process of its own reaches nobody without Redis. Set REDIS_URL.")
        relay = Relay()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: relay.ask_to_stop())
        self.stdout.write("The relay runs.")
        relay.run()
