"""The judgement after a fault: patience is counted by when was listened, not by how long it took."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any

from tests.promise.trial import Trials


class Listeners:
    """A crowd of one, whose first frames take longer to be understood than anybody's patience lasts; the last one,
    which makes it equal, came meanwhile."""

    def __init__(self) -> None:
        self.ledger = SimpleNamespace(last=0.0)
        self.audit = SimpleNamespace(mistakes=lambda ledger: [])
        self.heard = 0
        judge = SimpleNamespace(barred=0.0, settled=True, findings=[], equal_for=self.equal, conclude=self.conclude)
        self.people = {"staff": SimpleNamespace(name="staff", judge=judge)}

    def listen(self) -> None:
        self.heard += 1
        if self.heard == 1:
            time.sleep(0.3)

    def equal(self, base: float) -> float | None:
        return 0.1 if self.heard > 1 else None

    def conclude(self, base: float, limit: float, now: float) -> float | None:
        return self.equal(base)


def test_what_came_while_the_judge_was_busy_counts() -> None:
    crowd: Any = Listeners()
    fault: Any = SimpleNamespace(ended=[])
    trials = Trials(SimpleNamespace(), SimpleNamespace(), crowd)  # type: ignore[arg-type]
    assert trials._judged(fault, time.time(), patience=0.1) == {"staff": 0.1}
