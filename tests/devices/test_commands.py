from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection

from devices import commands, reports
from devices.models import Command, Device
from realtime.errors import Conflict, Invalid, NotFound
from tests.devices.base import at, dimmer, person

pytestmark = pytest.mark.django_db


def want(device: Device, values: dict[str, Any], seconds: float = 0, user: Any = None) -> Command:
    return commands.want(device.pk, values, user=user, via="panel", now=at(seconds))


def states(device: Device) -> list[tuple[dict[str, Any], str]]:
    return [(c.values, c.state) for c in Command.objects.filter(device=device).order_by("version")]


def fresh(device: Device) -> Device:
    return Device.objects.get(pk=device.pk)


def test_a_wish_is_desired_and_a_command_and_shown_as_pending() -> None:
    device = dimmer()
    command = want(device, {"on": True}, user=person("operator"))
    now = fresh(device)
    assert (now.desired, now.desired_version, now.reported["on"]) == ({"on": True}, 1, False)
    assert (command.state, command.version, command.by, command.location) == ("queued", 1, "operator", device.location)
    assert now.pending == {
        "command": command.pk,
        "values": {"on": True},
        "since": "2020-05-01T12:00:00+00:00",
        "until": "2020-05-01T12:00:10+00:00",
        "by": "operator",
        "via": "panel",
        "state": "queued",
    }


def test_keys_of_a_wish_are_merged_into_what_was_wanted() -> None:
    device = dimmer(desired={"on": True, "level": 30})
    want(device, {"level": 60})
    assert fresh(device).desired == {"on": True, "level": 60}


def test_what_the_schema_does_not_allow_leaves_no_trace() -> None:
    device = dimmer()
    with pytest.raises(Invalid) as refused:
        want(device, {"level": 101, "power": 3, "colour": 1})
    assert set(refused.value.data) == {"level", "power", "colour"}
    assert (fresh(device).desired, Command.objects.count()) == ({}, 0)


def test_a_disabled_device_takes_no_wishes() -> None:
    device = dimmer(enabled=False)
    with pytest.raises(Conflict):
        want(device, {"on": True})


def test_a_device_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFound):
        commands.want(12345, {"on": True}, user=None, via="panel")


def test_a_newer_wish_for_a_key_cancels_the_open_one() -> None:
    device = dimmer()
    want(device, {"on": True})
    want(device, {"on": False}, 1)
    assert states(device) == [({"on": True}, "cancelled"), ({"on": False}, "queued")]
    assert fresh(device).pending["since"] == at(1).isoformat()  # type: ignore[index]


def test_wishes_for_different_keys_are_open_together() -> None:
    device = dimmer()
    want(device, {"on": True})
    want(device, {"level": 60}, 1)
    assert [state for _, state in states(device)] == ["queued", "queued"]
    assert fresh(device).pending["values"] == {"on": True, "level": 60}  # type: ignore[index]


def test_the_keys_that_only_an_overtaken_wish_had_stay_asked_for() -> None:
    device = dimmer()
    want(device, {"on": True, "level": 80})
    want(device, {"level": 20}, 1)
    assert states(device)[1] == ({"on": True, "level": 20}, "queued")
    assert fresh(device).desired == {"on": True, "level": 20}


def test_nobody_is_named_for_a_wish_without_a_user() -> None:
    device = dimmer()
    assert want(device, {"on": True}, user=AnonymousUser()).by == ""


def test_sent_moves_only_what_the_device_could_have_got() -> None:
    device = dimmer()
    want(device, {"on": True})
    want(device, {"level": 3})
    assert commands.sent(device.pk, 1, now=at(1)) == 1
    assert [state for _, state in states(device)] == ["sent", "queued"]
    assert commands.sent(device.pk, 1) == 0


def test_failing_falls_back_to_what_is_reported() -> None:
    device = dimmer(desired={"on": False, "level": 40})
    command = want(device, {"on": True, "mode": "day"})
    assert commands.fail(command.pk, "refused", "The fuse is out.", now=at(2))
    now = fresh(device)
    assert now.desired == {"on": False, "level": 40}
    assert now.pending is None
    assert now.failed == {
        "command": command.pk,
        "code": "refused",
        "message": "The fuse is out.",
        "at": at(2).isoformat(),
        "values": {"on": True, "mode": "day"},
    }
    assert now.desired_version == 2


