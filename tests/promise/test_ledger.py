"""The ledger: which states an object had, and who could see them when; and an audit that misses and adds nothing."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from django.db import transaction

from devices.models import Device, Location, Membership
from tests.devices import base
from tests.promise.audit import Audit
from tests.promise.greenhouse import on_the_wire
from tests.promise.installation import Installation
from tests.promise.ledger import STILL, Entry, Ledger
from tests.promise.published import KINDS, MEMBERSHIPS, USERS, print_of, shown
from tests.promise.rights import Rights

DEVICE, PLACE, KIND = "devices_device", "devices_location", "devices_devicetype"


def ledger(*rows: tuple[float, str, str, dict[str, Any] | None], slack: float = 0.0) -> Ledger:
    found = Ledger(slack)
    found.add(Entry(at, n, str(n), table, key, row) for n, (at, table, key, row) in enumerate(rows))
    return found


def device(**values: Any) -> dict[str, Any]:
    return {**dict.fromkeys(KINDS["device"].names.values()), "id": 1, "type_id": "t", **values}


def place(name: str) -> dict[str, Any]:
    return {"id": 7, "name": name, "timezone": "UTC", "icon": ""}


TYPE = {"slug": "t", "name": "Type", "icon": "", "schema": {}}


def spans(found: Ledger, **shown: Any) -> list[tuple[float, float]]:
    names = KINDS["device"].names
    data = {"_type": "device", "type_name": "Type", "icon": "", "schema": {}, "location_name": None}
    row = device(**shown)
    data |= {wire: row[column] for wire, column in names.items()}
    data |= {name: value for name, value in shown.items() if name == "location_name"}
    return [(span.start, span.end) for span, _ in found.states("device", data)]


def test_a_state_holds_until_the_next_commit_of_the_same_row() -> None:
    found = ledger((1, KIND, "t", TYPE), (2, DEVICE, "1", device(detail="a")), (3, DEVICE, "1", device(detail="b")),
                   (4, DEVICE, "1", device(detail="a")), (5, DEVICE, "1", None))  # fmt: skip
    assert spans(found, detail="a") == [(2, 3), (4, 5)]
    assert spans(found, detail="b") == [(3, 4)]
    assert spans(found, detail="c") == []
    assert found.objects("device") == {}


def test_what_an_object_shows_of_another_row_held_at_the_same_time() -> None:
    found = ledger((1, KIND, "t", TYPE), (1, PLACE, "7", place("old")), (2, DEVICE, "1", device(location_id=7)),
                   (3, PLACE, "7", place("new")), (4, DEVICE, "1", device(location_id=7, detail="b")))  # fmt: skip
    assert spans(found, location_id=7, location_name="old") == [(2, 3)]
    assert spans(found, location_id=7, location_name="new") == [(3, 4)]
    assert spans(found, location_id=7, location_name="old", detail="b") == []
    assert found.objects("device")[1][0]["location_name"] == "new"


def test_of_one_transaction_only_the_last_state_of_a_row_counts() -> None:
    found = Ledger()
    found.add([Entry(1, 1, "x", KIND, "t", TYPE), Entry(2, 2, "y", DEVICE, "1", device(detail="between")),
               Entry(2, 3, "y", DEVICE, "1", device(detail="after"))])  # fmt: skip
    assert spans(found, detail="between") == []
    assert spans(found, detail="after") == [(2, STILL)]


def test_a_late_entry_finds_its_place() -> None:
    found = ledger((1, KIND, "t", TYPE), (4, DEVICE, "1", device(detail="b")))
    assert spans(found, detail="b") == [(4, STILL)]
    found.add([Entry(2, 9, "z", DEVICE, "1", device(detail="a")), Entry(5, 10, "zz", DEVICE, "1", None)])
    assert spans(found, detail="a") == [(2, 4)] and spans(found, detail="b") == [(4, 5)]


def test_rights_have_a_history() -> None:
    user = {"id": 5, "is_active": True, "is_staff": False}
    mine = {"id": 1, "user_id": 5, "location_id": 7}
    found = ledger((1, USERS, "5", user), (2, MEMBERSHIPS, "1", mine), (3, MEMBERSHIPS, "1", None),
                   (4, USERS, "5", {**user, "is_staff": True}),
                   (5, USERS, "5", {**user, "is_active": False}))  # fmt: skip
    rights = Rights(found, 5)
    row = device(location_id=7)
    assert [(s.start, s.end) for s in rights.during("device", row)] == [(2, 3), (4, 5)]
    assert [(s.start, s.end) for s in rights.during("device", device())] == [(4, 5)]
    assert not rights.now("device", row)
    found.add([Entry(6, 99, "n", USERS, "5", {**user, "is_staff": True})])
    assert rights.now("device", row)


@pytest.mark.e2e
def test_the_audit_keeps_what_was_committed_and_nothing_else(installation: Installation) -> None:
    with contextlib.closing(Audit(installation.kind, installation.url)) as audit:
        audit.install()
        here = base.location()
        one, other = base.dimmer("one"), base.dimmer("other", reported={"level": 0.1, "on": None}, last_seen=base.NOON)
        base.person("operator", "operator", here, is_staff=True)
        with transaction.atomic():
            Device.objects.filter(pk=one.pk).update(detail="first", is_on=None)
            with contextlib.suppress(ZeroDivisionError), transaction.atomic():
                Device.objects.filter(pk=one.pk).update(detail="undone")
                raise ZeroDivisionError
        with contextlib.suppress(ZeroDivisionError), transaction.atomic():
            Device.objects.all().delete()
            raise ZeroDivisionError
        installation.program(f"UPDATE devices_device SET detail = 'by hand' WHERE id = {other.pk}")
        Location.objects.filter(pk=here.pk).update(name="renamed")
        found = Ledger(audit.slack)
        found.add(audit.take())
        assert audit.take() == []
        objects = found.objects("device")
        assert {data["detail"] for data, _ in objects.values()} == {"first", "by hand"}
        assert {data["location_name"] for data, _ in objects.values()} == {"renamed"}
        details = [v.row and v.row["detail"] for v in found.versions(DEVICE, str(one.pk))]
        assert details == [None, "", "first"]
        # What a client would be sent now is what the ledger has.
        for stream, model in (("device", Device), ("location", Location), ("membership", Membership)):
            sent = {row.pk: print_of(shown(on_the_wire(stream, row))) for row in model.objects.all()}
            assert {key: print_of(data) for key, (data, _) in found.objects(stream).items()} == sent
        audit.remove()
