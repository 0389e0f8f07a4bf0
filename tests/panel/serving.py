"""A whole server with the demo's devices, for browsers."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.services import free_port

ROOT = Path(__file__).resolve().parents[2]
START_LIMIT = 60  # seconds; migrations and the demo on a busy two-core machine


class DemoServer:
    """`server.py` on a port of its own, with its own data; `stop` and `start` keep both."""

    def __init__(self, directory: Path, *words: str, **environment: str) -> None:
        self.directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        # Chance is for people who look at the demo; here only the devices that the tests ask for matter.
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")},
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "MARSHLIGHT_DATA": str(directory),
            "MARSHLIGHT_URL": self.url.rstrip("/"),
            **environment,
        }
        self.words = words
        self.process: subprocess.Popen[bytes] | None = None
        self.manage("migrate", "--verbosity", "0")
        self.manage("demo", "--password-file", str(directory / "passwords"))
        lines = (directory / "passwords").read_text(encoding="utf-8").splitlines()
        self.passwords = dict(line.split(maxsplit=1) for line in lines)

    def start(self) -> None:
        ready = self.directory / "ready.json"
        ready.unlink(missing_ok=True)
        with (self.directory / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "server.py", "--port", str(self.port), "--ready-file", str(ready), *self.words],
                cwd=ROOT,
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_LIMIT
        while not _is_complete(ready):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The server did not start: {self.log[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """As a crash would: nobody is told."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(timeout=10)
            self.process = None

    @property
    def log(self) -> str:
        return (self.directory / "server.log").read_text(encoding="utf-8")

    def manage(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=START_LIMIT,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stdout + done.stderr)
        return done.stdout


def _is_complete(ready: Path) -> bool:
    try:
        return "port" in json.loads(ready.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
