"""The instruments must be able to find what they look for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.promise.greenhouse import Greenhouse, backwards
from tests.promise.screens import OPENED

HERE = "device|location:1"


def reply(local: str, *versions: int, channel: str = HERE) -> dict[str, Any]:
    return {
        "type": "reply",
        "at": 0.0,
        "data": [device(version) for version in versions],
        "context": {"state": "success"},
        "channel_data": {"local_channel": local, "remote_channels": [channel], "action": "subscribe"},
    }


def change(version: int, channel: str = HERE) -> dict[str, Any]:
    return {"type": "change", "at": 0.0, "action": "updated", "channel": channel, "offset": 1, "data": device(version)}


def device(version: int, location: int = 1) -> dict[str, Any]:
    return {"id": 17, "_type": "device", "acked_version": version, "location": location}


@pytest.mark.parametrize(
    "frames, went_back",
    [
        ([reply("a", 1), change(2), change(2), change(3)], False),
        ([reply("a", 3), change(2)], True),
        ([reply("a"), change(2), change(1)], True),
        ([reply("a", 3), reply("a", 2)], True),
        # Another collection, another channel: each has a past of its own.
        ([reply("a", 3), reply("b", 2), change(4)], False),
        ([reply("a", 3), change(2, "device|")], False),
        # On a new connection a collection hears nothing before its reply, and still must not go back.
        ([reply("a", 3), {"type": OPENED}, change(2)], False),
        ([reply("a", 3), {"type": OPENED}, reply("a", 2)], True),
    ],
)
def test_going_backwards_is_seen(frames: list[dict[str, Any]], went_back: bool) -> None:
    assert bool(backwards(frames)) is went_back


def test_what_somebody_may_not_see_is_found_in_replies_and_changes() -> None:
    place: Any = SimpleNamespace(pk=1)
    house = Greenhouse(place, place, theirs={"operator": {1}, "staff": None})
    foreign = {**change(1), "data": device(1, location=2)}
    in_a_reply = {**reply("a"), "data": [{"id": 2, "_type": "location"}]}
    for frames, leaks in (([change(1)], 0), ([foreign], 1), ([in_a_reply, foreign], 2)):
        follower: Any = SimpleNamespace(frames=frames)
        assert len(house.leaks("operator", follower)) == leaks
        assert house.leaks("staff", follower) == []
