"""One fault, from calm to calm: writers write, it breaks, it is mended, and every screen is judged."""

from __future__ import annotations

import contextlib
import json
import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import connections

from devices.models import Device
from tests import services
from tests.promise.audit import Audit
from tests.promise.crowd import Crowd
from tests.promise.faults import KINDS, Fault
from tests.promise.greenhouse import Greenhouse
from tests.promise.installation import SCALE, until
from tests.promise.judge import Finding
from tests.promise.record import Mark, Received
from tests.promise.schedule import Planned
from tests.promise.scribe import Scribes
from tests.promise.site import Site, site

# The promise: from the later of the fault's end and the socket's opening.
LIMIT = 2.0
# Who lost their identity is shown the door within this time of the fault's end.
DOOR = 5.0
# Beyond the limit, before what is still wrong is taken for wrong for ever.
PATIENCE = 8.0
# Every so many faults of a kind, writers hurry.
HURRY = 4
# Writes before it breaks, and the time for them.
WARM = (6, 1.5)


def trail(received: Received) -> str:
    """One line about what was received."""
    if received.mark is not Mark.FRAME:
        return f"{received.at:.4f} {received.mark.value}"
    frame = json.loads(received.text)
    told = frame.get("channel_data") or {}
    words = [frame.get("type"), frame.get("action"), frame.get("channel"), frame.get("offset"), frame.get("position")]
    words += [told.get("local_channel"), told.get("remote_channels")]
    words += [
        frame.get("context", {}).get(name) for name in ("state", "part", "more", "recovered", "position", "error")
    ]
    rows = frame.get("data") if isinstance(frame.get("data"), list) else [frame.get("data")]
    shown = [
        [row.get(n) for n in ("id", "acked_version", "location", "detail")] for row in rows if isinstance(row, dict)
    ]
    return f"{received.at:.4f} {' '.join(str(word) for word in words if word is not None)} {shown}"


@dataclass
class Verdict:
    """What came of one fault, in numbers."""

    number: int
    kind: str
    detail: str
    #: Seconds that it was broken.
    outage: float
    #: Whether the last commit was inside the outage.
    inside: bool
    #: By client, seconds until its screens were equal to the database.
    equal: dict[str, float | None]
    findings: list[str]
    writes: int
    refused: dict[str, int]
    slowest_write: float
    #: What servers and relays logged as errors.
    logged: list[str] = field(default_factory=list)
    #: By client of whom something was found, the last frames that it received.
    trails: dict[str, list[str]] = field(default_factory=dict)

    @property
    def slowest(self) -> float | None:
        """None: somebody's never were."""
        if any(seconds is None for seconds in self.equal.values()):
            return None
        return max((seconds or 0.0 for seconds in self.equal.values()), default=0.0)

    def plain(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "trails"}


