"""The harness' end of a process full of receivers (`benchmarks.crowd`)."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

from benchmarks import machine
from benchmarks.place import ROOT


class Broken(RuntimeError):
    """Frames were lost, came twice, out of order or garbled, or a receiver was cut: nothing was measured."""


class Receivers:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, do: str, **words: Any) -> dict[str, Any]:
        self.tell(do, **words)
        return self.answer()

    def tell(self, do: str, **words: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **words}) + "\n")
        self._process.stdin.flush()

    def line(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Broken("the receivers' process ended")
        return json.loads(line)

    def answer(self) -> dict[str, Any]:
        """Raises Broken when the answer tells of a fault."""
        found: dict[str, Any] = self.line()
        if failed := found.get("failed"):
            raise Broken(failed)
        if found.get("faults"):
            raise Broken("; ".join(found["faults"][:3]))
        return found


def crowd(port: int, dialect: str, header: str = "") -> AbstractContextManager[Receivers]:
    """Receivers of `benchmarks.crowd`."""
    command = [sys.executable, "-m", "benchmarks.crowd", "--port", str(port), "--dialect", dialect, "--header", header]
    return talking(command)


@contextlib.contextmanager
def talking(command: Sequence[str], env: dict[str, str] | None = None) -> Iterator[Receivers]:
    """A program that is asked, on the load's cores; gone with its sockets afterwards."""
    with machine.on(machine.LOAD_CORES):
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield Receivers(process)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe and pipe.close()
