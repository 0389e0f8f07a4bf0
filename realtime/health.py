"""`/healthz`: one JSON object, 200 while everything holds and 503 otherwise.

To this machine it names parts and numbers, no values; to everybody else it says whether all is well, and no more.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import shutil
import time
from collections.abc import Callable
from typing import Any

from django.db import connection

from realtime import journal, triggers
from realtime.handler import Handler
from realtime.process import Process
from realtime.protocol import dumps
from realtime.settings import data_directory, settings
from realtime.threads import Threads

logger = logging.getLogger("realtime.health")

Check = Callable[[], dict[str, Any]]

# A monitor and a load balancer asking at once must not double the work.
KEEP_SECONDS = 1.0
# A database or a bus that does not answer in this time is not there.
ANSWER_SECONDS = 3.0
SCHEMA_SECONDS = 60.0
# The relay's first turn, the link to the bus: until a server was green once, it has so long before red is news.
START_SECONDS = 5.0


class Health:
    """Asks every part. A thread of its own, so that slow verbs do not make the whole server look ill."""

    def __init__(self, process: Process, parts: dict[str, Check]) -> None:
        self._process = process
        self._parts = parts
        self._thread = Threads(1, "realtime-health")
        self._kept: dict[str, Any] = {}
        self._until = 0.0
        self._schema: dict[str, Any] = {}
        self._schema_until = 0.0
        self._asking: asyncio.Future[dict[str, Any]] | None = None
        self._was_ok = True
        self._starting_until = time.monotonic() + START_SECONDS

    def stop(self) -> None:
        self._thread.stop()

    async def report(self) -> dict[str, Any]:
        now = time.monotonic()
        if now < self._until:
            return self._kept
        if self._asking is None or self._asking.done():
            self._asking = asyncio.wrap_future(self._thread.submit(self._ask))
        try:
            parts = await asyncio.wait_for(asyncio.shield(self._asking), ANSWER_SECONDS)
        except TimeoutError:
            parts = {"answer": {"ok": False, "problem": "no answer in time"}}
        parts["stream"] = self._process.node.health()
        parts["told"] = self._process.lookout.health()
        ok = all(part.get("ok", True) for part in parts.values())
        if ok:
            self._starting_until = 0.0
        if ok != self._was_ok and now >= self._starting_until:
            red = [name for name, part in parts.items() if not part.get("ok", True)]
            logger.warning("health is %s", "green" if ok else f"red: {', '.join(red)}")
            self._was_ok = ok
        counts = {"connections": len(self._process.clients), **self._process.hub.counts()}
        self._kept = {"ok": ok, "parts": parts, "counts": counts}
        self._until = time.monotonic() + KEEP_SECONDS
        return self._kept

    # In the thread

    def _ask(self) -> dict[str, Any]:
        checks: dict[str, Check] = {
            "database": _database,
            "journal": _journal,
            "schema": self._triggers,
            "bus": self._bus,
            "disk": _disk,
            **self._parts,
        }
        return {name: _asked(name, check) for name, check in checks.items()}

    def _bus(self) -> dict[str, Any]:
        problems = self._process.bus.problems()
        return {"ok": not problems, "problems": problems}

    def _triggers(self) -> dict[str, Any]:
        """Once a minute: a migration by another process, or a table made anew, shows here."""
        if time.monotonic() >= self._schema_until or not self._schema.get("ok"):
            wrong = [status.label for status in triggers.status() if status.state in ("missing", "stale")]
            self._schema = {"ok": not wrong, "wrong": wrong}
            self._schema_until = time.monotonic() + SCHEMA_SECONDS
        return self._schema


def _asked(name: str, check: Check) -> dict[str, Any]:
    try:
        return check()
    except Exception as error:
        logger.debug("the check of %s failed: %s", name, type(error).__name__)
        return {"ok": False, "problem": type(error).__name__}


def _database() -> dict[str, Any]:
    began = time.monotonic()
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    return {"ok": True, "ms": round((time.monotonic() - began) * 1000, 1)}


def _journal() -> dict[str, Any]:
    count, age = journal.pending()
    failed = journal.failed()
    return {"ok": age < settings.JOURNAL_RED_SECONDS and not failed, "pending": count, "age": round(age, 1),
            "failed": failed}  # fmt: skip


def _disk() -> dict[str, Any]:
    free = shutil.disk_usage(data_directory()).free
    return {"ok": free > settings.DISK_RED_BYTES, "free_mib": free // (1024 * 1024)}


class HealthHandler(Handler):
    def initialize(self, process: Process, health: Health) -> None:  # type: ignore[override]
        super().initialize(process)
        self.health = health

    def prepare(self) -> None:
        """Monitors ask by address; there is nothing here that a page of another name could misuse."""

    async def get(self) -> None:
        report = await self.health.report()
        self.set_status(200 if report["ok"] else 503)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        await self.finish(dumps(report if self._near() else {"ok": report["ok"]}))

    head = get

    def _near(self) -> bool:
        """Asked from this very machine, past any proxy: nobody else needs to know what is inside."""
        forwarded = any(name in self.request.headers for name in ("Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"))
        return not forwarded and loopback(self.request.remote_ip)


def loopback(address: str | None) -> bool:
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return False
