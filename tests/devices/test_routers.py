from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from devices import commands, reports
from devices.models import Attribute, Command, Device, DeviceType, Location, Membership, Status
from realtime.errors import BadArgs, BadFilter, Conflict, Invalid, LoginRequired, NotAllowed, NotFound, UnknownVerb
from realtime.protocol import Call
from realtime.routers import plan, run
from tests.devices.base import at, call, caller, dimmer, dimmer_type, location, person

pytestmark = pytest.mark.django_db

Person = User | None


@pytest.fixture
def people() -> dict[str, Person]:
    return {
        "anonymous": None,
        "stranger": person("stranger"),
        "elsewhere": person("elsewhere", "manager", location("Workshop")),
        "viewer": person("viewer", "viewer"),
        "operator": person("operator", "operator"),
        "manager": person("manager", "manager"),
        "staff": person("staff", is_staff=True),
    }


# Who may do what: "-" not_found, "x" not_allowed, "l" login_required, "i" invalid, "+" done.
# In the order anonymous, stranger, elsewhere, viewer, operator, manager, staff.
WHO = ("anonymous", "stranger", "elsewhere", "viewer", "operator", "manager", "staff")
MARKS = {"l": "login_required", "-": "not_found", "x": "not_allowed", "+": "ok", "i": "invalid"}
MATRIX = {
    ("device", "get_single"): "l--++++",
    ("device", "wish"): "l--x+++",
    ("device", "retry"): "l--x+++",
    ("device", "rename"): "l--xx++",
    ("device", "wish and rename"): "l--xx++",
    ("device", "disable"): "l--xx++",
    ("device", "change type"): "l--xxx+",
    ("device", "change uid"): "l--xxx+",
    ("device", "make staff's"): "l--iii+",
    ("device", "create"): "lxxxxx+",
    ("device", "delete"): "lxxxxx+",
    ("device", "report"): "lxxxxx+",
    ("location", "get_single"): "l--++++",
    ("location", "rename"): "l--xx++",
    ("location", "create"): "lxxxxx+",
    ("location", "delete"): "lxxxxx+",
    ("location", "roles"): "l++++++",
    ("status", "get_list"): "l++++++",
    ("attribute", "get_list"): "l++++++",
    ("command", "get_list"): "l++++++",
    ("status", "subscribe"): "l++++++",
    ("attribute", "subscribe"): "l++++++",
    ("command", "subscribe"): "l++++++",
    ("devicetype", "get_list"): "l++++++",
    ("membership", "get_list"): "l++++++",
}


def attempt(user: Person, route: str, what: str, device: Device) -> None:
    place = device.location
    assert place is not None
    actions: dict[str, tuple[str, dict[str, Any]]] = {
        "wish": ("update", {"id": device.pk, "desired": {"on": True}}),
        "retry": ("retry", {"id": device.pk}),
        "wish and rename": ("update", {"id": device.pk, "desired": {"on": True}, "name": "x"}),
        "rename": ("update", {"id": device.pk if route == "device" else place.pk, "name": "x"}),
        "disable": ("update", {"id": device.pk, "enabled": False}),
        "change type": ("update", {"id": device.pk, "type": "dimmer"}),
        "change uid": ("update", {"id": device.pk, "uid": "x"}),
        "make staff's": ("update", {"id": device.pk, "location": None}),
        "get_single": ("get_single", {"id": device.pk if route == "device" else place.pk}),
        "delete": ("delete", {"id": device.pk if route == "device" else place.pk}),
        "create": ("create", {"name": "new"} | ({"type": "dimmer"} if route == "device" else {})),
        "report": ("report", {"id": device.pk, "values": {"on": True}}),
        "roles": ("roles", {}),
        "subscribe": ("subscribe", {"channel": "h", "device": device.pk, "_snapshot": True}),
    }
    by_device = {"device": device.pk} if route in ("status", "attribute", "command") else {}
    verb, args = actions.get(what, (what, by_device))
    call(user, verb, route, **args)


def outcome(user: Person, route: str, what: str, device: Device) -> str:
    try:
        attempt(user, route, what, device)
    except (LoginRequired, NotAllowed, NotFound, Invalid) as error:
        return error.code
    return "ok"


@pytest.mark.parametrize(("route", "what"), MATRIX)
def test_everybody_may_do_what_the_table_says(route: str, what: str, people: dict[str, Person]) -> None:
    for who, mark in zip(WHO, MATRIX[route, what], strict=True):
        device = dimmer(f"for {who}")
        if what == "retry":
            commands.fail(commands.want(device.pk, {"on": True}, user=None, via="x").pk, "refused", "no")
        before = Device.objects.filter(pk=device.pk).values().get(), Location.objects.values_list("name").count()
        assert (who, outcome(people[who], route, what, device)) == (who, MARKS[mark])
        if mark != "+":
            after = Device.objects.filter(pk=device.pk).values().get(), Location.objects.values_list("name").count()
            assert after == before
        if what == "rename" and route == "location":
            Location.objects.filter(name="x").update(name="Greenhouse")
        if what in ("create", "delete"):
            Location.objects.filter(name="new").delete()


