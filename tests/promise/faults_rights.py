"""Identities and rights that end while nothing can be told."""

from __future__ import annotations

import datetime
import signal
import threading

from django.contrib.auth.models import User
from django.db import connections
from django.utils import timezone

from devices.models import Membership
from realtime.models import Token
from tests.promise.faults import Fault, fault

WAYS = ("membership", "revoked", "expired", "deactivated", "staff")


@fault("rights end in an outage")
class RightsEnd(Fault):
    """Guests of this fault alone, one on each server; the outage is a standing server, relay or bus."""

    lasts = (0.5, 2.0)

    def prepare(self) -> None:
        self.way = self.variant(*WAYS)
        house = self.crowd.house
        self.who = f"guest {self.number}"
        house.admit(self.who, "operator", house.here, is_staff=self.way == "staff")
        self.names = [f"{self.who} of {port}" for port in self.site.ports()]
        for name, port in zip(self.names, self.site.ports(), strict=True):
            self.crowd.admit(name, self.who, port)

    def begin(self) -> None:
        outages = ["server"]
        if self.site.relays:
            outages += ["relays", "Redis"]
        outage = outages[self.number // len(WAYS) % len(outages)]
        self.detail = f"{self.way}, {outage} standing still"
        self.stopped = {
            "server": [self.site.servers[0].process],
            "relays": [relay.process for relay in self.site.relays],
            "Redis": [self.site.redis.process] if self.site.installation.redis else [],
        }[outage]
        for process in self.stopped:
            assert process is not None
            process.send_signal(signal.SIGSTOP)
        # A server that stands still with SQLite's one lock lets nobody write before it goes on.
        self.taking = threading.Thread(target=self._take_away)
        self.taking.start()

    def end(self) -> None:
        for process in self.stopped:
            assert process is not None
            process.send_signal(signal.SIGCONT)
        self.taking.join()

    def tidy(self) -> None:
        for name in self.names:
            self.crowd.dismiss(name)
        User.objects.filter(username=self.who).delete()

    def _take_away(self) -> None:
        try:
            self._taken_away()
        finally:
            connections.close_all()

    def _taken_away(self) -> None:
        users = User.objects.filter(username=self.who)
        if self.way == "membership":
            Membership.objects.filter(user__in=users).delete()
        elif self.way == "staff":
            users.update(is_staff=False)
        else:
            self.ended = self.names
            if self.way == "deactivated":
                users.update(is_active=False)
            else:
                at = timezone.now()
                field = {"revoked": "revoked_at", "expired": "expires_at"}[self.way]
                past = at - datetime.timedelta(seconds=1) if field == "expires_at" else at
                Token.objects.filter(user__in=users).update(**{field: past})
