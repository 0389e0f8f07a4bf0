"""A writer that goes on through every fault, as programs beside the servers do: what is refused is counted."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable

from django.contrib.auth.models import User
from django.db import Error, connections, transaction
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect as open_socket

from devices.models import Device, Membership
from tests.promise.greenhouse import Greenhouse
from tests.promise.site import Site
from tests.promise.storm import NEXT, PHANTOM, Writer
from tests.realtime.serving import Peer

# Between two writes of one writer: two write some twenty times a second, the hurried as often as it goes.
PAUSE_SECONDS = (0.02, 0.1)
HURRIED_SECONDS = (0.0, 0.01)
# Devices there are at most and at least; beyond, they are deleted and born.
POPULATION = (8, 24)
# What a call of a verb may take before its caller gives up; whether it was done is for the audit to say.
CALL_SECONDS = 2.0


class Scribe(Writer):
    def __init__(self, site: Site, house: Greenhouse, seed: str, pause: tuple[float, float]) -> None:
        super().__init__(site.installation, house, seed, 0)
        self._pause = pause
        self._site = site
        self._end = threading.Event()
        self._peer: Peer | None = None
        self._closing = contextlib.ExitStack()
        #: What the database refused, by the first words of why.
        self.refused: Counter[str] = Counter()
        #: When its last write was done, by the wall clock.
        self.last = 0.0
        self._choices += [self.twice, self.rights, self.rights]

    def end(self) -> None:
        self._end.set()

    def run(self) -> None:
        try:
            while not self._end.is_set():
                self._once()
                self._end.wait(self._chance.uniform(*self._pause))
        except BaseException as error:
            self.errors.append(error)
        finally:
            self._closing.close()
            connections.close_all()

    def _once(self) -> None:
        began = time.monotonic()
        try:
            self._write(self._choice())
        except (Error, AssertionError) as error:
            self.refused[str(error).strip().splitlines()[-1][:60]] += 1
            connections.close_all()
        except (OSError, TimeoutError, ConnectionClosed, InvalidHandshake):
            self.done["cut"] += 1
            self._closing.close()
            self._peer = None
        self.slowest = max(self.slowest, time.monotonic() - began)
        self.last = time.time()

    def _choice(self) -> Callable[[], None]:
        count = Device.objects.count()
        if count < POPULATION[0]:
            return self.bulk_create
        if count > POPULATION[1]:
            return self.delete
        # A program of its own costs more than all else together.
        if self._chance.random() < 0.05:
            return self.program
        return self._chance.choice([act for act in self._choices if act != self.program])

    # -- writes that only happen here --------------------------------------------------------------------------------

    def verb(self) -> None:
        (pk,) = self.some(1)
        if self._peer is None:
            opening = open_socket(
                f"ws://127.0.0.1:{self._chance.choice(self._site.ports())}/ws",
                additional_headers={"Authorization": f"Bearer {self._house.tokens['staff']}"},
                open_timeout=CALL_SECONDS,
                close_timeout=0.2,
                compression=None,
            )
            self._peer = Peer(self._closing.enter_context(opening))
        wish = {"on": self._chance.random() < 0.5, "level": self._chance.randrange(100)}
        name = self._peer.send("update", "device", id=pk, desired=wish)
        deadline = time.monotonic() + CALL_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            if self._peer.receive(left).get("context", {}).get("client_callback_name") == name:
                return
        raise TimeoutError

    def twice(self) -> None:
        """What stands between two statements of one transaction was never there."""
        with transaction.atomic():
            one = Device.objects.filter(pk__in=self.some(1))
            one.update(detail=PHANTOM, **NEXT)
            one.update(detail=f"settled {self._chance.randrange(1000)}", **NEXT)

    def rights(self) -> None:
        """Of the roamer, who gets and loses them all the time."""
        roamer = User.objects.get(username="roamer")
        with transaction.atomic():
            User.objects.filter(pk=roamer.pk).update(is_staff=self._chance.random() < 0.15)
            places = self._chance.sample([self._house.here, self._house.there], self._chance.randrange(3))
            Membership.objects.filter(user=roamer).exclude(location__in=places).delete()
            for place in places:
                Membership.objects.get_or_create(user=roamer, location=place)


class Scribes:
    """Several at once, for a while."""

    def __init__(self, site: Site, house: Greenhouse, seed: str, *, hurried: bool = False) -> None:
        count, pause = (3, HURRIED_SECONDS) if hurried else (2, PAUSE_SECONDS)
        self.writers = [Scribe(site, house, f"{seed}.{number}", pause) for number in range(count)]
        for writer in self.writers:
            writer.start()

    def written(self) -> int:
        return sum(sum(writer.done.values()) for writer in self.writers)

    def stop(self, limit: float) -> bool:
        """Whether all of them ended within the limit; they end after the write that they are in."""
        for writer in self.writers:
            writer.end()
        deadline = time.monotonic() + limit
        for writer in self.writers:
            writer.join(max(0.0, deadline - time.monotonic()))
        return not any(writer.is_alive() for writer in self.writers)

    @property
    def last(self) -> float:
        return max(writer.last for writer in self.writers)

    @property
    def slowest(self) -> float:
        return max(writer.slowest for writer in self.writers)

    def refused(self) -> Counter[str]:
        return sum((writer.refused for writer in self.writers), Counter())

    def errors(self) -> list[BaseException]:
        return [error for writer in self.writers for error in writer.errors]