def test_lists_hold_what_the_caller_sees(people: dict[str, Person]) -> None:
    dimmer("Grow light")
    dimmer("Bench", location=location("Workshop"))
    dimmer("Spare", location=None)

    def names(who: str) -> list[str]:
        return [each["name"] for each in call(people[who], "get_list", "device")]

    assert names("viewer") == names("operator") == ["Grow light"]
    assert (names("elsewhere"), names("stranger")) == (["Bench"], [])
    assert names("staff") == ["Bench", "Grow light", "Spare"]
    assert [each["name"] for each in call(people["viewer"], "get_list", "location")] == ["Greenhouse"]


def test_a_user_without_staff_rights_who_is_superuser_is_as_anybody(people: dict[str, Person]) -> None:
    odd = User.objects.create_user("odd", is_superuser=True, is_staff=False)
    dimmer()
    assert call(odd, "get_list", "device") == []


def test_the_published_device_is_all_that_a_card_shows() -> None:
    device = dimmer(detail="0–10 V", uid="gh-light", vendor_config={"key": "secret"})
    operator = person("operator", "operator")
    call(operator, "update", "device", id=device.pk, desired={"on": True})
    reports.report(device.pk, {"level": 41.0}, now=at(0))
    shown = call(operator, "get_single", "device", id=device.pk)
    command = Command.objects.get()
    since, until = command.created_at.isoformat(), command.expires_at.isoformat()
    assert shown == {
        "id": device.pk,
        "_type": "device",
        "uid": "gh-light",
        "name": "Grow light",
        "detail": "0–10 V",
        "type": "dimmer",
        "type_name": "Dimmer",
        "icon": "lightbulb",
        "schema": dimmer_type().schema,
        "location": device.location_id,
        "location_name": "Greenhouse",
        "enabled": True,
        "desired": {"on": True},
        "desired_version": 1,
        "reported": {"on": False, "level": 41.0},
        "reported_at": at(0).isoformat(),
        "acked_version": 0,
        "is_on": False,
        "presence": "online",
        "last_seen": at(0).isoformat(),
        "pending": {
            "command": command.pk, "values": {"on": True}, "since": since, "until": until, "by": "operator",
            "via": "panel", "state": "queued",
        },
        "failed": None,
    }  # fmt: skip


def test_a_wish_names_its_wrong_keys() -> None:
    device = dimmer()
    operator = person("operator", "operator")
    for wish, keys in [
        ({"level": 101, "colour": 3}, {"desired.level", "desired.colour"}),
        ({}, {"desired"}),
        ([1], {"desired"}),
        (None, {"desired"}),
    ]:
        with pytest.raises(Invalid) as refused:
            call(operator, "update", "device", id=device.pk, desired=wish)
        assert set(refused.value.data) == keys
    assert not Command.objects.exists()


def test_a_wrong_name_takes_the_wish_back_too() -> None:
    device = dimmer()
    with pytest.raises(Invalid):
        call(person("m", "manager"), "update", "device", id=device.pk, desired={"on": True}, name="")
    with pytest.raises(Invalid):
        call(User.objects.get(username="m"), "update", "device", id=device.pk, desired={"on": 5}, name="new")
    now = Device.objects.get(pk=device.pk)
    assert (now.name, now.desired, Command.objects.count()) == ("Grow light", {}, 0)


def test_an_update_of_something_else_leaves_reports_that_came_meanwhile() -> None:
    device = dimmer()
    reports.report(device.pk, {"on": True})
    call(person("m", "manager"), "update", "device", id=device.pk, name="Lamp")
    assert Device.objects.get(pk=device.pk).reported["on"] is True


def test_a_disabled_device_refuses_wishes_as_a_conflict() -> None:
    device = dimmer(enabled=False)
    with pytest.raises(Conflict):
        call(person("o", "operator"), "update", "device", id=device.pk, desired={"on": True})


def test_nobody_moves_a_device_to_where_they_are_no_manager() -> None:
    device, workshop = dimmer(), location("Workshop")
    manager = person("manager", "manager")
    for role in (None, "viewer", "operator"):
        if role:
            Membership.objects.update_or_create(user=manager, location=workshop, defaults={"role": role})
        with pytest.raises(Invalid):
            call(manager, "update", "device", id=device.pk, location=workshop.pk)
    Membership.objects.filter(user=manager, location=workshop).update(role="manager")
    call(manager, "update", "device", id=device.pk, location=workshop.pk)
    assert Device.objects.get(pk=device.pk).location == workshop


