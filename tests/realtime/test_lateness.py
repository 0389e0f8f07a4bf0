"""How long the oldest change has waited: judged from looks (pure), and asked of the database."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from realtime import lateness
from realtime.lateness import LOOKS, Due, Lateness
from realtime.models import Journal
from tests.library.models import Shelf


class Scene:
    def __init__(self) -> None:
        self.now = 100.0
        self.lateness = Lateness(lambda: self.now)

    def look(self, due: Due | None, heard: int) -> float:
        self.lateness.look(due, heard)
        self.now += 0.5
        return self.lateness.seconds


def row(number: int, revision: int, age: float = 0.01) -> Due:
    return Due((number, revision), age)


def test_nothing_due_is_never_late() -> None:
    scene = Scene()
    assert [scene.look(None, 7) for _ in range(10)] == [0.0] * 10


def test_a_row_that_stays_is_late_though_others_are_published() -> None:
    scene = Scene()
    assert [scene.look(row(1, 5), heard) for heard in range(5)] == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_rows_that_are_written_again_and_again_are_late_if_nothing_arrives() -> None:
    scene = Scene()
    scene.look(None, 7)
    found = [scene.look(row(look % 3, 10 + look), 7) for look in range(5)]
    assert found == [0.5, 1.0, 1.5, 2.0, 2.5]


def test_a_busy_relay_is_not_late() -> None:
    scene = Scene()
    assert max(scene.look(row(look % 3, 10 + look), look) for look in range(50)) < 0.5


def test_an_old_row_at_the_end_of_a_long_transaction_is_no_news() -> None:
    scene = Scene()
    for look in range(20):
        assert scene.look(row(1, look, age=9.0), look) == 0.0
        assert scene.look(None, look) == 0.0


def test_a_long_queue_is_late_by_the_age_of_its_oldest() -> None:
    scene = Scene()
    found = [scene.look(row(look, look, age=6.0), look) for look in range(LOOKS + 1)]
    assert found == [0.0] * (LOOKS - 1) + [6.0, 6.0]


def test_what_was_late_is_forgotten_once_it_is_published() -> None:
    scene = Scene()
    for _ in range(10):
        scene.look(row(1, 5), 7)
    assert scene.look(None, 8) == 0.0
    assert scene.look(row(1, 6), 8) == 0.5


@pytest.mark.django_db
def test_the_oldest_row_is_the_one_with_the_lowest_revision_that_is_due() -> None:
    assert lateness.oldest() is None
    first, second, third = (Shelf.objects.create(name=name) for name in "abc")
    rows = {shelf: Journal.objects.get(label="library.shelf", key=str(shelf.pk)) for shelf in (first, second, third)}
    Journal.objects.exclude(label="library.shelf").delete()
    long_ago = timezone.now() - dt.timedelta(seconds=40)
    Journal.objects.filter(pk=rows[first].pk).update(dirty=False)
    Journal.objects.filter(pk=rows[second].pk).update(at=long_ago)
    found = lateness.oldest()
    assert found is not None
    assert found.row == (rows[second].pk, rows[second].revision)
    assert 39 < found.age < 60
    Journal.objects.filter(pk=rows[second].pk).update(failed=True)
    found = lateness.oldest()
    assert found is not None
    assert found.row[0] == rows[third].pk
    assert 0 <= found.age < 20
