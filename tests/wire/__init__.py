"""The golden frames: one JSON file per family, written by hand from docs/wire.md, read by the tests of every side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
FAMILIES: dict[str, dict[str, Any]] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(HERE.glob("*.json"))
}
# By name: names are unique over all files.
FRAMES: dict[str, dict[str, Any]] = {entry["name"]: entry for family in FAMILIES.values() for entry in family["frames"]}


def names(*families: str) -> list[str]:
    return [entry["name"] for family in families for entry in FAMILIES[family]["frames"]]


def frame(name: str) -> Any:
    return FRAMES[name]["frame"]
