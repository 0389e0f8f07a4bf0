"""What was measured, written to a file after each measurement, so that an interrupted run can go on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.place import ROOT

PLACE = ROOT / "var" / "benchmarks"


class Results:
    """One file: conditions, and a list of measurements {scenario, server, turn, load, …figures}."""

    def __init__(self, path: Path, *, resume: bool) -> None:
        self.path = path
        if resume and path.exists():
            self.content: dict[str, Any] = json.loads(path.read_text())
        else:
            self.content = {"conditions": machine.conditions(), "measured": []}

    def add(self, scenario: str, server: str, turn: int, **figures: Any) -> None:
        told = {"scenario": scenario, "server": server, "turn": turn, "load": machine.load(), "at": round(time.time())}
        self.content["measured"].append(told | figures)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(json.dumps(self.content, indent=1) + "\n")
        part.rename(self.path)

    def has(self, scenario: str, server: str, turn: int) -> bool:
        return any(
            (one["scenario"], one["server"], one["turn"]) == (scenario, server, turn)
            for one in self.content["measured"]
        )

    def of(self, scenario: str) -> dict[str, list[dict[str, Any]]]:
        """Server → its measurements of this scenario, in order."""
        found: dict[str, list[dict[str, Any]]] = {}
        for one in self.content["measured"]:
            if one["scenario"] == scenario:
                found.setdefault(one["server"], []).append(one)
        return found

    def scenarios(self) -> Iterator[str]:
        yield from dict.fromkeys(one["scenario"] for one in self.content["measured"])