@pytest.mark.parametrize("field", ["reported", "desired_version", "acked_version", "is_on", "presence", "last_seen",
                                   "pending", "failed", "commanded", "vendor_config", "vendor", "id_x"])  # fmt: skip
def test_nobody_writes_the_device_s_side_of_the_truth(field: str) -> None:
    device = dimmer()
    before = Device.objects.filter(pk=device.pk).values().get()
    with pytest.raises((Invalid, NotAllowed)):
        call(person("m", "manager"), "update", "device", id=device.pk, **{field: {"on": True}})
    with pytest.raises(Invalid):
        call(person("s", is_staff=True), "update", "device", id=device.pk, **{field: {"on": True}})
    assert Device.objects.filter(pk=device.pk).values().get() == before


def test_staff_create_a_device_with_a_uid_of_its_own() -> None:
    dimmer_type()
    staff = person("s", is_staff=True)
    made = call(staff, "create", "device", name="New", type="dimmer", location=location().pk)
    assert len(made["uid"]) == 12
    for uid in ("Bad Uid", made["uid"], "x\n", ""):
        with pytest.raises(Invalid):
            call(staff, "create", "device", name="New", type="dimmer", uid=uid)


def test_what_a_device_reports_ends_the_wish_that_it_fulfils() -> None:
    device, staff = dimmer(), person("s", is_staff=True)
    call(person("operator", "operator"), "update", "device", id=device.pk, desired={"on": True})
    stale = call(staff, "report", "device", id=device.pk, values={"on": True}, version=0)
    assert (stale["is_on"], stale["pending"]["values"]) == (True, {"on": True})
    done = call(staff, "report", "device", id=device.pk, values={"on": True}, version=1)
    assert (done["acked_version"], done["pending"], done["presence"]) == (1, None, "online")
    late = call(staff, "report", "device", id=device.pk, values={"on": False}, version=0)
    assert late["is_on"] is True


def test_a_report_that_makes_no_sense_changes_nothing() -> None:
    device, staff = dimmer(), person("s", is_staff=True)
    before = Device.objects.filter(pk=device.pk).values().get()
    for values in ({"level": "high"}, {"Bad Key": 1}, [1], None, "on"):
        with pytest.raises(Invalid):
            call(staff, "report", "device", id=device.pk, values=values)
    for version in (True, "1", 1.5, [1]):
        with pytest.raises(BadArgs):
            call(staff, "report", "device", id=device.pk, values={"on": True}, version=version)
    with pytest.raises(NotFound):
        call(staff, "report", "device", id=0, values={"on": True})
    assert Device.objects.filter(pk=device.pk).values().get() == before


def test_a_device_finds_itself_by_its_uid() -> None:
    dimmer(uid="a")
    device = dimmer("Other", uid="b")
    plan = subscribe(person("s", is_staff=True), "device", uid="b")
    assert [key for key, _ in plan.snapshot().objects] == [str(device.pk)]


def test_roles_are_told_by_location() -> None:
    here, there = location(), location("Workshop")
    someone = person("someone", "operator")
    assert call(someone, "roles", "location") == {str(here.pk): "operator"}
    everything = {str(here.pk): "manager", str(there.pk): "manager"}
    assert call(person("s", is_staff=True), "roles", "location") == everything


def test_what_somebody_sees_is_asked_once_for_a_whole_screen(django_assert_num_queries: Any) -> None:
    device, viewer = dimmer(), caller(person("viewer", "viewer"))
    screen = [("device", {}), ("location", {}), ("membership", {}), ("status", {"device": device.pk})]
    with django_assert_num_queries(1):
        for route, args in screen:
            assert run(viewer, Call("subscribe", route, {"channel": route, **args}, "cb")).plan


def test_one_s_memberships_are_one_s_own() -> None:
    mine = person("someone", "viewer").memberships.get()
    person("other", "manager")
    user = User.objects.get(username="someone")
    shown = {"id": mine.pk, "_type": "membership", "user": user.pk, "location": mine.location_id, "role": "viewer"}
    assert call(user, "get_list", "membership") == [shown]
    with pytest.raises(UnknownVerb):
        call(user, "update", "membership", id=mine.pk, role="manager")


def test_an_inactive_user_has_no_rights() -> None:
    dimmer()
    assert call(person("gone", "manager", is_active=False), "get_list", "device") == []
    assert call(person("fired", is_staff=True, is_active=False), "get_list", "device") == []


