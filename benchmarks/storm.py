"""Five thousand clients lose their server and come back to the next one, while the data went on changing."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import apps, machine, place
from benchmarks.machine import SERVER_CORES, cpu_seconds
from benchmarks.receivers import Broken, Receivers, talking
from benchmarks.scenario import Figures, Measure, Scenario, surroundings
from tests.services import free_port

CLIENTS = 5000
QUICK_CLIENTS = 500
LIMIT = 180.0
GRANDE = "postgresql+redis"
ONE = "postgresql+redis-one"
SMALL = "sqlite+memory"

# A user each, who may see what the demo has; their tokens go to a file. Prints the devices by their location.
PEOPLE = """
import json, sys
from django.contrib.auth import get_user_model
from django.db import transaction
from devices.models import Device, Location, Membership
from realtime import tokens
User = get_user_model()
with transaction.atomic():
    users = User.objects.bulk_create(User(username=f"client{{n}}") for n in range({count}))
    places = list(Location.objects.all())
    Membership.objects.bulk_create(Membership(user=u, location=p, role="viewer") for u in users for p in places)
    with open({file!r}, "w") as file:
        for user in users:
            file.write(tokens.create(user, "bench")[1] + "\\n")
print(json.dumps(list(Device.objects.exclude(location=None).order_by("pk").values_list("pk", "location"))))
"""
CHANGE = """
from devices.models import Device
for device in Device.objects.exclude(location=None):
    device.detail = f"{word} {{device.pk}}"
    device.save(update_fields=["detail"])
"""


class Storm(Scenario):
    key = "storm"
    title = "5,000 clients come back after a restart"
    records = ("restart",)

    def servers(self) -> Sequence[str]:
        return [GRANDE, SMALL, ONE]

    def seconds(self, server: str) -> float:
        return 32

    def turns(self, server: str, wanted: int) -> int:
        # Of one subscription only the statements are of interest; of the embedded default, that everybody is there.
        return wanted if server == GRANDE else min(wanted, 2)

    @contextlib.contextmanager
    def open(self, servers: Sequence[str], quick: bool) -> Iterator[Measure]:
        with ExitStack() as stack:
            made: dict[bool, Place] = {}

            def ask(server: str) -> Figures:
                postgres = server != SMALL
                if postgres not in made:
                    made[postgres] = stack.enter_context(prepared(postgres, QUICK_CLIENTS if quick else CLIENTS))
                return {"restart": restart(made[postgres], 1 if server == ONE else 3)}

            yield ask


class Place:
    """Where clients with tokens may come; `devices` are (key, location)."""

    def __init__(self, env: dict[str, str], tokens: Path, devices: list[tuple[int, int]]) -> None:
        self.env = env
        self.tokens = tokens
        self.devices = devices
        self.counter = tokens.with_name("statements")
        self.turn = 0


@contextlib.contextmanager
def prepared(postgres: bool, clients: int) -> Iterator[Place]:
    with surroundings(postgres=postgres, redis=postgres) as (env, _), ExitStack() as stack:
        tokens = Path(env["MARSHLIGHT_DATA"]) / "tokens"
        script = PEOPLE.format(count=clients, file=str(tokens))
        devices = json.loads(place.manage(env, "shell", "-v0", "-c", script).strip().splitlines()[-1])
        if postgres:
            # Changes are published while the server is away, so there is a history to continue from.
            stack.enter_context(place.process([sys.executable, "manage.py", "relay"], env, cores=machine.LOAD_CORES))
        yield Place(env, tokens, devices)


def restart(at: Place, subscriptions: int) -> dict[str, Any]:
    """One restart; every client must show every change made meanwhile."""
    at.turn += 1
    first, second = sorted({location for _, location in at.devices})[:2]
    wishes: list[dict[str, Any]] = [{}, {"location": first}, {"location": second}][:subscriptions]
    env = {**at.env, apps.VARIABLE: str(at.counter)}
    options = ["--no-services"] + (["--no-relay"] if "REDIS_URL" in env else [])
    port = free_port()
    words = ["-m", "benchmarks.returners", "--port", str(port), "--wishes", json.dumps(wishes)]
    with talking([sys.executable, *words], env) as fleet:
        with place.marshlight(env, *options, port=port, cores=SERVER_CORES) as (server, _):
            fleet.ask("come", tokens=str(at.tokens), seconds=LIMIT)
            word = f"storm {at.turn}"
            details = {pk: f"{word} {pk}" for pk, _ in at.devices}
            fleet.ask("expect", wanted=wanted(at, wishes, details))
            place.stop(server)
        gone = time.monotonic()
        place.manage(env, "shell", "-v0", "-c", CHANGE.format(word=word))
        with place.marshlight(env, *options, port=port, cores=SERVER_CORES) as (server, _):
            return back(fleet, at, server.pid, gone)


def wanted(at: Place, wishes: list[dict[str, Any]], details: dict[int, str]) -> list[dict[str, str]]:
    return [
        {str(pk): details[pk] for pk, location in at.devices if wish.get("location", location) == location}
        for wish in wishes
    ]


def back(fleet: Receivers, at: Place, pid: int, gone: float) -> dict[str, Any]:
    # Starting is not what a client costs.
    ready, began = time.monotonic(), cpu_seconds(pid)
    answer = fleet.ask("back", seconds=LIMIT)
    clients = sum(1 for _ in at.tokens.open())
    if answer["equal"] != clients:
        raise Broken(f"{clients - answer['equal']} of {clients} are not equal; refused: {answer['why']}")
    return {
        "connections": clients,
        "away": ready - gone,
        "window": answer["window"],
        "all": answer["last"] - ready,
        "half": answer["half"] - ready,
        "refused": answer["refused"],
        "why": answer["why"],
        "recovered": answer["recovered"],
        "statements each": apps.counted(at.counter) / clients,
        "cpu each": 1e3 * (cpu_seconds(pid) - began) / clients,
        "memory": machine.resident(pid),
    }
