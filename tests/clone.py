"""A copy of this working tree in a directory of its own, with an empty HOME: what a newcomer has."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CHOSEN = ("DATABASE_URL", "REDIS_URL", "MARSHLIGHT_URL", "MARSHLIGHT_HOSTS", "MARSHLIGHT_DATA", "SECRET_KEY")
SET_UP_LIMIT = 300  # seconds; downloads on a slow line are not what is tested


@dataclass
class Started:
    """One `./run`: its process, what it printed so far, and its ready file's words."""

    process: subprocess.Popen[bytes]
    output: Path
    words: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def text(self) -> str:
        return self.output.read_text()

    @property
    def url(self) -> str:
        return str(self.words["url"])

    def installs(self) -> float:
        """Seconds that steps with a download took; a step's line ends with its time."""
        return sum(
            float(line.split()[-2]) for line in self.text.splitlines() if re.search(r"downloads .* \d+ s$", line)
        )

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise


@dataclass
class Clone:
    root: Path
    home: Path

    @classmethod
    def make(cls, parent: Path) -> "Clone":
        root, home = parent / "marsh light", parent / "home"
        home.mkdir()
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        )
        for name in filter(None, listed.stdout.decode().split("\0")):
            source = ROOT / name
            if source.is_file():  # a file that was deleted and not yet committed is listed too
                target = root / name
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
        return cls(root, home)

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name not in CHOSEN}
        kept.pop("DJANGO_SETTINGS_MODULE", None)
        return {**kept, "HOME": str(self.home), **more}

    def run(self, *words: str, cwd: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
        """`./run WORDS`, to its end."""
        return subprocess.run(
            [str(self.root / "run"), *words],
            cwd=cwd or self.home,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SET_UP_LIMIT,
            check=False,
        )

    @contextlib.contextmanager
    def started(self, data: Path, *words: str, **more: str) -> Iterator[Started]:
        """A server that answers, stopped afterwards."""
        output, ready = data.with_name(f"{data.name}.out"), data.with_name(f"{data.name}.ready")
        ready.unlink(missing_ok=True)
        began = time.monotonic()
        with output.open("wb") as sink:
            process = subprocess.Popen(
                [str(self.root / "run"), "--data", str(data), "--ready-file", str(ready), *words],
                cwd=self.home,
                env=self.environment(**more),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        running = Started(process, output)
        try:
            while not ready.exists():
                if process.poll() is not None or time.monotonic() - began > SET_UP_LIMIT:
                    raise AssertionError(f"./run did not get ready:\n{running.text}")
                time.sleep(0.05)
            running.seconds = time.monotonic() - began
            running.words = json.loads(ready.read_text())
            yield running
        finally:
            running.stop()
