"""Who alone does a piece of work among all processes: a row with an end, taken by one conditional UPDATE."""

from __future__ import annotations

import datetime
import secrets

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from devices.models import Lease

# A process that dies in the middle is replaced after so long; clocks of two machines may differ by less.
SECONDS = 5.0
# The row is written anew when half of that is over, not at every step.
RENEW = SECONDS / 2


class Holder:
    """One process's claim. `holds()` is asked before each step of the work."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.holder = secrets.token_hex(8)
        self._until = datetime.datetime.min.replace(tzinfo=datetime.UTC)

    def holds(self, *, take_over: bool = False, now: datetime.datetime | None = None) -> bool:
        """Whether the work is ours until the next time. `take_over`: even if another process is at it."""
        now = now or timezone.now()
        if not take_over and self._until - now > datetime.timedelta(seconds=SECONDS - RENEW):
            return True
        until = now + datetime.timedelta(seconds=SECONDS)
        rows = Lease.objects.filter(name=self.name)
        free = rows if take_over else rows.filter(Q(holder=self.holder) | Q(until__lt=now))
        taken = bool(free.update(holder=self.holder, until=until)) or self._made(until)
        self._until = until if taken else datetime.datetime.min.replace(tzinfo=datetime.UTC)
        return taken

    def release(self) -> None:
        Lease.objects.filter(name=self.name, holder=self.holder).delete()

    def _made(self, until: datetime.datetime) -> bool:
        if Lease.objects.filter(name=self.name).exists():
            return False
        try:
            with transaction.atomic():
                Lease.objects.create(name=self.name, holder=self.holder, until=until)
        except IntegrityError:  # another process was quicker
            return False
        return True
