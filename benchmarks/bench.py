"""What every benchmark needs: a place with real services, a server process, its CPU seconds, medians and conditions."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT = 60


def cpu_seconds(pid: int) -> float:
    """User and system time of a running process, from /proc (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


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
def process(env: dict[str, str], *command: str, ready: str | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process that has printed `ready` (None: at once); terminated afterwards."""
    log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed below, when the process has ended
    running = subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=env, stdout=subprocess.PIPE if ready else log, stderr=log, text=True
    )
    try:
        if ready:
            assert running.stdout is not None
            line = running.stdout.readline()
            if ready not in line:
                log.seek(0)
                raise RuntimeError(f"{command} said {line!r}: {log.read()[-2000:]}")
        yield running
    finally:
        running.terminate()
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        log.close()


@contextlib.contextmanager
def marshlight(env: dict[str, str], *options: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`server.py`, accepting; yields it and its port."""
    ready = Path(env["MARSHLIGHT_DATA"]) / f"ready-{time.monotonic_ns()}"
    with process(env, "server.py", "--port", "0", "--ready-file", str(ready), *options) as running:
        deadline = time.monotonic() + START_LIMIT
        while not ready.exists():
            if running.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("server.py did not start")
            time.sleep(0.05)
        yield running, json.loads(ready.read_text())["port"]


def conditions() -> str:
    """One line: what the figures were measured on."""
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return (
        f"{os.cpu_count()} cores, Python {platform.python_version()}, Linux {platform.release()}, "
        f"load average {load}, {time.strftime('%Y-%m-%d')}"
    )


def spread(values: list[float]) -> dict[str, float]:
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def table(rows: list[dict[str, Any]]) -> str:
    """Rows with the same keys as a Markdown table."""
    heads = list(rows[0])
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    return "\n".join(lines + ["| " + " | ".join(str(row[head]) for head in heads) + " |" for row in rows])
