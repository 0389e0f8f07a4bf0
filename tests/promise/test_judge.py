"""The judge itself: a clean run is judged clean, and each fault planted in it is named, by its name and no other."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from devices.models import Device, Membership
from tests.promise.audit import Audit
from tests.promise.equality import watched
from tests.promise.follower import Follower
from tests.promise.greenhouse import Greenhouse
from tests.promise.installation import SCALE, Installation, until
from tests.promise.judge import NAMES, Finding, Judge
from tests.promise.ledger import Entry, Ledger
from tests.promise.record import Mark, Received, Wanted
from tests.promise.storm import NEXT, Writer

pytestmark = pytest.mark.e2e

LIMIT = 2 * SCALE
STAFF, OPERATOR = "staff", "operator"


@dataclass
class Run:
    """What was committed and what was received, up to a moment at which everything had arrived."""

    slack: float
    entries: list[Entry]
    records: dict[str, list[Received]]
    users: dict[str, int]
    wanted: Wanted
    base: float

    def judged(self) -> list[Finding]:
        ledger = Ledger(self.slack)
        ledger.add(self.entries)
        found: list[Finding] = []
        for who, record in self.records.items():
            judge = Judge(ledger, self.users[who], who, self.wanted)
            judge.take(record)
            judge.conclude(self.base, LIMIT, self.base)
            found += judge.findings
        return found

    def planted(self, who: str, record: list[Received]) -> Run:
        return replace(self, records={**self.records, who: record})


@pytest.fixture(scope="module")
def run(servers: Installation) -> Iterator[Run]:
    """A storm of one writer, judged clean; also a device that moves where the operator may not see it."""
    audit = Audit(servers.kind, servers.url)
    with servers.orm(), contextlib.closing(audit):
        audit.install()
        house = Greenhouse.make()
        Device.objects.filter(name="device 0").update(name="witness")
        with watched(servers, house, STAFF, OPERATOR) as followers:
            writer = Writer(servers, house, "judged", 40)
            writer.start()
            writer.join(60)
            assert writer.errors == []
            Membership.objects.filter(user=house.people[OPERATOR]).update(location=house.there)
            time.sleep(2 * audit.slack)  # or the two commits could not be told apart
            Device.objects.filter(location=house.here).update(detail="not for the operator", **NEXT)
            shown(followers[STAFF], "not for the operator")
            for detail in ("seen", "last"):
                Device.objects.filter(name="witness").update(detail=detail, location=house.there, **NEXT)
                for follower in followers.values():
                    shown(follower, detail)
            found = Run(
                audit.slack,
                audit.take(),
                {},
                {who: house.people[who].pk for who in followers},
                house.everything(),
                time.time(),
            )

            def clean() -> bool:
                found.records = {who: list(one.record) for who, one in followers.items()}
                return found.judged() == []

            until(clean, "a clean judgement")
        yield found
        audit.remove()
        Device.objects.all().delete()


def shown(follower: Follower, detail: str) -> None:
    """Until it is, so that nothing newer takes its place on the way."""
    until(lambda: any(one["detail"] == detail for one in follower.screens()["devices"].values()), detail)


def test_a_clean_run_is_clean_and_not_empty(run: Run) -> None:
    changes = {who: len(list(of_changes(record))) for who, record in run.records.items()}
    assert run.judged() == [] and min(changes.values()) > 20


# -- faults, each planted once ---------------------------------------------------------------------------------------


def of_changes(record: list[Received]) -> Iterator[tuple[int, dict[str, Any]]]:
    for place, each in enumerate(record):
        if each.mark is Mark.FRAME and (frame := json.loads(each.text))["type"] == "change":
            yield place, frame


def again(record: list[Received], frame: dict[str, Any], **changed: Any) -> list[Received]:
    """The record, and then this frame, of the next offset of its stream."""
    offset = max((other["offset"] for _, other in of_changes(record)), default=0) + 1
    last = replace(record[-1], mark=Mark.FRAME, text=json.dumps({**frame, "offset": offset, **changed}))
    return [*record, last]


def last_of_witness(record: list[Received]) -> tuple[int, dict[str, Any]]:
    return next(found for found in of_changes(record) if found[1]["data"].get("detail") == "last")


def lost(run: Run) -> Run:
    record = list(run.records[STAFF])
    channel = last_of_witness(record)[1]["channel"]
    places = [n for n, f in of_changes(record) if f["data"].get("detail") == "last" and f["channel"] == channel]
    return run.planted(STAFF, [each for n, each in enumerate(record) if n not in places])


def phantom(run: Run) -> Run:
    record = run.records[STAFF]
    frame = last_of_witness(record)[1]
    return run.planted(STAFF, again(record, frame, data={**frame["data"], "detail": "nobody wrote this"}))


def phantom_of_another_collection(run: Run) -> Run:
    record = run.records[STAFF]
    frame = last_of_witness(record)[1]
    channel = next(f["channel"] for _, f in of_changes(record) if "location:" in f["channel"])
    return run.planted(STAFF, again(record, frame, channel=channel, action="updated"))


def backwards(run: Run) -> Run:
    record = run.records[STAFF]
    frame = last_of_witness(record)[1]
    older = next(
        f for _, f in of_changes(record) if f["data"].get("detail") == "seen" and f["channel"] == frame["channel"]
    )
    return run.planted(STAFF, again(record, older))


def backwards_before_it_was_deleted(run: Run) -> Run:
    record = run.records[STAFF]
    channel = last_of_witness(record)[1]["channel"]
    changes = [f for _, f in of_changes(record) if f["channel"] == channel]
    gone = {f["data"]["id"] for f in changes if f["action"] == "deleted" and f["gone"]}
    older = next(f for f in changes if f["action"] != "deleted" and f["data"]["id"] in gone)
    return run.planted(STAFF, again(record, older, action="updated"))


def leaked(run: Run) -> Run:
    secret = next(f for _, f in of_changes(run.records[STAFF]) if f["data"].get("detail") == "not for the operator")
    record = run.records[OPERATOR]
    replies = [json.loads(each.text) for each in record if '"local_channel":"devices"' in each.text.replace(" ", "")]
    (channel,) = replies[-1]["channel_data"]["remote_channels"]
    return run.planted(OPERATOR, again(record, secret, channel=channel))


def duplicated(run: Run) -> Run:
    record = run.records[STAFF]
    place, _ = last_of_witness(record)
    return run.planted(STAFF, [*record[: place + 1], record[place], *record[place + 1 :]])


def duplicated_creation(run: Run) -> Run:
    record = run.records[STAFF]
    deleted = {f["data"]["id"] for _, f in of_changes(record) if f["action"] == "deleted"}
    frame = next(f for _, f in of_changes(record) if f["action"] == "created" and f["data"]["id"] not in deleted)
    newest = [f for _, f in of_changes(record) if f["data"]["id"] == frame["data"]["id"]
              and f["channel"] == frame["channel"]][-1]  # fmt: skip
    return run.planted(STAFF, again(record, newest, action="created"))


def late(run: Run) -> Run:
    record = list(run.records[STAFF])
    record.append(replace(record[last_of_witness(record)[0]], at=run.base + LIMIT + 1))
    del record[last_of_witness(record)[0]]
    return run.planted(STAFF, record)


def never_equal(run: Run) -> Run:
    return run.planted(STAFF, [*run.records[STAFF], Received(run.base, Mark.CLOSED)])


PLANTS: dict[str, list[Callable[[Run], Run]]] = {
    "lost": [lost],
    "phantom": [phantom, phantom_of_another_collection],
    "backwards": [backwards, backwards_before_it_was_deleted],
    "leaked": [leaked],
    "duplicated": [duplicated, duplicated_creation],
    "late": [late],
    "never equal": [never_equal],
}


def test_every_name_has_its_plant() -> None:
    assert set(PLANTS) == set(NAMES)


@pytest.mark.parametrize("name, plant", [(name, plant) for name, plants in PLANTS.items() for plant in plants])
def test_a_planted_fault_is_named(run: Run, name: str, plant: Callable[[Run], Run]) -> None:
    found = plant(run).judged()
    assert {finding.name for finding in found} == {name}, [str(finding) for finding in found]
