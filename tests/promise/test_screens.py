"""The instrument itself: it must follow the protocol, or the promise's tests prove nothing."""

from __future__ import annotations

from typing import Any

from tests.promise.screens import OPENED, resyncs, screen


def part(number: int, more: bool, *ids: int, channel: str = "device|") -> dict[str, Any]:
    return {
        "type": "reply",
        "data": [{"id": pk, "value": "snapshot"} for pk in ids],
        "context": {"state": "success", "part": number, "more": more},
        "channel_data": {"local_channel": "d", "remote_channels": [channel], "action": "subscribe"},
    }


def change(action: str, pk: int, channel: str = "device|") -> dict[str, Any]:
    return {"type": "change", "action": action, "channel": channel, "data": {"id": pk, "value": action}}


def test_changes_between_parts_belong_to_the_new_snapshot() -> None:
    old = [part(1, False, 1, 2, 3)]
    assert set(screen([*old, part(1, True, 1), change("created", 9)], "d")) == {1, 2, 3}
    frames = [*old, part(1, True, 1), change("deleted", 1), change("created", 9), part(2, False, 2)]
    assert {pk: shown["value"] for pk, shown in screen(frames, "d").items()} == {9: "created", 2: "snapshot"}


def test_changes_of_other_channels_and_subscriptions_are_not_shown() -> None:
    assert screen([part(1, False), change("created", 1, "device|location:3")], "d") == {}
    assert screen([part(1, False, 1)], "other") == {}


def test_a_refused_subscription_shows_nothing() -> None:
    refused = part(1, False)
    refused["context"] = {"state": "error"}
    assert screen([part(1, False, 1), refused, change("created", 2)], "d") == {}


def test_a_new_connection_keeps_what_is_shown_and_hears_nothing_before_its_reply() -> None:
    cut_off = [part(1, False, 1), part(1, True, 2), {"type": OPENED}]
    recovered = part(1, False)
    recovered["context"] = {"state": "success", "recovered": True}
    assert set(screen([*cut_off, change("created", 8)], "d")) == {1}
    assert set(screen([*cut_off, recovered, change("created", 9)], "d")) == {1, 9}


def test_a_resync_is_due_until_the_next_snapshot() -> None:
    resync = {"type": "resync", "action": "resync", "channel": "device|"}
    assert resyncs([part(1, False), resync], "d")
    assert not resyncs([part(1, False), resync, part(1, False)], "d")
    assert not resyncs([part(1, False), {**resync, "channel": "location|"}], "d")
