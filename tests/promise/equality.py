"""The promise itself: clients that watch, and when all that they show equals the database."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any

from tests.promise.follower import Follower, Wanted
from tests.promise.greenhouse import Greenhouse, backwards
from tests.promise.installation import SCALE, Installation, until
from tests.promise.screens import Objects


@contextlib.contextmanager
def watched(
    inst: Installation, house: Greenhouse, *people: str, wanted: Wanted | None = None
) -> Iterator[dict[str, Follower]]:
    """A client of each, dealt out to the servers, with all their snapshots."""
    with contextlib.ExitStack() as stack:
        found = {
            who: stack.enter_context(house.follower(inst.port(number), who, wanted))
            for number, who in enumerate(people)
        }
        for who, follower in found.items():
            until(lambda one=follower: one.settled, f"the snapshots of {who}")  # type: ignore[misc]
        yield found


def equal(inst: Installation, house: Greenhouse, followers: Mapping[str, Follower], since: float) -> float:
    """Seconds from `since` until the last frame of those that made every screen equal to the database.

    Then a look by new clients must be the same, and nothing that was sent before may have gone backwards or to somebody
    who may not see it.
    """
    expected = {who: house.expected(who, follower.wanted) for who, follower in followers.items()}

    def wrong() -> list[str]:
        return [
            f"{who}/{local}: {_difference(shown, expected[who][local])}"
            for who, follower in followers.items()
            for local, shown in follower.screens().items()
            if shown != expected[who][local]
        ]

    try:
        until(lambda: not wrong(), "equal screens", 2 * SCALE - (time.monotonic() - since))
    except AssertionError as error:
        raise AssertionError(f"{error}; {wrong()}") from None
    for number, (who, follower) in enumerate(followers.items()):
        with house.follower(inst.port(number + 1), who, follower.wanted) as fresh:
            until(lambda one=fresh: one.settled, "a fresh look")  # type: ignore[misc]
            assert fresh.screens() == follower.screens()
        assert house.leaks(who, follower) == []
        assert backwards(follower.frames) == []
    return max(0.0, max(follower.last_news for follower in followers.values()) - since)


def _difference(shown: Objects, expected: Objects) -> dict[Any, Any]:
    """By object: what is shown, what should be."""
    return {
        key: (shown.get(key), expected.get(key))
        for key in shown.keys() | expected.keys()
        if shown.get(key) != expected.get(key)
    }
