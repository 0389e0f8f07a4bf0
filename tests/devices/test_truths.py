"""The four truths under any order of events, and under many writers at once."""

from __future__ import annotations

import json
import random
import threading
from typing import Any

import pytest
from django.db import connection

from devices import commands, reports
from devices.models import Command, Device
from devices.sweeper import sweep
from tests.devices.base import at, dimmer

WISHES: list[dict[str, Any]] = [
    {"on": True}, {"on": False}, {"level": 10}, {"level": 20}, {"on": True, "level": 30}, {"mode": "day"},
]  # fmt: skip


def check(device: Device) -> None:
    """What must hold after every transaction."""
    now = Device.objects.get(pk=device.pk)
    listed = list(Command.objects.filter(device=device, state__in=Command.OPEN).order_by("version"))
    keys = [key for command in listed for key in command.values]
    assert len(keys) == len(set(keys)), "two open commands for one key"
    assert now.pending == commands.summary(listed)
    if now.desired == now.commanded:
        for command in listed:
            assert {key: now.desired[key] for key in command.values} == command.values
    for key, value in now.commanded.items():
        if key not in keys and key in now.reported:
            assert value == now.reported[key], "wanted, not open, and not so"
    assert now.is_on is now.reported.get("on")
    assert now.acked_version <= now.desired_version


@pytest.mark.django_db
@pytest.mark.parametrize("seed", range(40))
def test_any_order_of_events_keeps_the_truths_apart(seed: int) -> None:
    chance = random.Random(seed)
    device = dimmer(desired={"on": False, "level": 40})
    for second in range(30):
        now = at(second)
        event = chance.choice(["want", "want", "report", "report", "fail", "expire", "sql", "sweep", "sent", "refuse"])
        version = Device.objects.values_list("desired_version", flat=True).get(pk=device.pk)
        known = chance.choice([None, version, max(0, version - 1)])
        if event == "want":
            commands.want(device.pk, chance.choice(WISHES), user=None, via="x", now=now)
        elif event == "report":
            reports.report(device.pk, chance.choice(WISHES), version=known, now=now)
        elif event == "fail":
            for pk in Command.objects.values_list("pk", flat=True)[:1]:
                commands.fail(pk, "refused", "no", now=now)
        elif event == "expire":
            commands.expire(now=now)
        elif event == "sql":
            text = chance.choice([json.dumps(chance.choice(WISHES)), '{"level": 999}', "[]"])
            with connection.cursor() as cursor:
                cursor.execute("UPDATE devices_device SET desired = %s WHERE id = %s", [text, device.pk])
        elif event == "sweep":
            commands.adopt(device.pk, now=now)
        elif event == "sent":
            commands.sent(device.pk, version, now=now)
        else:
            reports.refuse(device.pk, known or 0, "refused", "no", now=now)
        check(device)
    commands.adopt(device.pk, now=at(100))
    commands.expire(now=at(1000))
    check(device)
    ended = Device.objects.get(pk=device.pk)
    assert (ended.pending, ended.desired) == (None, ended.commanded)


@pytest.mark.django_db(transaction=True)
def test_many_writers_at_once_keep_them_apart_too() -> None:
    device = dimmer(desired={"on": False, "level": 40})
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(12):
                what = chance.randrange(4)
                if what == 0:
                    commands.want(device.pk, chance.choice(WISHES), user=None, via="x")
                elif what == 1:
                    reports.report(device.pk, chance.choice(WISHES))
                elif what == 2:
                    Device.objects.filter(pk=device.pk).update(desired=chance.choice(WISHES))
                else:
                    sweep()
                    for pk in Command.objects.values_list("pk", flat=True)[:1]:
                        commands.fail(pk, "refused", "no")
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    commands.adopt(device.pk)
    check(device)
