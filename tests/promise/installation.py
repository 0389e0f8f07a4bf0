"""Marshlight as it is installed: a database, a bus, server processes; and this process' ORM as one more writer."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from django.conf import settings
from django.db import connections
from django.test import override_settings

from project import environment
from realtime.bus import forget_bus
from tests import services

ROOT = Path(__file__).resolve().parents[2]
# What only a failing test waits for.
LIMIT = 20.0
# The promise is for a machine of its own; tests share theirs with each other. PROMISE_SCALE=1 is the promise itself.
SCALE = float(os.environ.get("PROMISE_SCALE", "3"))

# A role of PostgreSQL that has no rights on the journal.
STRANGER = "stranger_to_the_journal"


def until(condition: Callable[[], Any], what: str, limit: float = LIMIT) -> float:
    """Seconds until the condition held; fails after the limit."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < limit, f"{what}: not within {limit:.1f} s"
        time.sleep(0.01)
    return time.monotonic() - began


@dataclass
class Installation:
    """`kind` is the database's. With Redis there are two servers, with the bus in memory one."""

    kind: str
    url: str
    directory: Path
    redis: services.Redis | None = None
    ports: list[int] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if name != "REDIS_URL"},
            "DJANGO_SETTINGS_MODULE": "tests.promise.settings",
            "DATABASE_URL": self.url,
            "MARSHLIGHT_DATA": str(self.directory),
            # Sessions made here are known there.
            "SECRET_KEY": settings.SECRET_KEY,
            **({"REDIS_URL": self.redis.url} if self.redis else {}),
        }

    def port(self, number: int) -> int:
        """Of one of the servers; clients are dealt out to them."""
        return self.ports[number % len(self.ports)]

    # -- servers -----------------------------------------------------------------------------------------------------

    def manage(self, *words: str) -> None:
        command = [sys.executable, "manage.py", *words]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self, *words: str) -> None:
        waiting = []
        for number in range(2 if self.redis else 1):
            ready = self.directory / f"ready{number}"
            command = [sys.executable, "server.py", "--port", "0", "--ready-file", str(ready), "--no-services", *words]
            with self.log.open("ab") as log:
                process = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)
            self.processes.append(process)
            waiting.append(ready)
        for ready, process in zip(waiting, self.processes, strict=True):
            try:
                until(lambda one=ready, its=process: one.exists() or its.poll() is not None, "a server's start")
                assert process.poll() is None, "a server ended"
            except AssertionError as error:
                raise AssertionError(f"{error}: {self.log.read_text(encoding='utf-8')[-3000:]}") from None
            self.ports.append(json.loads(ready.read_text())["port"])
        until(self.healthy, "healthy servers")

    def healthy(self) -> bool:
        try:
            return all(urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).status == 200 for port in self.ports)
        except OSError:
            return False

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    def complaints(self) -> list[str]:
        """What the servers logged that nobody should read."""
        lines = self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []
        return [line for line in lines if " ERROR " in line or "Traceback" in line or " CRITICAL " in line]

    # -- this process' ORM -------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def orm(self) -> Iterator[None]:
        """Here, and in threads begun meanwhile, `Device.objects` is this installation's."""
        handler: Any = connections
        chosen = environment.database(self.url, self.directory)
        before, known = handler["default"], handler.settings["default"]
        handler.settings["default"] = handler.configure_settings({"default": chosen})["default"]
        del handler["default"]
        forget_bus()
        try:
            # A script beside the servers has their bus too, to wake the relay.
            with override_settings(REDIS_URL=self.redis.url if self.redis else ""):
                yield
                forget_bus()
        finally:
            handler["default"].close()
            handler.settings["default"] = known
            handler["default"] = before

    # -- other programs ----------------------------------------------------------------------------------------------

    def program(self, sql: str, role: str = "marshlight") -> None:
        """`sqlite3` or `psql`, as a person would; `psql` also as `STRANGER`, who may write devices and nothing else."""
        if self.kind == "sqlite":
            path = self.url.removeprefix("sqlite:///")
            command = [services.program("sqlite3", "sqlite3"), "-bail", "-cmd", ".timeout 20000", path, sql]
        else:
            url = self.url.replace("marshlight@", f"{role}@")
            command = [services.program("psql", "postgresql-client"), "-v", "ON_ERROR_STOP=1", "-qXAt", url, "-c", sql]
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, f"{sql}\n{done.stderr}"


@contextlib.contextmanager
def installed(kind: str, postgres_url: str = "", name: str = "promise", *, bus: str = "") -> Iterator[Installation]:
    """Migrated and not started yet; gone with its data afterwards. The bus is memory for SQLite, else Redis, unless it
    is named."""
    with contextlib.ExitStack() as stack:
        directory = Path(tempfile.mkdtemp(prefix="marshlight-promise-"))
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        if kind == "sqlite":
            url = f"sqlite:///{directory / 'db.sqlite3'}"
        else:
            make_database(postgres_url, name)
            url = postgres_url.rpartition("/")[0] + f"/{name}"
        found = Installation(kind, url, directory)
        if (bus or {"sqlite": "memory", "postgresql": "redis"}[kind]) == "redis":
            found.redis = stack.enter_context(services.running(services.Redis()))
        found.manage("migrate", "--verbosity", "0")
        if kind == "postgresql":
            found.program(f"GRANT SELECT, INSERT, UPDATE, DELETE ON devices_device TO {STRANGER}")
        stack.callback(found.stop)
        yield found


def make_database(url: str, name: str) -> None:
    import psycopg2

    connection = psycopg2.connect(url)
    connection.autocommit = True
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [STRANGER])
        if not cursor.fetchall():
            cursor.execute(f"CREATE ROLE {STRANGER} LOGIN")
