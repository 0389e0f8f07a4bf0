"""Identities and rights that end while nothing can be told."""

from __future__ import annotations

import datetime
import signal
import threading
import time

from django.contrib.auth.models import User
from django.db import connections
from django.utils import timezone

from devices.models import Device, Membership
from realtime.models import Token
from tests.promise.faults import Fault, fault
from tests.promise.points import claims, forget
from tests.promise.storm import NEXT

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


# Where the relay sleeps while the right comes back: what it read before, it publishes after that.
ASLEEP = ("loaded", "published-half", "", "read", "bus-half")
NAP_SECONDS = 0.15


@fault("a right ends and comes back")
class Blink(Fault):
    """Guests of this fault alone. While they have no right, objects change twice: the first state is over when they
    have it again, and may still be on its way."""

    lasts = (0.8, 2.0)

    def prepare(self) -> None:
        self.place = self.variant(*ASLEEP)
        self.detail = f"relay sleeps at {self.place}" if self.place else "as fast as it goes"
        house = self.crowd.house
        self.who = f"blinker {self.number}"
        house.admit(self.who, "operator", house.here)
        self.names = [f"{self.who} of {port}" for port in self.site.ports()]
        for name, port in zip(self.names, self.site.ports(), strict=True):
            self.crowd.admit(name, self.who, port)

    def begin(self) -> None:
        self.over = threading.Event()
        self.blinking = threading.Thread(target=self._blink)
        self.blinking.start()

    def end(self) -> None:
        self.over.set()
        self.blinking.join()
        if self.place:
            forget(self.site.points, self.place)

    def tidy(self) -> None:
        for name in self.names:
            self.crowd.dismiss(name)
        User.objects.filter(username=self.who).delete()

    def _blink(self) -> None:
        try:
            times = 0
            while not self.over.is_set():
                self._once()
                times += 1
                time.sleep(self.chance.uniform(0, 0.1))
            self.detail += f", {times} times"
        finally:
            connections.close_all()

    def _once(self) -> None:
        house = self.crowd.house
        mine = Membership.objects.filter(user__username=self.who)
        known = list(Device.objects.filter(location=house.here).values_list("pk", flat=True))
        chosen = self.chance.sample(known, min(len(known), 3))
        devices = Device.objects.filter(pk__in=chosen)
        if self.place:
            (self.site.points / self.place).write_text(f"sleep {NAP_SECONDS}")
        mine.delete()
        devices.update(detail="in between", **NEXT)
        self._asleep()
        devices.update(detail="as it is", **NEXT)
        Membership.objects.create(user=User.objects.get(username=self.who), location=house.here)

    def _asleep(self) -> None:
        """Until the relay came by."""
        deadline = time.monotonic() + NAP_SECONDS
        while self.place and time.monotonic() < deadline:
            if claims(self.site.points, self.place):
                return
            time.sleep(0.002)
