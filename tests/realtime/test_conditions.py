"""What is broken, told neither too soon nor too late nor twice."""

from __future__ import annotations

import datetime as dt

import pytest

from realtime import conditions
from realtime.conditions import PATIENCE, RELIEF, WELL, Conditions

MORNING = dt.datetime(2026, 11, 21, 6, 0, tzinfo=dt.UTC)


class Scene:
    """Time goes on when it is told to; a look is taken every half second."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.conditions = Conditions(lambda: self.seconds, lambda: MORNING + dt.timedelta(seconds=self.seconds - 1000))

    def look(self, part: str, broken: bool, seconds: float = 0.0, for_seconds: float = 0.0) -> None:
        """Now, and twice a second for so long."""
        until = self.seconds + seconds
        while True:
            self.conditions.found(part, broken, for_seconds)
            if self.seconds >= until:
                return
            self.seconds += 0.5

    @property
    def parts(self) -> list[str]:
        return [broken.part for broken in self.conditions.state.broken]


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_as_long_as_nobody_looked_all_is_well(scene: Scene) -> None:
    assert scene.conditions.state == WELL
    assert (WELL.behind, WELL.saving, WELL.complete, WELL.since) == (False, True, True, None)


@pytest.mark.parametrize("part", PATIENCE)
def test_a_part_is_told_when_it_was_broken_for_as_long_as_its_patience(scene: Scene, part: str) -> None:
    scene.look(part, True)
    scene.seconds += PATIENCE[part] - 0.01
    scene.look(part, True)
    assert (part in scene.parts) is (PATIENCE[part] == 0)
    scene.seconds += 0.01
    scene.look(part, True)
    assert scene.parts == [part]


def test_a_hiccup_is_not_told(scene: Scene) -> None:
    for _ in range(10):
        scene.look(conditions.BUS, True)
        scene.seconds += PATIENCE[conditions.BUS] / 2
        scene.look(conditions.BUS, False)
        assert scene.parts == []
        scene.seconds += 0.1


def test_an_outage_with_a_gap_is_one_outage_since_its_beginning(scene: Scene) -> None:
    scene.look(conditions.BUS, True, 2.0)
    began = scene.conditions.state.since
    assert began == MORNING
    for _ in range(10):
        scene.look(conditions.BUS, False)
        scene.seconds += RELIEF - 0.01
        scene.look(conditions.BUS, True)
        assert scene.conditions.state.since == began
    scene.look(conditions.BUS, False, RELIEF)
    assert scene.conditions.state == WELL


def test_a_part_that_tells_for_how_long_it_has_been_broken_is_believed(scene: Scene) -> None:
    scene.look(conditions.JOURNAL, True, 0.5, for_seconds=12.0)
    assert scene.conditions.state.since == MORNING + dt.timedelta(seconds=0.5 - 12.0)


@pytest.mark.parametrize(
    ("part", "behind", "saving", "complete"),
    [
        (conditions.BUS, True, True, True),
        (conditions.JOURNAL, True, True, True),
        (conditions.DATABASE, True, False, True),
        (conditions.DISK, False, False, True),
        (conditions.OBJECTS, False, True, False),
        (conditions.RELAY, False, True, True),
        (conditions.SPACE, False, True, True),
    ],
)
def test_each_part_means_something_for_whoever_looks(
    scene: Scene, part: str, behind: bool, saving: bool, complete: bool
) -> None:
    scene.look(part, True, PATIENCE[part])
    state = scene.conditions.state
    assert (state.behind, state.saving, state.complete) == (behind, saving, complete)
    # What nobody would notice has no beginning for them.
    assert (state.since is None) is (not behind and saving and complete)


def test_what_follows_from_another_part_is_not_told_beside_it(scene: Scene) -> None:
    scene.look(conditions.JOURNAL, True, 1.0)
    scene.look(conditions.BUS, True, 1.0)
    assert scene.parts == [conditions.BUS]
    scene.look(conditions.BUS, False, RELIEF)
    assert scene.parts == [conditions.JOURNAL]
    scene.look(conditions.RELAY, True, 3.0)
    assert scene.parts == [conditions.JOURNAL, conditions.RELAY]
    scene.look(conditions.DATABASE, True, 1.0)
    assert scene.parts == [conditions.DATABASE]


def test_the_oldest_stands_first(scene: Scene) -> None:
    scene.look(conditions.DISK, True)
    scene.seconds += 5
    scene.look(conditions.BUS, True, 1.0)
    assert scene.parts == [conditions.DISK, conditions.BUS]
    assert scene.conditions.state.since == MORNING