# -- subscriptions


def subscribe(user: Person, route: str, **args: Any) -> Any:
    return run(caller(user), Call("subscribe", route, {"channel": "s", "_snapshot": True, **args}, "cb")).plan


def test_a_subscription_is_narrowed_to_the_caller_s_locations(people: dict[str, Person]) -> None:
    here = location()
    dimmer()
    dimmer("Bench", location=location("Workshop"))
    mine = subscribe(people["viewer"], "device")
    assert mine.channels == (f"device|location__in:{here.pk}",) or mine.filter.passes({"location": here.pk})
    assert not mine.filter.passes({"location": location("Workshop").pk})
    assert len(mine.snapshot().objects) == 1
    assert len(subscribe(people["staff"], "device").snapshot().objects) == 2
    assert subscribe(people["stranger"], "device").snapshot().objects == []
    asked = subscribe(people["viewer"], "device", location=location("Workshop").pk)
    assert asked.snapshot().objects == []


def test_rights_that_end_change_the_plan(people: dict[str, Person]) -> None:
    device = dimmer()
    reports.report(device.pk, {"on": True})
    viewer, watching = people["viewer"], subscribe(people["viewer"], "status", device=device.pk)
    assert len(watching.snapshot().objects) == 1
    Membership.objects.filter(user=viewer).delete()
    now = plan(caller(viewer), Call("subscribe", "status", {"channel": "s", "device": device.pk}, "cb"))
    assert now.channels != watching.channels
    assert now.snapshot is not None
    assert now.snapshot().objects == []


def test_each_sees_what_happened_where_they_may_look(people: dict[str, Person]) -> None:
    device = dimmer()
    reports.report(device.pk, {"on": True})
    watching = subscribe(people["viewer"], "status", device=device.pk)
    Device.objects.filter(pk=device.pk).update(location=location("Workshop"))
    reports.report(device.pk, {"on": False})
    here, there = Status.objects.order_by("pk")
    assert watching.filter.passes({"device": device.pk, "location": here.location_id})
    assert not watching.filter.passes({"device": device.pk, "location": there.location_id})

    def seen(who: str) -> list[int]:
        return [each["id"] for each in call(people[who], "get_list", "status", device=device.pk)]

    assert (seen("viewer"), seen("elsewhere"), seen("stranger")) == ([here.pk], [there.pk], [])
    assert seen("staff") == [there.pk, here.pk]


@pytest.mark.parametrize("route", ["status", "attribute", "command"])
@pytest.mark.parametrize("device", [None, "1", True, 1.5, [1], {"a": 1}])
def test_a_history_needs_a_device(route: str, device: Any) -> None:
    with pytest.raises((BadArgs, BadFilter)):
        subscribe(person("s", is_staff=True), route, device=device)


@pytest.mark.parametrize("device", [0, -1, 2**63 - 1, 99999])
def test_a_history_of_no_device_is_as_empty_as_that_of_a_hidden_one(device: int) -> None:
    assert call(person("s", is_staff=True), "get_list", "status", device=device) == []


def test_a_history_begins_with_its_newest_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    from devices.routers import AttributeRouter

    monkeypatch.setattr(AttributeRouter, "snapshot_limit", 3)
    monkeypatch.setattr(AttributeRouter, "paginate_by", 3)
    device, staff = dimmer(), person("s", is_staff=True)
    for n in (5, 1, 3, 0, 4, 2):
        Attribute.objects.create(device=device, name="power", value=n, valid_at=at(n), received_at=at(n))
    listed = call(staff, "get_list", "attribute", device=device.pk)
    assert [each["value"] for each in listed] == [5, 4, 3]
    snapshot = subscribe(staff, "attribute", device=device.pk, name="power").snapshot()
    keys = Attribute.objects.filter(value__gte=3).order_by("pk").values_list("pk", flat=True)
    assert [key for key, _ in snapshot.objects] == [str(pk) for pk in keys]


def test_filters_beyond_the_allowed_are_refused() -> None:
    staff = person("s", is_staff=True)
    for name in ("vendor_config", "reported", "location__name", "name__contains", "vendor", "type__name"):
        with pytest.raises(BadFilter):
            subscribe(staff, "device", **{name: "x"})


def test_a_type_is_named_by_its_slug() -> None:
    dimmer()
    DeviceType.objects.create(slug="fan", name="Fan")
    staff = person("s", is_staff=True)
    assert [each["id"] for each in call(staff, "get_list", "devicetype")] == ["dimmer", "fan"]
    assert [each["type"] for each in call(staff, "get_list", "device", type="dimmer")] == ["dimmer"]
    assert call(staff, "get_list", "device", type="fan") == []
