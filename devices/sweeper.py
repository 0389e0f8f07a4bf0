"""What must happen although nobody does anything: overdue wishes end, silent devices count as offline, wishes written
straight into the database get their command, old history goes.

Every process may run one; all that it does is conditional, so the second finds nothing left to do.
"""

from __future__ import annotations

import logging
import time

from django.db.models import Exists, F, OuterRef

from devices import commands, readings, reports
from devices.models import Command, Device
from devices.service import Service
from devices.settings import settings
from realtime.errors import RealtimeError

logger = logging.getLogger("devices.sweeper")

# History is days long; nobody sees whether it is a minute longer.
PRUNE_SECONDS = 60.0


class Sweeper(Service):
    def __init__(self) -> None:
        super().__init__()
        self._pruned = time.monotonic()

    @property
    def interval(self) -> float:
        return settings.SWEEP_SECONDS

    def step(self) -> None:
        sweep()
        if time.monotonic() - self._pruned > PRUNE_SECONDS:
            readings.prune()
            self._pruned = time.monotonic()


def sweep() -> None:
    adopt_written()
    mend_pending()
    commands.expire()
    reports.silence()


def adopt_written() -> int:
    """Make the commands for wishes that were written directly; how many devices had any."""
    written = list(Device.objects.exclude(desired=F("commanded")).order_by("pk").values_list("pk", flat=True))
    for pk in written:
        try:
            commands.adopt(pk)
        except RealtimeError as error:
            logger.info("device %s: %s", pk, error)  # gone meanwhile
    return len(written)


def mend_pending() -> int:
    """Where somebody removed an open command, what it left in its device's row goes too; how many."""
    still = Command.objects.filter(device=OuterRef("pk"), state__in=Command.OPEN)
    # The state is looked at again by the UPDATE: a wish that came in between stays.
    return Device.objects.filter(~Exists(still), pending__isnull=False).update(pending=None)
