"""Counts the statements that a server process sends to its database, when a benchmark asks for it."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.db.backends.signals import connection_created

VARIABLE = "BENCHMARK_STATEMENTS"
WIDTH = 8


class BenchmarksConfig(AppConfig):
    name = "benchmarks"

    def ready(self) -> None:
        if path := os.environ.get(VARIABLE):
            counter = Counter(Path(path))

            def install(connection: Any, **kwargs: Any) -> None:
                connection.execute_wrappers.append(counter)

            connection_created.connect(install, weak=False)


class Counter:
    """An execute wrapper; whoever measures reads the number from the file at any time."""

    def __init__(self, path: Path) -> None:
        with path.open("w+b") as file:
            file.truncate(WIDTH)
            self._map = mmap.mmap(file.fileno(), WIDTH)
        self._count = 0
        self._lock = threading.Lock()

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        with self._lock:
            self._count += 1
            self._map[:] = self._count.to_bytes(WIDTH, "little")
        return execute(sql, params, many, context)


def counted(path: Path) -> int:
    return int.from_bytes(path.read_bytes(), "little")
