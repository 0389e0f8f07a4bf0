"""The short form of `python -m tests.promise`: a handful of faults for each pair of database and bus, judged alike."""

from __future__ import annotations

from typing import Any

import pytest

from tests.promise import sabotage
from tests.promise.faults import KINDS, kinds_of
from tests.promise.schedule import Planned, schedule
from tests.promise.site import PAIRS
from tests.promise.trial import trials

SEED = 5
# Kind, and which of its variants; what the long form found once, and the worst of the others.
SHORT: dict[str, list[tuple[str, int]]] = {
    "sqlite+memory": [
        ("server killed", 0),
        ("dies at a point", 3),
        ("rights end in an outage", 1),
        ("the disk is full for the servers", 0),
        ("the database is put back to what it was", 1),
    ],
    "sqlite+redis": [
        ("a stranger on the bus", 1),
        ("Redis ends and comes back", 0),
        ("line to Redis", 2),
        ("dies at a point", 6),
        ("server stands still", 1),
    ],
    "postgresql+redis": [
        ("PostgreSQL restarts", 1),
        ("Redis forgets everything", 0),
        ("Redis stands still", 0),
        ("line to clients", 2),
        ("relays killed", 1),
        ("a relay too many", 0),
        ("dies at a point", 5),
        ("server told to end", 1),
    ],
}


@pytest.mark.e2e
@pytest.mark.parametrize("pair", PAIRS)
def test_after_each_fault_every_screen_equals_the_database(
    pair: str, request: pytest.FixtureRequest, django_db_blocker: Any
) -> None:
    postgres = request.getfixturevalue("postgres") if pair.startswith("postgresql") else None
    kinds_of(pair)
    with django_db_blocker.unblock(), trials(pair, SEED, postgres) as running:
        for number, (kind, time) in enumerate(SHORT[pair]):
            seconds = sum(KINDS[kind].lasts) / 2
            planned = Planned(number, kind, time, seconds, number % 2 == 0, f"{pair} {SEED} {number}")
            verdict, _ = running.run(planned)
            print(f"{pair}: {planned} [{verdict.detail}]: equal after {verdict.slowest} s")
            assert verdict.findings == [], (planned, verdict)


@pytest.mark.e2e
def test_servers_that_are_wrong_are_found_out(django_db_blocker: Any) -> None:
    """Over real servers and real frames, whatever the judge's own tests say."""
    kinds_of("sqlite+memory")
    with django_db_blocker.unblock(), trials("sqlite+memory", SEED) as running:
        order = running.site.points / "sabotage"
        for number, name in enumerate(sabotage.WAYS):
            order.write_text(name)
            planned = Planned(number, "fails at a point", number, 1.0, False, f"sabotage {number}")
            verdict, _ = running.run(planned, patience=1.0)
            found = {finding.partition(":")[0] for finding in verdict.findings}
            print(f"{name}: {found}")
            assert name in found
            order.unlink()


@pytest.mark.parametrize("pair", PAIRS)
def test_a_schedule_can_be_had_again_and_leaves_no_kind_out(pair: str) -> None:
    planned = schedule(pair, 7, 100, 8)
    assert planned == schedule(pair, 7, 100, 8) != schedule(pair, 8, 100, 8)
    counts = {kind: sum(one.kind == kind for one in planned) for kind in kinds_of(pair)}
    assert min(counts.values()) >= 8 and sum(counts.values()) == len(planned) >= 100
    assert sum(one.inside for one in planned) >= 30
    # All variants come round.
    assert all([one.time for one in planned if one.kind == kind] == list(range(n)) for kind, n in counts.items())
