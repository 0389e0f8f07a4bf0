"""`manage.py simulate`: the simulated devices, driven from a terminal instead of by the server."""

from __future__ import annotations

import argparse
import signal
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from devices.models import Device
from devices.settings import settings
from devices.simulator import VENDOR, Service, Simulator

ENDS = (signal.SIGINT, signal.SIGTERM)


class Command(BaseCommand):
    help = "Drive the simulated devices until Ctrl-C. A server that does so in the background leaves them to this one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seed", type=int, help="the same number, the same course")
        parser.add_argument("--rate", type=float, default=1.0, help="times as fast as the clock (1)")
        parser.add_argument(
            "--faults",
            action=argparse.BooleanOptionalAction,
            default=settings.SIMULATOR_FAULTS,
            help="whether devices that are configured to may refuse, keep silent and go offline",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if not 0 < options["rate"] <= 1000:
            raise CommandError("--rate is a number above 0, up to 1000.")
        count = Device.objects.filter(vendor=VENDOR, enabled=True).count()
        if not count:
            raise CommandError("There are no simulated devices. `manage.py demo` makes some.")
        simulator = Simulator(seed=options["seed"], rate=options["rate"], faults=options["faults"])
        self.stdout.write(f"{count} simulated devices, seed {simulator.seed}. Ctrl-C ends it.")
        service = Service(simulator, take_over=True)
        # Not KeyboardInterrupt, which would come in the middle of a report; and a supervisor sends TERM.
        before = {each: signal.signal(each, lambda *_: service.ask_to_stop()) for each in ENDS}
        try:
            service.run()
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)