class Trials:
    """A site with its crowd, on which fault follows fault."""

    def __init__(self, place: Site, house: Greenhouse, crowd: Crowd) -> None:
        self.site = place
        self.house = house
        self.crowd = crowd

    def run(self, planned: Planned, patience: float = LIMIT * SCALE + PATIENCE) -> tuple[Verdict, bool]:
        """And whether another can follow: not if some clients are not served any more. After `patience` seconds what is
        wrong is wrong for ever."""
        verdict = self._run(planned, patience)
        try:
            self.settle()
        except AssertionError:
            left = [person.name for person in self.crowd.people.values() if not person.judge.settled]
            verdict.findings.append(f"never equal: {', '.join(left)}: not served again")
            return verdict, False
        return verdict, True

    def _run(self, planned: Planned, patience: float) -> Verdict:
        kind = KINDS[planned.kind]
        fault = kind(self.site, self.crowd, random.Random(planned.seed), planned.time, planned.seconds)
        complaints = len(self.site.complaints())
        fault.prepare()
        self.settle()
        scribes = Scribes(self.site, self.house, planned.seed, hurried=planned.time % HURRY == HURRY - 1)
        self.crowd.calm.clear()
        try:
            deadline = time.monotonic() + WARM[1]
            while scribes.written() < WARM[0] and time.monotonic() < deadline:
                time.sleep(0.01)
            begun = time.time()
            fault.begin()
            if planned.inside:
                time.sleep(0.6 * fault.seconds)
                scribes.stop(1.0)
                time.sleep(0.4 * fault.seconds)
            else:
                time.sleep(fault.seconds)
            if fault.mended_in_peace:
                scribes.stop(20)
            fault.end()
            over = time.time()
            connections.close_all()
            if not planned.inside:
                time.sleep(0.3)
        finally:
            assert scribes.stop(40), "a writer does not end"
            self.crowd.calm.set()
        if errors := scribes.errors():
            raise AssertionError(f"{planned}: a writer failed: {errors}") from errors[0]
        equal = self._judged(fault, over, patience)
        last = self.crowd.ledger.last
        findings, trails = self._findings()
        fault.tidy()
        return Verdict(
            planned.number, planned.kind, fault.detail, over - begun, begun <= last <= over, equal,
            [str(finding) for finding in findings], scribes.written(), dict(scribes.refused()), scribes.slowest,
            sorted(set(self.site.complaints()[complaints:])), trails,
        )  # fmt: skip

    def settle(self, limit: float = 20) -> None:
        """Everybody who may be is connected, and sees what there is."""

        def settled() -> bool:
            self.crowd.listen()
            return all(person.judge.settled for person in self.crowd.people.values())

        until(settled, "a settled crowd", limit)

    # -- private -----------------------------------------------------------------------------------------------------

    def _judged(self, fault: Fault, over: float, patience: float) -> dict[str, float | None]:
        """By client, the seconds until it was equal."""
        crowd = self.crowd
        staying = [person for name, person in crowd.people.items() if name not in fault.ended]
        leaving = [crowd.people[name] for name in fault.ended]
        for person in leaving:
            person.judge.barred = over + DOOR * SCALE
        while True:
            # Of a thousand writes it may be listened for longer than the patience lasts; what came meanwhile counts.
            heard = time.time()
            crowd.listen()
            base = max(over, crowd.ledger.last)
            equal = all(person.judge.equal_for(base) is not None for person in staying)
            closed = not any(person.judge.settled for person in leaving)
            late = heard > max(over + patience, *(person.judge.barred + 1 for person in leaving), 0)
            if (equal and closed) or late:
                break
            time.sleep(0.05)
        if mistakes := crowd.audit.mistakes(crowd.ledger):
            raise AssertionError(f"the ledger and the tables do not agree: {mistakes}")
        now = time.time()
        for person in leaving:
            if person.judge.settled:
                person.judge.findings.append(Finding("leaked", person.name, "", None, now, "still connected"))
        return {person.name: person.judge.conclude(base, LIMIT * SCALE, now) for person in staying}

    def _findings(self) -> tuple[list[Finding], dict[str, list[str]]]:
        """What was found, with what was received, and whoever it was found of begins anew."""
        found = []
        trails = {}
        for person in self.crowd.people.values():
            if person.judge.findings:
                found += person.judge.findings
                trails[person.name] = [trail(each) for each in list(person.follower.record)]
                person.judge.findings = []
                person.follower.forget_positions()
        return found, trails


@contextlib.contextmanager
def trials(pair: str, seed: int, postgres: services.Postgres | None = None) -> Iterator[Trials]:
    """Installed, peopled and calm."""
    with contextlib.ExitStack() as stack:
        place = stack.enter_context(site(pair, postgres))
        stack.enter_context(place.installation.orm())
        audit = Audit(place.installation.kind, place.installation.url)
        stack.callback(audit.close)
        audit.install()
        house = Greenhouse.make(12)
        house.admit("roamer")
        Device.objects.filter(name="device 0").update(name="witness")
        place.start(stack)
        crowd = Crowd(place, house, audit)
        stack.callback(crowd.end)
        crowd.gather(f"{pair} {seed}")
        yield Trials(place, house, crowd)
