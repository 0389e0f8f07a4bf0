"""Many kinds of writes by several writers at once, in an order that a seed decides as far as threads let it."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable

from django.db import DatabaseError, IntegrityError, OperationalError, connections, transaction
from django.db.models import F

from devices import reports
from devices.models import Device, Location
from realtime.errors import RealtimeError
from tests.devices import base
from tests.promise.greenhouse import Greenhouse
from tests.promise.installation import STRANGER, Installation
from tests.realtime.serving import Peer, peer

# Raised by every write, so that a screen that goes backwards can be told.
NEXT = {"acked_version": F("acked_version") + 1}
# Never committed, so nobody may ever see it.
PHANTOM = "phantom"


class Undone(Exception):
    pass


class Writer(threading.Thread):
    """Does `count` writes; `done` says how many of which kind, `errors` what it did not expect."""

    def __init__(self, installation: Installation, house: Greenhouse, seed: str, count: int) -> None:
        super().__init__(name=f"writer {seed}", daemon=True)
        self.done: Counter[str] = Counter()
        self.errors: list[BaseException] = []
        #: Seconds that the longest write took.
        self.slowest = 0.0
        self._installation = installation
        self._house = house
        self._chance = random.Random(seed)
        self._count = count
        self._choices: list[Callable[[], None]] = [
            self.save, self.save, self.update, self.update, self.bulk_update, self.bulk_create, self.delete, self.move,
            self.move, self.report, self.report, self.undone, self.rename, self.program, self.verb, self.verb,
        ]  # fmt: skip

    def run(self) -> None:
        number = self._chance.randrange(2)
        try:
            with peer(self._installation.port(number), token=self._house.tokens["staff"]) as self._client:
                for _ in range(self._count):
                    began = time.monotonic()
                    self._write(self._chance.choice(self._choices))
                    self.slowest = max(self.slowest, time.monotonic() - began)
        except BaseException as error:
            self.errors.append(error)
        finally:
            connections.close_all()

    def _write(self, act: Callable[[], None]) -> None:
        try:
            act()
        except OperationalError as error:
            # Two writers that lock the same rows in another order: PostgreSQL ends one of them.
            if "deadlock" not in str(error):
                raise
            self.done["deadlock"] += 1
        except IntegrityError:
            # Its device was deleted meanwhile.
            self.done["too late"] += 1
        except RealtimeError:
            self.done["too late"] += 1
        except DatabaseError as error:
            if "did not affect any rows" not in str(error):
                raise
            self.done["too late"] += 1
        else:
            self.done[act.__name__] += 1

    # -- writes ------------------------------------------------------------------------------------------------------

    _client: Peer

    def some(self, most: int) -> list[int]:
        pks = list(Device.objects.order_by("pk").values_list("pk", flat=True))
        return sorted(self._chance.sample(pks, min(len(pks), self._chance.randint(1, most))))

    def place(self) -> Location | None:
        return self._chance.choice([self._house.here, self._house.there, None])

    def save(self) -> None:
        for device in Device.objects.filter(pk__in=self.some(1)):
            device.detail = f"saved {self._chance.randrange(1000)}"
            device.acked_version = F("acked_version") + 1
            device.save()

    def update(self) -> None:
        on = self._chance.choice([True, False, None])
        Device.objects.filter(pk__in=self.some(6)).update(is_on=on, **NEXT)

    def bulk_update(self) -> None:
        devices = list(Device.objects.filter(pk__in=self.some(4)))
        for device in devices:
            device.detail = f"bulk {self._chance.randrange(1000)}"
            device.acked_version = F("acked_version") + 1
        Device.objects.bulk_update(devices, ["detail", "acked_version"])

    def bulk_create(self) -> None:
        kind = base.dimmer_type()
        Device.objects.bulk_create(
            Device(name=f"born {self._chance.randrange(1000)}", type=kind, location=self.place()) for _ in range(3)
        )

    def delete(self) -> None:
        Device.objects.filter(pk__in=self.some(2)).exclude(name="witness").delete()

    def move(self) -> None:
        Device.objects.filter(pk__in=self.some(3)).exclude(name="witness").update(location=self.place(), **NEXT)

    def report(self) -> None:
        on = self._chance.random() < 0.5
        reports.report(Device.objects.get(name="witness").pk, {"on": on, "level": self._chance.randrange(100)})

    def undone(self) -> None:
        try:
            with transaction.atomic():
                Device.objects.filter(pk__in=self.some(5)).update(detail=PHANTOM, **NEXT)
                Device.objects.create(name=PHANTOM, type=base.dimmer_type(), location=self._house.here)
                raise Undone
        except Undone:
            pass

    def rename(self) -> None:
        place = self._chance.choice([self._house.here, self._house.there])
        Location.objects.filter(pk=place.pk).update(name=f"{place.name} {self._chance.randrange(1000)}")

    def program(self) -> None:
        (pk,) = self.some(1)
        role = self._chance.choice(["marshlight", STRANGER])
        text = f"SET detail = 'by hand {self._chance.randrange(1000)}', acked_version = acked_version + 1"
        self._installation.program(f"UPDATE devices_device {text} WHERE id = {pk}", role)

    def verb(self) -> None:
        (pk,) = self.some(1)
        wish = {"on": self._chance.random() < 0.5, "level": self._chance.randrange(100)}
        self._client.call("update", "device", id=pk, desired=wish)
