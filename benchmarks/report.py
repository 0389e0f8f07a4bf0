"""Tables of what was measured."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from benchmarks.results import Results


def spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.3g}"
    return f"{statistics.median(values):.3g} ({min(values):.3g}-{max(values):.3g})"


def write(results: Results, docs: Path | None) -> None:
    for scenario in results.scenarios():
        print(f"\n{scenario}")
        for server, runs in results.of(scenario).items():
            good: list[dict[str, Any]] = [run for run in runs if "failed" not in run]
            keys = [k for k in (good or [{}])[0] if isinstance(good[0][k], (int, float)) and k not in ("turn", "at")]
            words = [f"{key} {spread([run[key] for run in good])}" for key in keys]
            print(f"  {server}: {len(good)} of {len(runs)}; " + ", ".join(words))
            print(*{"   failed: " + run["failed"] for run in runs if "failed" in run}, sep="\n", end="")
