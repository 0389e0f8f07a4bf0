"""Which faults happen, in which order and how: all of it decided by a seed, so that a run can be had again."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.promise.faults import KINDS, kinds_of

# In so many of them the last write falls inside the outage.
INSIDE = 0.55


@dataclass(frozen=True)
class Planned:
    number: int
    kind: str
    #: Which time it is for this kind: its variants come round.
    time: int
    seconds: float
    #: Whether the writers are to end before the fault does.
    inside: bool
    seed: str

    def __str__(self) -> str:
        end = "writers end inside" if self.inside else "writers go on"
        return f"{self.number:3} {self.kind} #{self.time}, {self.seconds:.2f} s, {end}"


def schedule(pair: str, seed: int, faults: int, each: int) -> list[Planned]:
    """At least `faults` of them, each kind that there is for the pair at least `each` times."""
    chance = random.Random(f"{pair} {seed}")
    kinds = kinds_of(pair)
    chosen = [kind for kind in kinds for _ in range(each)]
    while len(chosen) < faults:
        chosen.append(kinds[len(chosen) % len(kinds)])
    chance.shuffle(chosen)
    times = dict.fromkeys(kinds, -1)
    found = []
    for number, kind in enumerate(chosen):
        times[kind] += 1
        seconds = chance.uniform(*KINDS[kind].lasts)
        found.append(Planned(number, kind, times[kind], seconds, chance.random() < INSIDE, f"{pair} {seed} {number}"))
    return found