def test_a_command_ends_only_once() -> None:
    device = dimmer()
    command = want(device, {"on": True})
    reports.report(device.pk, {"on": True}, now=at(1))
    assert not commands.fail(command.pk, "no_answer", "too late", now=at(2))
    now = fresh(device)
    assert (now.desired, now.failed) == ({"on": True}, None)
    assert not commands.fail(99999, "x", "y")


def test_overdue_commands_expire_and_others_do_not() -> None:
    device, other = dimmer(), dimmer("Other", presence="online")
    want(device, {"on": True})
    want(other, {"on": True}, 5)
    commands.sent(other.pk, 1)
    assert commands.expire(now=at(9.9)) == 0
    assert commands.expire(now=at(10)) == 1
    assert (fresh(device).failed["code"], fresh(other).failed) == ("undelivered", None)  # type: ignore[index]
    assert commands.expire(now=at(15)) == 1
    assert fresh(other).failed["code"] == "no_answer"  # type: ignore[index]
    assert {c.state for c in Command.objects.all()} == {"expired"}


def test_a_new_wish_takes_the_failure_away() -> None:
    device = dimmer()
    commands.fail(want(device, {"on": True}).pk, "refused", "no")
    want(device, {"level": 5})
    assert fresh(device).failed is None


def test_retry_asks_for_what_failed() -> None:
    device = dimmer()
    commands.fail(want(device, {"on": True}).pk, "refused", "no")
    again = commands.retry(device.pk, user=None, via="panel", now=at(20))
    assert (again.values, fresh(device).desired["on"]) == ({"on": True}, True)


def test_there_is_nothing_to_retry_when_nothing_failed() -> None:
    with pytest.raises(Conflict):
        commands.retry(dimmer().pk, user=None, via="panel")


# -- wishes that came through no call


def written(device: Device, text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("UPDATE devices_device SET desired = %s WHERE id = %s", [text, device.pk])


def test_desired_written_by_sql_becomes_a_command() -> None:
    device = dimmer()
    written(device, '{"on": true}')
    commands.adopt(device.pk, now=at(3))
    (command,) = Command.objects.all()
    assert (command.values, command.via, command.by, command.created_at) == ({"on": True}, "database", "", at(3))
    assert fresh(device).pending["command"] == command.pk  # type: ignore[index]


def test_adopting_twice_makes_one_command() -> None:
    device = dimmer()
    written(device, '{"on": true}')
    commands.adopt(device.pk)
    commands.adopt(device.pk)
    assert Command.objects.count() == 1


def test_only_the_keys_that_were_written_are_asked_for() -> None:
    device = dimmer(desired={"on": False, "level": 40})
    written(device, '{ "level": 70, "on": false }')
    commands.adopt(device.pk)
    assert states(device) == [({"level": 70}, "queued")]


WANTED = {"on": False, "level": 40}


@pytest.mark.parametrize(
    "text",
    [
        '{"level": 900, "on": false}',
        '{"level": 1%s}' % ("0" * 400),
        '{"on": 1}',
        '{"colour": 1}',
        "[]",
        "5",
        "null",
        '"x"',
    ],
)
def test_what_no_device_could_obey_is_taken_back(text: str) -> None:
    device = dimmer(desired=WANTED)
    written(device, text)
    commands.adopt(device.pk, now=at(1))
    now = fresh(device)
    assert now.desired == WANTED
    assert (now.failed["code"], now.failed["values"]) == ("invalid", None)  # type: ignore[index]
    with pytest.raises(Conflict):
        commands.retry(device.pk, user=None, via="panel")
    assert Command.objects.count() == 0


def test_the_good_half_of_a_written_wish_is_obeyed() -> None:
    device = dimmer()
    written(device, '{"on": true, "level": 900}')
    commands.adopt(device.pk)
    now = fresh(device)
    assert (now.desired, now.pending["values"]) == ({"on": True}, {"on": True})  # type: ignore[index]
    assert now.failed["code"] == "invalid"  # type: ignore[index]


def test_a_wish_by_call_does_not_swallow_one_written_a_moment_before() -> None:
    device = dimmer()
    written(device, '{"on": true}')
    want(device, {"level": 60})
    assert fresh(device).desired == {"on": True, "level": 60}
    assert states(device) == [({"on": True}, "queued"), ({"level": 60}, "queued")]


def test_a_key_that_is_missing_stays_as_it_was_asked_for() -> None:
    device = dimmer(desired={"on": False, "level": 40})
    want(device, {"on": True})
    written(device, '{"level": 40}')
    commands.adopt(device.pk)
    assert fresh(device).desired == {"on": True, "level": 40}
    assert states(device) == [({"on": True}, "queued")]
