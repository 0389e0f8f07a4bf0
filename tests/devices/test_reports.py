from __future__ import annotations

from typing import Any

import pytest
from django.db import connection

from devices import commands, reports
from devices.models import Command, Device
from realtime.errors import Invalid, NotFound
from tests.devices.base import at, dimmer

pytestmark = pytest.mark.django_db


def fresh(device: Device) -> Device:
    return Device.objects.get(pk=device.pk)


def want(device: Device, values: dict[str, Any], seconds: float = 0) -> Command:
    return commands.want(device.pk, values, user=None, via="panel", now=at(seconds))


def report(device: Device, values: dict[str, Any], seconds: float = 1, version: int | None = None) -> bool:
    return reports.report(device.pk, values, version=version, now=at(seconds))


def state(command: Command) -> str:
    return Command.objects.get(pk=command.pk).state


def test_a_report_is_merged_and_makes_the_device_present() -> None:
    device = dimmer()
    assert report(device, {"on": True, "power": 41.5})
    now = fresh(device)
    assert now.reported == {"on": True, "level": 40, "power": 41.5}
    assert (now.is_on, now.presence, now.last_seen, now.reported_at) == (True, "online", at(1), at(1))


def test_a_wish_ends_when_what_was_wanted_is_reported() -> None:
    device = dimmer()
    command = want(device, {"on": True})
    report(device, {"on": True}, 2)
    ended = Command.objects.get(pk=command.pk)
    assert (ended.state, ended.ended_at) == ("done", at(2))
    assert fresh(device).pending is None


def test_a_report_of_something_else_leaves_the_wish_open() -> None:
    device = dimmer()
    command = want(device, {"on": True})
    report(device, {"on": False, "power": 0})
    now = fresh(device)
    assert (state(command), now.desired, now.reported["on"]) == ("queued", {"on": True}, False)
    assert now.pending is not None


def test_all_values_of_a_wish_must_be_reported() -> None:
    device = dimmer()
    command = want(device, {"on": True, "level": 70})
    report(device, {"on": True})
    assert state(command) == "queued"
    report(device, {"level": 70}, 2)
    assert state(command) == "done"


def test_the_right_value_for_an_older_reason_does_not_end_a_newer_wish() -> None:
    device = dimmer()
    report(device, {"on": True}, version=0)
    want(device, {"on": False}, 2)
    third = want(device, {"on": True}, 3)
    report(device, {"on": True}, 4, version=0)
    assert state(third) == "queued"
    report(device, {"on": False}, 5, version=1)
    assert fresh(device).desired == {"on": True}
    report(device, {"on": True}, 6, version=2)
    assert state(third) == "done"


def test_a_device_that_knows_the_wish_but_is_not_there_yet_has_acknowledged_it() -> None:
    device = dimmer()
    command = want(device, {"level": 80})
    report(device, {"level": 50}, version=1)
    now = fresh(device)
    assert (state(command), now.acked_version, now.pending["state"]) == ("acked", 1, "acked")  # type: ignore[index]
    assert now.desired == {"level": 80}


def test_a_backward_version_is_a_sign_of_life_and_nothing_else() -> None:
    device = dimmer(desired_version=5, acked_version=5)
    assert not report(device, {"on": True}, 7, version=4)
    now = fresh(device)
    assert (now.reported["on"], now.last_seen, now.presence) == (False, at(7), "online")


def test_a_version_that_was_never_given_out_acknowledges_nothing_beyond() -> None:
    device = dimmer(desired_version=2, acked_version=1)
    assert report(device, {"on": True}, version=99)
    assert fresh(device).acked_version == 2


def test_what_the_device_does_of_itself_is_then_wanted() -> None:
    device = dimmer(desired={"on": False, "level": 40})
    report(device, {"on": True})
    now = fresh(device)
    assert (now.desired, now.desired_version, now.pending) == ({"on": True, "level": 40}, 0, None)


def test_a_button_does_not_undo_an_open_wish_for_another_key() -> None:
    device = dimmer(desired={"on": False, "level": 40})
    want(device, {"level": 90})
    report(device, {"on": True, "level": 40})
    assert fresh(device).desired == {"on": True, "level": 90}


def test_what_sql_wrote_is_a_wish_even_if_a_report_comes_first() -> None:
    device = dimmer(desired={"on": False})
    with connection.cursor() as cursor:
        cursor.execute("UPDATE devices_device SET desired = %s WHERE id = %s", ['{"on": true}', device.pk])
    report(device, {"on": False})
    now = fresh(device)
    assert (now.desired, now.pending["via"]) == ({"on": True}, "database")  # type: ignore[index]


def test_a_late_success_takes_the_failure_away() -> None:
    device = dimmer()
    commands.fail(want(device, {"on": True}).pk, "no_answer", "nothing came")
    report(device, {"level": 3}, 20)
    assert fresh(device).failed is not None
    report(device, {"on": True}, 21)
    assert fresh(device).failed is None


def test_a_step_may_be_rounded_by_the_device() -> None:
    device = dimmer()
    command = want(device, {"level": 60.4})
    report(device, {"level": 60})
    assert state(command) == "done"


@pytest.mark.parametrize(
    "values",
    [{"power": float("nan")}, {"power": float("inf")}, {"on": 1}, {"x": [1]}, {f"k{n}": 1 for n in range(33)}, []],
)
def test_what_cannot_be_measured_is_refused_whole(values: Any) -> None:
    device = dimmer()
    with pytest.raises(Invalid):
        reports.report(device.pk, values)
    assert fresh(device).reported == {"on": False, "level": 40}


def test_reports_cannot_add_up_without_end() -> None:
    device = dimmer()
    with pytest.raises(Invalid):
        for n in range(4):
            report(device, {f"k{n}{m}": m for m in range(20)})


def test_a_report_of_a_device_that_is_gone_is_not_found() -> None:
    with pytest.raises(NotFound):
        reports.report(987654, {"on": True})


def test_a_clock_that_runs_behind_does_not_turn_times_back() -> None:
    device = dimmer()
    report(device, {"on": True}, 10)
    report(device, {"on": False}, 5)
    now = fresh(device)
    assert (now.last_seen, now.reported_at) == (at(10), at(10))


def test_refusing_ends_what_the_device_knew_of() -> None:
    device = dimmer()
    first, second = want(device, {"on": True}), want(device, {"level": 70})
    assert reports.refuse(device.pk, 1, "refused", "The fuse is out.", now=at(1)) == 1
    assert (state(first), state(second)) == ("failed", "queued")
    now = fresh(device)
    assert (now.failed["message"], now.presence) == ("The fuse is out.", "online")  # type: ignore[index]


def test_silence_for_longer_than_expected_is_offline() -> None:
    silent, talking = dimmer(), dimmer("Lamp")
    report(silent, {"on": True}, 0)
    report(talking, {"on": True}, 15)
    assert reports.silence(now=at(20)) == 0
    assert reports.silence(now=at(20.1)) == 1
    assert (fresh(silent).presence, fresh(talking).presence) == ("offline", "online")
    report(silent, {}, 30)
    assert fresh(silent).presence == "online"
