"""A report says what was found, and is whole whenever a run ends."""

from __future__ import annotations

import json
from pathlib import Path

from tests.promise.report import Report
from tests.promise.trial import Verdict


def verdict(number: int, *findings: str, **equal: float | None) -> Verdict:
    return Verdict(number, "Redis is full", "detail", 1.0, number % 2 == 0, equal, list(findings), 20, {}, 0.1)


def test_what_was_found_is_counted_by_its_name_and_told(tmp_path: Path) -> None:
    report = Report(tmp_path, "sqlite+redis", 7, 3)
    report.add(verdict(0, staff=0.2, viewer=0.1))
    report.add(verdict(1, "lost: viewer/devices 3: old", "lost: slow/devices 3: old", staff=0.3, viewer=None))
    written = json.loads(report.path.with_suffix(".json").read_text())
    assert written["done"] == 2 and written["planned"] == 3 and written["inside"] == 1 and written["max"] == 0.3
    assert written["found"]["lost"] == 2 and sum(written["found"].values()) == 2
    text = report.path.read_text()
    assert "| Redis is full | 2 | 1 | 1.0 s | never | 2 |" in text and "viewer/devices 3: old" in text
