"""Where a benchmark takes place: a data directory of Marshlight's own, and processes that start and end in order."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks import machine

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT = 60


@contextlib.contextmanager
def place(**environment: str) -> Iterator[dict[str, str]]:
    """A migrated data directory of its own; yields the environment that every process of the benchmark gets."""
    with tempfile.TemporaryDirectory(prefix="marshlight-bench-") as directory:
        env = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            "MARSHLIGHT_DATA": directory,
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        manage(env, "migrate", "-v0")
        manage(env, "demo")
        yield env


def manage(env: dict[str, str], *words: str) -> str:
    """Output of a management command; CalledProcessError shows its errors."""
    return subprocess.run(
        [sys.executable, "manage.py", *words], cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def token(env: dict[str, str]) -> str:
    """A bearer token of a superuser, who sees everything."""
    make = "from django.contrib.auth import get_user_model as u; u().objects.create_superuser('bench')"
    manage(env, "shell", "-v0", "-c", make)
    return next(word for word in manage(env, "token", "create", "bench").split() if word.startswith("mlt_"))


@contextlib.contextmanager
def process(
    command: Sequence[str],
    env: dict[str, str] | None = None,
    *,
    ready: str | None = None,
    cores: set[int] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """A process that has printed `ready` (None: at once); terminated afterwards."""
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed below, when the process has ended
    with machine.on(cores or machine.ALL_CORES):
        running = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=subprocess.PIPE if ready else log, stderr=log, text=True
        )
    try:
        if ready:
            assert running.stdout is not None
            line = running.stdout.readline()
            if ready not in line:
                raise RuntimeError(f"it said {line!r}")
        yield running
    except Exception as error:
        log.seek(0)
        error.add_note(f"{' '.join(command)} wrote: {log.read()[-2000:]}")
        raise
    finally:
        stop(running)
        if running.stdout:
            running.stdout.close()
        log.close()


def stop(running: subprocess.Popen[str]) -> None:
    running.terminate()
    try:
        running.wait(10)
    except subprocess.TimeoutExpired:
        running.kill()
        running.wait()


@contextlib.contextmanager
def marshlight(
    env: dict[str, str], *options: str, port: int = 0, cores: set[int] | None = None
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`server.py`, accepting; yields it and its port."""
    ready = Path(env["MARSHLIGHT_DATA"]) / f"ready-{time.monotonic_ns()}"
    command = [sys.executable, "server.py", "--port", str(port), "--ready-file", str(ready), *options]
    with process(command, env, cores=cores) as running:
        deadline = time.monotonic() + START_LIMIT
        while not ready.exists():
            if running.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("server.py did not start")
            time.sleep(0.05)
        yield running, json.loads(ready.read_text())["port"]
