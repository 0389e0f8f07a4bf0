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
                usable = connection.is_usable

                def counted_usable() -> Any:
                    # Asks the database too, past all wrappers.
                    counter.one_more()
                    return usable()

                connection.is_usable = counted_usable

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
        self.one_more()
        return execute(sql, params, many, context)

    def one_more(self) -> None:
        with self._lock:
            self._count += 1
            self._map[:] = self._count.to_bytes(WIDTH, "little")


def counted(path: Path) -> int:
    return int.from_bytes(path.read_bytes(), "little")
