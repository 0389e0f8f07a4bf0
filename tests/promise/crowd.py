"""The people who watch: every role, on every server, filtered, slow, restless, with rights that come and go."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.promise.audit import Audit
from tests.promise.follower import Follower
from tests.promise.greenhouse import Greenhouse
from tests.promise.judge import Judge
from tests.promise.ledger import Ledger
from tests.promise.proxy import Proxy
from tests.promise.record import Received, Wanted
from tests.promise.site import Site

# Two heartbeats of `settings_faults` missed, and a little.
SILENCE_SECONDS = 2.5
# What a slow client's line carries, bytes a second.
SLOW = 1_000_000
# Frames that are kept of each client, to be looked at when something was wrong.
KEPT = 400


class Watcher(Follower):
    """Keeps only the raw record, which is taken from it again and again; a page that is open for weeks."""

    def __init__(self, ports: int | Sequence[int], token: str, wanted: Wanted) -> None:
        super().__init__(ports, token, wanted, silence=SILENCE_SECONDS)
        self._taken = 0

    def keep(self, frame: dict[str, Any]) -> None:
        pass

    def fresh(self, until: int) -> list[Received]:
        """What came since the last time, up to a length of the record; of what is older only the newest is kept."""
        found = self.record[self._taken : until]
        surplus = max(0, until - KEPT)
        del self.record[:surplus]
        self._taken = until - surplus
        return found

    def forget_positions(self) -> None:
        """Come back and begin with snapshots."""
        self.drop()
        for place in self._places.values():
            place.lost()
        self.come_back()


@dataclass
class Person:
    name: str
    who: str
    follower: Watcher
    judge: Judge


class Crowd:
    def __init__(self, site: Site, house: Greenhouse, audit: Audit) -> None:
        self.site = site
        self.house = house
        self.audit = audit
        self.ledger = Ledger(audit.slack)
        self.people: dict[str, Person] = {}
        self._slow: Proxy | None = None
        #: Set while the restless client stays where it is.
        self.calm = threading.Event()
        self._ended = threading.Event()
        self._restless: threading.Thread | None = None

    def gather(self, seed: str) -> None:
        site, house = self.site, self.house
        ports, doors = site.ports(), [door.port for door in site.doors]
        self._slow = Proxy(ports[-1])
        self._slow.rate = SLOW
        some: Wanted = {
            "seen": ("device", {"presence__in": ["unknown", "online"]}),
            "off": ("device", {"is_on": False}),
            "unknown": ("device", {"is_on__isnull": True}),
            "nowhere": ("device", {"location__isnull": True}),
        }
        mine: Wanted = {**house.everything(), "memberships": ("membership", {})}
        self.admit("staff on the first server", "staff", ports[0])
        self.admit("staff on the last server", "staff", ports[-1], some)
        self.admit("operator at the first door", "operator", doors[0])
        self.admit("viewer at the last door", "viewer", doors[-1], mine)
        self.admit("stranger", "stranger", ports[0])
        self.admit("roamer on the first server", "roamer", ports[0], mine)
        self.admit("roamer at the last door", "roamer", doors[-1])
        self.admit("slow", "staff", self._slow.port)
        self.admit("restless", "operator", [*ports, *doors], mine)
        self._restless = threading.Thread(target=self._stir, args=[random.Random(seed)], daemon=True, name="restless")
        self._restless.start()

    def admit(self, name: str, who: str, ports: int | Sequence[int], wanted: Wanted | None = None) -> Person:
        wanted = wanted or self.house.everything()
        follower = Watcher(ports, self.house.tokens[who], wanted)
        judge = Judge(self.ledger, self.house.people[who].pk, name, wanted)
        self.people[name] = found = Person(name, who, follower, judge)
        return found

    def dismiss(self, name: str) -> None:
        self.people.pop(name).follower.end()

    def listen(self) -> None:
        """Let the judges hear what came so far; the ledger first, so that it knows whatever can have been shown."""
        lengths = {name: len(person.follower.record) for name, person in self.people.items()}
        self.ledger.add(self.audit.take())
        for name, length in lengths.items():
            person = self.people[name]
            person.judge.take(person.follower.fresh(length))

    def end(self) -> None:
        self._ended.set()
        if self._restless:
            self._restless.join(10)
        for name in list(self.people):
            self.dismiss(name)
        if self._slow:
            self._slow.end()

    def _stir(self, chance: random.Random) -> None:
        follower = self.people["restless"].follower
        while not self._ended.wait(chance.uniform(0.5, 2.5)):
            if self.calm.is_set():
                continue
            follower.drop()
            time.sleep(chance.uniform(0, 0.3))
            follower.come_back()
