"""One simulated device: hears what is wanted, obeys after a moment, reads its sensors, and has its moods. Pure.

Its configuration (`Device.vendor_config`), all of it optional:
`delay`      seconds until it obeys (0.6)
`every`      seconds between reports (3)
`readings`   key → {"around", "noise", "swing", "hours", "on"}: a number that wanders around `around`, by `noise` from
             report to report, and swings by `swing` with a period of `hours` (24); with "on" it is that, times the
             level if there is one, while the switch is on, and 0 otherwise
`refuse`     probability that it refuses a wish, `silent` that it does not answer one
`outages`    times per hour that it goes silent, for `outage` seconds (40); `offline` true: it never says anything
`presses`    times per hour that somebody presses its button
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from devices import schema
from devices.schema import Schema, Values

# Until a simulated device reports anything, and after it came back.
FIRST = 0.5


@dataclass(frozen=True, slots=True)
class Report:
    values: Values
    version: int


@dataclass(frozen=True, slots=True)
class Refusal:
    version: int
    code: str = "refused"
    message: str = "The device refused."


@dataclass(slots=True)
class Plan:
    """What it is about to do about a wish."""

    due: float
    version: int
    values: Values
    answer: str  # "obey", "refuse" or "silent"


@dataclass
class Simulated:
    """Times are seconds of any one clock. `hear` and `act` are called again and again with the present."""

    schema: Schema
    config: Mapping[str, Any]
    values: Values
    chance: random.Random
    faults: bool = True
    version: int = 0
    plan: Plan | None = None
    next_report: float = -math.inf
    silent_until: float = -math.inf
    _last: float | None = None
    _wander: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, spec in self.schema.items():
            if spec.get("writable") and key not in self.values:
                self.values[key] = _first(spec)

    def reachable(self, now: float) -> bool:
        return not (self.faults and (self.config.get("offline") or now < self.silent_until))

    def hear(self, desired: Values, version: int, now: float) -> bool:
        """Tell it what is wanted; True: it has taken it, and will do something about it."""
        if not self.reachable(now) or (self.plan is not None and self.plan.version >= version):
            return False
        wanted = {
            key: value
            for key, value in desired.items()
            if self.schema.get(key, {}).get("writable") and not schema.same(value, self.values.get(key))
        }
        if version <= self.version and not wanted:
            return False
        answer = self._answer() if wanted else "obey"
        self.plan = Plan(now + self._number("delay", 0.6), version, wanted, answer)
        return True

    def act(self, now: float) -> list[Report | Refusal]:
        """What it says now: of its own accord, by its button, or because of a wish."""
        self._mishap(now)
        if not self.reachable(now):
            return []
        said: list[Report | Refusal] = []
        if self.plan is not None and now >= self.plan.due:
            said += self._carry_out(self.plan)
        if now >= self.next_report and not said:
            said.append(self._report())
        if said:
            # Not all at once, for all of them begin at once.
            self.next_report = now + self._number("every", 3.0) * self.chance.uniform(0.8, 1.2)
        return said

    # Private

    def _answer(self) -> str:
        if self.faults:
            luck = self.chance.random()
            if luck < self._number("refuse", 0):
                return "refuse"
            if luck < self._number("refuse", 0) + self._number("silent", 0):
                return "silent"
        return "obey"

    def _carry_out(self, plan: Plan) -> list[Report | Refusal]:
        # A wish that it keeps silent about stays its plan, so that it does not hear the same one again.
        if plan.answer == "silent":
            return []
        self.plan = None
        self.version = max(self.version, plan.version)
        if plan.answer == "refuse":
            return [Refusal(plan.version)]
        self.values.update(plan.values)
        return [self._report()]

    def _mishap(self, now: float) -> None:
        passed = 0.0 if self._last is None else max(0.0, now - self._last) / 3600
        self._last = now
        if not self.faults or not self.reachable(now):
            return
        if self.chance.random() < self._number("outages", 0) * passed:
            self.silent_until = now + self._number("outage", 40)
            # What it was about to do is lost with its power.
            self.plan, self.next_report = None, self.silent_until + FIRST
        elif self.chance.random() < self._number("presses", 0) * passed and isinstance(self.values.get("on"), bool):
            self.values["on"] = not self.values["on"]
            self.next_report = now

    def _report(self) -> Report:
        for key, spec in self.schema.items():
            if spec["kind"] == "number" and not spec.get("writable"):
                self.values[key] = self._reading(key, spec)
        return Report(dict(self.values), self.version)

    def _reading(self, key: str, spec: Mapping[str, Any]) -> float:
        how = self.config.get("readings", {}).get(key, {})
        low, high = spec.get("min", -math.inf), spec.get("max", math.inf)
        around = float(how.get("around", (low + high) / 2 if math.isfinite(low + high) else 20))
        noise = float(how.get("noise", abs(around) * 0.005))
        if "on" in how:
            level = self.values.get("level", 100)
            around = float(how["on"]) * level / 100 if self.values.get("on") else 0.0
            noise = noise if around else 0.0
        elif swing := float(how.get("swing", 0)):
            around += swing * math.sin(2 * math.pi * (self._last or 0) / (3600 * float(how.get("hours", 24))))
        # Pulled back a little at each step, so it wanders without leaving.
        self._wander[key] = self._wander.get(key, 0.0) * 0.9 + self.chance.gauss(0, noise)
        wander = self._wander[key] if around else 0.0
        return float(round(min(max(around + wander, low), high), int(spec.get("decimals", 1))))

    def _number(self, name: str, default: float) -> float:
        value = self.config.get(name, default)
        return float(value) if schema.is_number(value) else default


def _first(spec: Mapping[str, Any]) -> Any:
    """What a value is before anybody set it."""
    if spec["kind"] == "bool":
        return False
    if spec["kind"] == "number":
        return spec.get("min", 0)
    return spec["options"][0] if spec["kind"] == "enum" else ""
