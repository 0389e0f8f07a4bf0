"""A grown installation to break: PostgreSQL, Redis, a relay and a server, each a process of its own; and one device
whose every value is noted, so that what a page shows can be compared with what was true."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2

from tests import services
from tests.panel.serving import ROOT, DemoServer

if TYPE_CHECKING:
    from playwright.sync_api import Page

PROBE = "Exhaust fan"

# In the page, 20 times a second: whether the pill says that all is well, what the probe's switch says is true, whether
# its card calls the value old.
RECORD = """(name) => {
    window.record = [];
    setInterval(() => {
        const toggle = document.querySelector(`[role=switch][aria-label="${name}"]`);
        const pill = document.querySelector("marsh-pill .pill");
        if (!toggle || !pill) return;
        const isOn = toggle.getAttribute("aria-checked") === "true";
        const isStale = toggle.closest(".card").classList.contains("stale");
        window.record.push([Date.now() / 1000, pill.classList.contains("good"), isOn, isStale]);
    }, 50);
}"""


class Grown:
    def __init__(self, directory: Path, postgres: services.Postgres) -> None:
        self.postgres = postgres
        self.redis = services.Redis()
        self.redis.start()
        self.name = "troubles"
        admin = psycopg2.connect(postgres.url)
        admin.autocommit = True
        with contextlib.closing(admin), admin.cursor() as cursor:
            cursor.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
            cursor.execute(f"CREATE DATABASE {self.name}")
        self.url = postgres.url.rpartition("/")[0] + f"/{self.name}"
        self.server = DemoServer(
            directory, "--no-relay", "--no-services", DATABASE_URL=self.url, REDIS_URL=self.redis.url
        )
        self.server.manage("shell", "-v0", "-c", STAFF.format(password=self.server.passwords["operator"]))
        self.server.passwords["staff"] = self.server.passwords["operator"]
        self.relay: subprocess.Popen[bytes] | None = None
        #: Every value of the probe with the moment before which it was certainly not there yet.
        self.truth: list[tuple[float, bool]] = [(0.0, self.value())]

    def start(self) -> None:
        self.start_relay()
        self.server.start()

    def start_relay(self) -> None:
        with (self.server.directory / "relay.log").open("ab") as log:
            self.relay = subprocess.Popen(
                [sys.executable, "manage.py", "relay"], cwd=ROOT, env=self.server.environment, stdout=log, stderr=log
            )

    def stop_relay(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self.relay is not None:
            self.relay.send_signal(signal.SIGCONT)
            self.relay.send_signal(number)
            self.relay.wait(10)

    def close(self) -> None:
        self.server.stop()
        self.stop_relay()
        self.redis.discard()

    # -- the database ------------------------------------------------------------------------------------------------

    def ask(self, sql: str, *values: Any) -> Any:
        """The first field of the first row."""
        with contextlib.closing(psycopg2.connect(self.url)) as link, link, link.cursor() as cursor:
            cursor.execute(sql, values)
            return cursor.fetchone()[0] if cursor.description else None

    def value(self) -> bool:
        return bool(self.ask("SELECT is_on FROM devices_device WHERE name = %s", PROBE))

    def wanted(self) -> Any:
        """What was wished and has not been obeyed; None: nothing. What is obeyed may stand as desired before a wish."""
        return self.ask(
            "SELECT CASE WHEN pending->'values' IS NOT NULL THEN desired->'on' END FROM devices_device WHERE name = %s",
            PROBE,
        )

    def report(self, on: bool) -> None:
        """As the device would, if it were connected to another server."""
        self.truth.append((time.time(), on))
        self.ask(
            "UPDATE devices_device SET is_on = %s, reported = reported || jsonb_build_object('on', %s),"
            " reported_at = now() WHERE name = %s",
            on, on, PROBE,
        )  # fmt: skip

    def flip(self) -> bool:
        on = not self.truth[-1][1]
        self.report(on)
        return on

    def settle(self) -> None:
        """Whatever was wished is what the device reported."""
        self.ask("UPDATE devices_device SET desired = reported, pending = NULL WHERE name = %s", PROBE)

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """PostgreSQL stands still: connections stay, nothing answers."""
        pids = processes_below(int((self.postgres.directory / "data" / "postmaster.pid").read_text().split()[0]))
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    # -- what was shown ----------------------------------------------------------------------------------------------

    def lies(self, page: Page, bound: float) -> list[str]:
        """Moments at which the page called a value live that had not been true for longer than `bound` seconds."""
        found = []
        for at, live, shown, stale in page.evaluate("window.record"):
            if not live or stale:
                continue
            begun = [since for since, _ in self.truth if since <= at - bound]
            possible = {on for since, on in self.truth if since <= at and (not begun or since >= begun[-1])}
            if shown not in possible:
                found.append(f"{shown} at {at:.2f}, true were {self.truth}")
        return found


def processes_below(pid: int) -> list[int]:
    """This process and its children, from the system's own table."""
    found = [pid]
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.append(int(entry.name))
    return found


STAFF = """
from django.contrib.auth.models import User
User.objects.create_superuser("staff", password="{password}")
"""
