"""Marshlight among faults: database, bus, servers and relays as processes of their own, and a bad line everywhere."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from signal import SIGCONT, SIGKILL, Signals
from urllib.parse import urlsplit

from tests import services
from tests.promise.installation import ROOT, Installation, installed, until
from tests.promise.proxy import Proxy
from tests.realtime.serving import Program

#: Database and bus; Redis makes two servers of it.
PAIRS = ("postgresql+redis", "sqlite+redis", "sqlite+memory")


class Worker:
    """A relay, as a process beside the servers."""

    def __init__(self, words: list[str], environment: dict[str, str], log: Path) -> None:
        self._words = words
        # Unbuffered, so that what it says is there when it says it.
        self._environment = {**os.environ, **environment, "PYTHONUNBUFFERED": "1"}
        self._log = log
        self._said = 0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._said = self._says()
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *self._words], cwd=ROOT, env=self._environment, stdout=log, stderr=log
            )

    def wait(self) -> None:
        """Until it is at work, or would be if no other were."""
        until(lambda: self._says() > self._said, "a relay's start", 60)

    def _says(self) -> int:
        return self._log.read_text(errors="replace").count("The relay runs.") if self._log.exists() else 0

    def signal(self, number: Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: Signals = SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(SIGCONT)
            self.process.send_signal(number)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@dataclass
class Line:
    """What one process has between itself and the others."""

    redis: Proxy | None
    database: Proxy | None


@dataclass
class Site:
    pair: str
    installation: Installation
    postgres: services.Postgres | None
    points: Path
    servers: list[Program] = field(default_factory=list)
    relays: list[Worker] = field(default_factory=list)
    #: Of each server, then of each relay.
    lines: list[Line] = field(default_factory=list)
    #: Between clients and each server; not all clients take it.
    doors: list[Proxy] = field(default_factory=list)

    @property
    def redis(self) -> services.Redis:
        assert self.installation.redis is not None
        return self.installation.redis

    def log(self, name: str) -> Path:
        return self.installation.directory / f"relay {name}.log"

    def ports(self) -> list[int]:
        return [server.port for server in self.servers]

    def start(self, stack: contextlib.ExitStack) -> None:
        count = 2 if self.installation.redis else 1
        embedded = self.installation.kind == "sqlite"
        for number in range(count):
            words = [] if embedded and number == 0 else ["--no-relay"]
            server = Program(*words, **self._environment(stack))
            stack.enter_context(server)
            self.servers.append(server)
        for server in self.servers:
            server.wait()
            self.doors.append(stack.enter_context(Proxy(server.port)))
        for number in range(count - embedded):
            relay = Worker(["manage.py", "relay"], self._environment(stack), self.log(str(number)))
            stack.callback(relay.end)
            relay.start()
            self.relays.append(relay)
        self.installation.ports = self.ports()
        until(self.installation.healthy, "healthy servers", 60)

    def lone_relay(self) -> Worker:
        environment = self._surroundings(Line(None, None))
        return Worker(["-m", "tests.promise.lone_relay"], environment, self.log("too many"))

    def processes(self) -> list[int]:
        """Those of servers and relays that run."""
        found = [server.process.pid for server in self.servers if server.process.poll() is None]
        return found + [one.process.pid for one in self.relays if one.process and one.process.poll() is None]

    def revive(self) -> None:
        """Start whatever has ended, and wait until it serves."""
        fallen = [relay for relay in self.relays if relay.process is None or relay.process.poll() is not None]
        for relay in fallen:
            relay.start()
        ended = [server for server in self.servers if server.process.poll() is not None]
        for server in ended:
            server.start()
        for one in (*ended, *fallen):
            one.wait()

    def complaints(self) -> list[str]:
        """What servers and relays logged as errors, without the traces."""
        texts = [server.log for server in self.servers]
        texts += [log.read_text(errors="replace") for log in self.installation.directory.glob("relay*.log")]
        return [
            line for text in texts for line in text.splitlines()
            if " ERROR " in line or " CRITICAL " in line or line.startswith("Traceback")
        ]  # fmt: skip

    # -- private -----------------------------------------------------------------------------------------------------

    def _environment(self, stack: contextlib.ExitStack) -> dict[str, str]:
        """Of one process, with a line of its own to everything."""
        line = Line(None, None)
        if self.installation.redis:
            line.redis = stack.enter_context(Proxy(self.installation.redis.port))
        if self.postgres:
            line.database = stack.enter_context(Proxy(self.postgres.port))
        self.lines.append(line)
        return self._surroundings(line)

    def _surroundings(self, line: Line) -> dict[str, str]:
        installation = self.installation
        found = {name: installation.environment[name] for name in ("DATABASE_URL", "MARSHLIGHT_DATA", "SECRET_KEY")}
        found |= {"DJANGO_SETTINGS_MODULE": "tests.promise.settings_faults", "PROMISE_POINTS": str(self.points)}
        found["REDIS_URL"] = installation.environment.get("REDIS_URL", "")
        if line.redis:
            found["REDIS_URL"] = f"redis://127.0.0.1:{line.redis.port}/0"
        if line.database:
            port = urlsplit(installation.url).port
            found["DATABASE_URL"] = installation.url.replace(f":{port}/", f":{line.database.port}/")
        return found


@contextlib.contextmanager
def site(pair: str, postgres: services.Postgres | None = None) -> Iterator[Site]:
    """Migrated and not started yet; gone with all that belongs to it afterwards. PostgreSQL is started if none is
    given."""
    kind, _, bus = pair.partition("+")
    with contextlib.ExitStack() as stack:
        if kind == "postgresql" and postgres is None:
            postgres = stack.enter_context(services.running(services.Postgres()))
        url = postgres.url if kind == "postgresql" and postgres else ""
        points = Path(tempfile.mkdtemp(prefix="marshlight-points-"))
        stack.callback(shutil.rmtree, points, ignore_errors=True)
        installation = stack.enter_context(installed(kind, url, f"faults_{int(time.time())}", bus=bus))
        yield Site(pair, installation, postgres if kind == "postgresql" else None, points)
