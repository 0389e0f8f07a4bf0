"""The machine's side: which core runs what, how much CPU and memory a process took, what else was going on."""

from __future__ import annotations

import contextlib
import os
import platform
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def cores() -> tuple[set[int], set[int]]:
    """One core for the server, the others for receivers, publishers and Redis. One core alone: everything on it."""
    usable = sorted(os.sched_getaffinity(0))
    return ({usable[0]}, set(usable[1:])) if len(usable) > 1 else (set(usable), set(usable))


ALL_CORES = os.sched_getaffinity(0)
SERVER_CORES, LOAD_CORES = cores()


@contextlib.contextmanager
def on(chosen: set[int]) -> Iterator[None]:
    """Processes started inside run on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, chosen)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """User and system time of a running process with all its threads, past ones too, to the nanosecond: the clock
    that clock_getcpuclockid(3) names."""
    return time.clock_gettime_ns(~pid << 3 | 2) / 1e9


def resident(pid: int) -> int:
    """Bytes in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def many_files() -> int:
    """As many open files as this process may have; what it starts inherits the limit."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    return most


def load() -> float:
    return os.getloadavg()[0]


def conditions() -> dict[str, Any]:
    """What the figures were measured on."""
    model = next((row for row in Path("/proc/cpuinfo").read_text().splitlines() if row.startswith("model name")), ":")
    return {
        "cores": os.cpu_count(),
        "processor": model.partition(":")[2].strip(),
        "python": platform.python_version(),
        "linux": platform.release(),
        "date": time.strftime("%Y-%m-%d"),
    }
