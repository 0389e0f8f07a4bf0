from __future__ import annotations

import json
from typing import Any

import pytest

from realtime.change import DATA_STREAM, Change, Event
from realtime.errors import CloseCode, TooLarge
from realtime.filters import Condition, Filter
from realtime.hub import Hub, Subscription
from realtime.limits import Limits
from realtime.protocol import Call, Raw, dumps
from tests.realtime.core import EVERYTHING, SOCKJS, WS, FakeClient, FakeHub, at, device, follow

AT = ("e1", 10)


@pytest.fixture
def hub() -> FakeHub:
    return FakeHub()


def lamp(key: int = 17, revision: int = 1, **data: Any) -> tuple[str, dict[str, Any]]:
    return str(key), {"id": key, "_type": "device", "revision": revision, **data}


def live(hub: FakeHub, client: FakeClient, filter: Filter = EVERYTHING, local: str = "devices") -> Subscription:
    """A subscription whose empty snapshot has arrived."""
    subscription = follow(hub, client, filter, local)
    hub.snapshot(subscription, [], {}, AT)
    hub.run()
    client.frames()
    return subscription


def listen(hub: FakeHub, client: FakeClient, *channels: str) -> Subscription:
    call = Call("subscribe", "chat", {}, "c13")
    subscription = Subscription(client.connection, DATA_STREAM, channels, "chat", call)
    client.connection.subscribe("chat", subscription, lambda: hub.leave(subscription))
    hub.join(subscription)
    return subscription


def actions(client: FakeClient) -> list[tuple[str, int]]:
    return [(sent.get("action") or sent["type"], sent["data"]["id"]) for sent in client.frames()]


# -- who is told what -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "before", "told"),
    [
        (3, (None,), "created"),
        (3, (3,), "updated"),
        (3, (4,), "updated"),
        (3, (None, 4), "updated"),
        (4, (3,), "deleted"),
        (None, (3,), "deleted"),
        (None, (None, 3, 4), "deleted"),
        (4, (5, 3), "deleted"),
        (4, (4,), None),
        (4, (None,), None),
        (None, (4,), None),
        (None, (None,), None),
    ],
)
def test_a_channel_is_told_what_concerns_it(
    hub: FakeHub, location: int | None, before: tuple[int | None, ...], told: str | None
) -> None:
    client = FakeClient()
    live(hub, client, at(3))
    hub.publish(device(17, 2, location, before), 11)
    hub.run()

    assert [action for action, _ in actions(client)] == ([told] if told else [])


def test_what_left_a_filter_tells_nothing_of_where_it_is_now(hub: FakeHub) -> None:
    client = FakeClient()
    live(hub, client, at(3))
    hub.publish(device(17, 2, 4, (3,), name="secret"), 11)
    hub.publish(device(18, 3, None, (3,)), 12)
    hub.run()
    left, gone = client.frames()

    assert (left["data"], left["gone"]) == ({"id": 17, "_type": "device"}, False)
    assert (gone["data"], gone["gone"]) == ({"id": 18, "_type": "device"}, True)


def test_a_change_carries_the_whole_object_its_channel_and_offset(hub: FakeHub) -> None:
    client = FakeClient()
    live(hub, client, at(3))
    hub.publish(device(17, 2, name="lamp"), 11)
    hub.run()

    assert client.frames() == [
        {
            "type": "change",
            "action": "updated",
            "channel": "device|location:3",
            "data": {"id": 17, "_type": "device", "revision": 2, "name": "lamp"},
            "offset": 11,
        }
    ]


def test_an_object_hidden_by_its_serializer_is_gone(hub: FakeHub) -> None:
    client = FakeClient()
    live(hub, client, at(3))
    hub.publish(Change("device", "17", 2, "updated", None, {"location": 3}, ({"location": 3},), 17, "device"), 11)
    hub.run()

    assert [(sent["action"], sent["gone"]) for sent in client.frames()] == [("deleted", True)]


def test_other_streams_are_not_heard(hub: FakeHub) -> None:
    client = FakeClient()
    live(hub, client)
    hub.publish(Change("location", "1", 2, "updated", {"id": 1}, {}, ({},), 1, "location"), 11)
    hub.run()

    assert client.frames() == []


# -- one turn of the loop -------------------------------------------------------------------------------------------


def test_everybody_in_a_channel_is_sent_the_very_same_bytes(hub: FakeHub) -> None:
    clients = [FakeClient() for _ in range(3)]
    for client in clients:
        live(hub, client)
    for key in (1, 2, 3):
        hub.publish(device(key, key), 10 + key)
    hub.run()

    assert [len(client.writes) for client in clients] == [1, 1, 1]
    assert len({id(client.writes[0]) for client in clients}) == 1


def test_of_one_object_only_the_newest_change_of_a_turn_is_sent_at_the_end(hub: FakeHub) -> None:
    client = FakeClient()
    live(hub, client)
    for revision, key in enumerate((1, 2, 1), 1):
        hub.publish(device(key, revision), 10 + revision)
    hub.run()

    assert [(sent["data"]["id"], sent["offset"]) for sent in client.frames()] == [(2, 12), (1, 13)]


def test_a_client_in_several_channels_gets_its_turn_in_one_piece(hub: FakeHub) -> None:
    client, other = FakeClient(), FakeClient()
    live(hub, client, at(3), "three")
    live(hub, client, at(4), "four")
    live(hub, other, at(4), "four")
    hub.publish(device(1, 2, 4, (3,)), 11)
    hub.run()

    assert len(client.writes) == 1
    assert {(sent["channel"], sent["action"]) for sent in client.frames()} == {
        ("device|location:3", "deleted"),
        ("device|location:4", "updated"),
    }
    assert actions(other) == [("updated", 1)]


def test_a_turn_is_scheduled_once_however_much_happens(hub: FakeHub) -> None:
    client = FakeClient()
    live(hub, client)
    for key in range(5):
        hub.publish(device(key, key + 1), 11 + key)

    assert hub.scheduled == 1


def test_nothing_is_scheduled_for_what_nobody_follows(hub: FakeHub) -> None:
    hub.publish(device(1, 1), 11)

    assert hub.scheduled == 0


def test_a_stalled_client_gets_the_newest_of_each_object_when_it_reads(hub: FakeHub) -> None:
    client, healthy = FakeClient(), FakeClient()
    live(hub, client)
    live(hub, healthy)
    client.stalled = True
    for revision in range(1, 6):
        hub.publish(device(17, revision), 10 + revision)
        hub.run()
    client.stalled = False
    client.drain()

    assert [sent["data"]["revision"] for sent in client.frames()] == [1, 5]
    assert [sent["data"]["revision"] for sent in healthy.frames()] == [1, 2, 3, 4, 5]


def test_a_client_that_is_too_slow_is_closed_and_hurts_nobody(hub: FakeHub) -> None:
    slow, healthy = FakeClient(limits=Limits(outbox_bytes=2000)), FakeClient()
    live(hub, slow)
    live(hub, healthy)
    slow.stalled = True
    for key in range(100):
        hub.publish(device(key, key + 1), 11 + key)
        hub.run()

    assert slow.closed is CloseCode.TOO_SLOW
    assert len(healthy.frames()) == 100
    assert hub.counts()["subscriptions"] == 1


def test_a_client_whose_direct_send_overflows_is_closed_in_the_middle_of_a_turn(hub: FakeHub) -> None:
    slow, healthy = FakeClient(limits=Limits(outbox_bytes=2000)), FakeClient()
    live(hub, slow)
    live(hub, healthy)
    slow.stalled = True
    for key in range(100):
        hub.publish(device(key, key + 1), 11 + key)
    hub.run()

    assert slow.closed is CloseCode.TOO_SLOW
    assert len(healthy.frames()) == 100


def test_what_is_written_follows_the_changes_before_it(hub: FakeHub) -> None:
    client = FakeClient()
    live(hub, client)
    hub.publish(device(17, 1), 11)
    hub.write(client.connection, '{"type":"reply","data":null}')
    hub.publish(device(17, 2), 12)
    hub.run()

    assert [sent["type"] for sent in client.frames()] == ["change", "reply", "change"]


# -- snapshots ------------------------------------------------------------------------------------------------------


def test_the_first_frame_is_the_reply_with_the_objects(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = follow(hub, client, at(3))
    hub.snapshot(subscription, [lamp(17), ("18", Raw('{"id":18}'))], {"17": (1, False)}, AT)
    hub.run()

    assert client.frames() == [
        {
            "type": "reply",
            "data": [{"id": 17, "_type": "device", "revision": 1}, {"id": 18}],
            "context": {
                "client_callback_name": "c7",
                "verb": "subscribe",
                "state": "success",
                "position": {"device|location:3": ["e1", 10]},
                "part": 1,
                "more": False,
            },
            "channel_data": {
                "local_channel": "devices",
                "remote_channels": ["device|location:3"],
                "action": "subscribe",
            },
        }
    ]


def test_changes_while_joining_are_merged_into_the_snapshot(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = follow(hub, client, at(3))
    hub.publish(device(1, 6), 11)  # newer than the row: replaces it
    hub.publish(device(2, 3), 12)  # older than the row: dropped
    hub.publish(device(3, 7, 4, (3,)), 13)  # left: taken out
    hub.publish(device(4, 8, 3, (4,)), 14)  # came: put in
    rows = [lamp(1, 5), lamp(2, 5), lamp(3, 5)]
    hub.snapshot(subscription, rows, {"1": (5, False), "2": (5, True), "3": (5, False)}, ("e1", 14))
    hub.run()
    (reply,) = client.frames()

    assert {row["id"]: row["revision"] for row in reply["data"]} == {1: 6, 2: 5, 4: 8}


def test_a_change_older_than_a_shown_row_never_follows_it(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = follow(hub, client)
    hub.snapshot(subscription, [lamp(17, 6)], {"17": (6, True)}, AT)
    hub.publish(device(17, 5), 11)
    hub.publish(device(17, 6), 12)
    hub.publish(device(17, 7), 13)
    hub.run()

    assert [sent["data"]["revision"] for sent in client.frames() if sent["type"] == "change"] == [7]


def test_a_row_that_was_seen_deleted_does_not_come_back(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = follow(hub, client)
    hub.snapshot(subscription, [], {"17": (6, True)}, AT)
    hub.publish(device(17, 5), 11)
    hub.run()

    assert [sent["type"] for sent in client.frames()] == ["reply"]


def test_no_position_is_told_while_a_shown_row_is_not_published(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = follow(hub, client)
    hub.snapshot(subscription, [lamp(17, 6)], {"17": (6, True)}, AT)
    hub.run()
    hub.beat([client.connection], positions=True)
    reply, beat = client.frames()
    assert "position" not in reply["context"]
    assert "position" not in beat

    hub.publish(device(17, 6), 11)
    hub.run()
    assert client.frames() == [{"type": "heartbeat", "heartbeat": "1", "position": {"device|": ["e1", 11]}}]


def test_what_is_awaited_may_come_by_without_concerning_the_channel(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = follow(hub, client, at(3))
    hub.snapshot(subscription, [lamp(1)], {"1": (5, False), "2": (6, True)}, AT)
    hub.run()
    client.frames()
    hub.publish(device(2, 6, 4, (4,)), 11)
    hub.run()

    (beat,) = client.frames()
    assert beat["position"] == {"device|location:3": ["e1", 11]}
    assert subscription.settled


def test_what_is_awaited_may_come_by_while_suspended(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = follow(hub, client, at(3))
    hub.snapshot(subscription, [lamp(1, 7)], {"1": (7, True), "2": (6, True)}, AT)
    hub.suspend(subscription)
    hub.publish(device(2, 6, 4, (4,)), 11)
    hub.publish(device(1, 7), 12)
    hub.run()
    client.frames()
    hub.resume(subscription)
    hub.run()

    (beat,) = client.frames()
    assert beat["position"] == {"device|location:3": ["e1", 12]}


def test_what_is_awaited_makes_older_changes_that_are_held_back_superfluous(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = follow(hub, client, at(3))
    hub.snapshot(subscription, [], {"1": (6, True)}, AT)
    hub.suspend(subscription)
    hub.publish(device(1, 5, 4, (3,)), 11)
    hub.publish(device(1, 6, 4, (4,)), 12)
    hub.run()
    client.frames()
    hub.resume(subscription)
    hub.run()

    (beat,) = client.frames()
    assert beat["position"] == {"device|location:3": ["e1", 12]}


def test_a_snapshot_of_ten_thousand_objects_fits_any_outbox(hub: FakeHub) -> None:
    client = FakeClient()
    client.stalled = True
    subscription = follow(hub, client)
    rows = [lamp(key, 1, name="x" * 200) for key in range(10_000)]
    hub.snapshot(subscription, rows, {}, AT)
    most = 0
    for _ in range(1000):
        hub.run()
        most = max(most, client.connection.outbox.size)
        if not client.in_flight:
            break
        client.drain()
    parts = client.frames()

    assert client.closed is None
    assert most < 1024 * 1024 // 2
    assert [row["id"] for part in parts for row in part["data"]] == list(range(10_000))
    assert [part["context"]["part"] for part in parts] == list(range(1, len(parts) + 1))
    assert [part["context"]["more"] for part in parts] == [True] * (len(parts) - 1) + [False]
    assert max(len(dumps(part)) for part in parts) < 66 * 1024


def test_a_snapshot_gives_way_to_other_work_between_its_parts() -> None:
    hub = FakeHub(Limits(part_bytes=50))
    client = FakeClient()
    subscription = follow(hub, client)
    hub.snapshot(subscription, [lamp(key) for key in range(5)], {}, AT)
    turns = 0
    while hub.scheduled:
        hub.scheduled = 0
        hub.flush()
        turns += 1

    assert turns >= 5
    assert len(client.frames()) == 5


def test_changes_while_parts_are_under_way() -> None:
    hub = FakeHub(Limits(part_bytes=10))
    client = FakeClient()
    client.connection.stuck(300_000)  # no room for more than the first part
    subscription = follow(hub, client, at(3))
    hub.snapshot(subscription, [lamp(key) for key in (1, 2, 3)], {}, AT)
    hub.run()
    hub.publish(device(1, 4), 11)  # sent already: a change of its own
    hub.publish(device(2, 5), 12)  # not sent yet: its part shows it
    hub.publish(device(3, 6, 4, (3,)), 13)  # not sent yet, and left: its part does not
    hub.publish(device(4, 7, 3, (4,)), 14)  # new
    hub.run()
    client.connection.drained(300_000)
    hub.run()
    frames = client.frames()

    assert [frame["type"] for frame in frames] == ["reply", "change", "change", "reply"]
    assert frames[3]["data"] == [{"id": 2, "_type": "device", "revision": 5}]
    assert frames[3]["context"]["more"] is False


def test_an_object_that_fits_no_outbox_is_refused_before_anything_is_sent(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = follow(hub, client)
    with pytest.raises(TooLarge):
        hub.snapshot(subscription, [lamp(1, name="x" * 300_000)], {}, AT)
    hub.run()

    assert client.frames() == []


def test_rows_read_for_a_subscription_that_left_are_for_nobody(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = follow(hub, client)
    client.connection.unsubscribe("devices")
    hub.snapshot(subscription, [lamp()], {}, AT)
    assert hub.replay(subscription, [], AT)
    assert hub.live(subscription, [], AT)
    assert hub.heal(subscription, [], {})
    hub.run()

    assert client.frames() == []
    assert hub.counts() == {"channels": 0, "subscriptions": 0, "snapshots": 0, "frames": 0, "deliveries": 0}


def test_leaving_in_the_middle_of_a_snapshot_ends_it() -> None:
    hub = FakeHub(Limits(part_bytes=10))
    client = FakeClient()
    subscription = follow(hub, client)
    hub.snapshot(subscription, [lamp(1), lamp(2)], {}, AT)
    client.connection.unsubscribe("devices")
    hub.run()

    assert len(client.frames()) <= 2
    assert hub.counts()["snapshots"] == 0


def test_after_leaving_nothing_is_sent_but_what_was_published_before(hub: FakeHub) -> None:
    client = FakeClient()
    live(hub, client)
    hub.publish(device(1, 1), 11)
    client.connection.unsubscribe("devices")
    hub.publish(device(2, 2), 12)
    hub.run()

    assert actions(client) == [("updated", 1)]


def test_a_second_subscription_of_the_same_channel_never_makes_the_first_go_back(hub: FakeHub) -> None:
    client = FakeClient()
    live(hub, client, local="first")
    second = follow(hub, client, local="second")
    hub.snapshot(second, [lamp(17, 6)], {"17": (6, True)}, AT)
    hub.publish(device(17, 5), 11)
    hub.publish(device(17, 6), 12)
    hub.run()
    frames = client.frames()

    assert [frame["data"]["revision"] for frame in frames if frame["type"] == "change"] == [6]


def test_what_a_second_subscription_missed_never_makes_the_first_go_back(hub: FakeHub) -> None:
    client = FakeClient()
    first = follow(hub, client, local="first")
    hub.snapshot(first, [lamp(17, 6), lamp(18, 1)], {"17": (6, True)}, ("e1", 12))
    second = follow(hub, client, local="second")
    # The one before what the first shows was published already; that one itself is still to come.
    assert hub.replay(second, [(11, device(17, 5)), (12, device(18, 4))], ("e1", 12))
    hub.run()
    hub.publish(device(17, 6), 13)
    hub.run()
    changes = [frame["data"] for frame in client.frames() if frame["type"] == "change"]

    assert [(data["id"], data["revision"]) for data in changes] == [(18, 4), (17, 6)]


def test_what_was_held_back_from_a_second_subscription_never_makes_the_first_go_back(hub: FakeHub) -> None:
    client = FakeClient()
    second = follow(hub, client, local="second")
    first = follow(hub, client, local="first")
    hub.publish(device(17, 5), 11)
    hub.snapshot(first, [lamp(17, 6)], {"17": (6, True)}, ("e1", 11))
    hub.live(second, [], ("e1", 11))
    hub.run()
    hub.publish(device(17, 6), 12)
    hub.run()
    changes = [frame["data"]["revision"] for frame in client.frames() if frame["type"] == "change"]

    assert changes == [6]


def test_a_suspended_subscription_is_not_made_to_go_back_by_another(hub: FakeHub) -> None:
    client = FakeClient()
    first = follow(hub, client, local="first")
    hub.snapshot(first, [lamp(17, 6)], {"17": (6, True)}, AT)
    hub.suspend(first)
    second = live(hub, client, local="second")
    hub.publish(device(17, 5), 11)
    hub.run()
    hub.publish(device(17, 6), 12)
    for subscription in (first, second):
        hub.resume(subscription)
        hub.run()

    assert {frame["data"]["revision"] for frame in client.frames() if frame["type"] == "change"} == {6}


def test_the_removal_that_a_second_subscription_missed_is_told(hub: FakeHub) -> None:
    client = FakeClient()
    first = follow(hub, client, at(3), "first")
    hub.snapshot(first, [], {"17": (6, True)}, ("e1", 11))
    second = follow(hub, client, at(3), "second")
    hub.replay(second, [(11, device(17, 5, 4, (3,)))], ("e1", 11))
    hub.run()
    changes = [frame["action"] for frame in client.frames() if frame["type"] == "change"]

    assert changes == ["deleted"]


# -- continuing -----------------------------------------------------------------------------------------------------


def test_what_was_missed_follows_the_reply_as_todays_filter_judges_it(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = follow(hub, client, at(3))
    missed = [
        (11, device(1, 2)),
        (12, device(2, 3, 4, (3,))),
        (13, device(3, 4, 5, (4,))),
        (14, device(4, 5, 3, (None,))),
    ]
    assert hub.replay(subscription, missed, ("e1", 14))
    hub.publish(device(1, 6), 15)
    hub.run()
    reply, *changes = client.frames()

    assert reply["context"]["recovered"] is True
    assert reply["data"] == []
    assert [(sent["action"], sent["data"]["id"], sent["offset"]) for sent in changes] == [
        ("deleted", 2, 12),
        ("created", 4, 14),
        ("updated", 1, 15),
    ]


def test_more_than_an_outbox_should_hold_is_not_replayed(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = follow(hub, client)
    missed = [(10 + key, device(key, key, name="x" * 1000)) for key in range(1, 400)]

    assert not hub.replay(subscription, missed, ("e1", 409))
    hub.snapshot(subscription, [lamp()], {}, ("e1", 409), recovered=False)
    hub.run()
    (reply,) = client.frames()
    assert reply["context"]["recovered"] is False


# -- without a snapshot, and events ---------------------------------------------------------------------------------


def test_without_a_snapshot_the_reply_is_the_object_map_and_changes_since_joining_follow(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = follow(hub, client)
    hub.publish(device(17, 5), 11)
    assert hub.live(subscription, [], ("e1", 11))
    hub.publish(device(18, 6), 12)
    hub.run()
    reply, *changes = client.frames()

    assert reply["data"] == []
    assert reply["context"]["position"] == {"device|": ["e1", 11]}
    assert [sent["data"]["id"] for sent in changes] == [17, 18]


def test_events_are_all_sent_in_order(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = listen(hub, client, "room-r1", "room-r2")
    hub.publish_event(Event("room-r1", 1), 11)
    hub.live(subscription, "subscribed", ("e1", 11))
    for offset, channel in ((12, "room-r2"), (13, "room-r1"), (14, "room-r3"), (15, "room-r1")):
        hub.publish_event(Event(channel, offset), offset)
        hub.run()
    reply, *events = client.frames()

    assert reply["data"] == "subscribed"
    assert reply["channel_data"]["remote_channels"] == ["room-r1", "room-r2"]
    assert [(sent["type"], sent["channel"], sent["data"]) for sent in events] == [
        ("data", "room-r1", 1),
        ("data", "room-r2", 12),
        ("data", "room-r1", 13),
        ("data", "room-r1", 15),
    ]


def test_equal_events_of_one_turn_are_not_merged(hub: FakeHub) -> None:
    client = FakeClient()
    hub.live(listen(hub, client, "room"), "subscribed", AT)
    hub.run()
    client.frames()
    hub.publish_event(Event("room", "knock"), 11)
    hub.publish_event(Event("room", "knock"), 12)
    hub.run()

    assert [sent["data"] for sent in client.frames()] == ["knock", "knock"]


def test_events_are_continued_too(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = listen(hub, client, "room")
    hub.replay(subscription, [(11, Event("room", 1)), (12, Event("other", 2)), (13, Event("room", 3))], ("e1", 13))
    hub.run()

    assert [sent["data"] for sent in client.frames()] == [[], 1, 3]


# -- heartbeats -----------------------------------------------------------------------------------------------------


def test_a_heartbeat_is_one_frame_for_all_but_old_clients(hub: FakeHub) -> None:
    clients = [FakeClient(), FakeClient()]
    old = FakeClient(SOCKJS)
    hub.beat([client.connection for client in (*clients, old)])

    assert clients[0].writes[0] is clients[1].writes[0]
    assert old.writes == []


def test_positions_are_told_for_what_moved_on_without_a_frame(hub: FakeHub) -> None:
    client = FakeClient()
    live(hub, client, at(3), "three")
    live(hub, client, at(4), "four")
    hub.publish(device(1, 2, 3), 11)
    hub.beat([client.connection], positions=True)
    change, beat = client.frames()

    assert change["channel"] == "device|location:3"
    assert beat["position"] == {"device|location:4": ["e1", 11]}


def test_a_position_is_told_once(hub: FakeHub) -> None:
    client = FakeClient()
    live(hub, client, at(3))
    hub.publish(device(1, 2, 4, (4,)), 11)
    hub.beat([client.connection], positions=True)
    hub.beat([client.connection], positions=True)
    first, second = client.frames()

    assert first["position"] == {"device|location:3": ["e1", 11]}
    assert "position" not in second


def test_a_heartbeat_without_positions_waits_only_once(hub: FakeHub) -> None:
    client = FakeClient()
    client.stalled = True
    for _ in range(5):
        hub.beat([client.connection])
    client.stalled = False
    client.drain()

    assert len(client.frames()) == 2


# -- resync ---------------------------------------------------------------------------------------------------------


def test_a_lost_stream_is_told_to_all_its_channels_after_what_was_sent(hub: FakeHub) -> None:
    client, other = FakeClient(), FakeClient()
    live(hub, client, at(3))
    live(hub, other)
    hub.publish(device(1, 2), 11)
    assert hub.resync("device", ("e2", 0)) == []
    hub.publish(device(1, 3), 1)
    hub.run()

    assert [sent["type"] for sent in client.frames()] == ["change", "resync", "change"]
    assert [sent.get("position") for sent in other.frames()] == [None, {"device|": ["e2", 0]}, None]


def test_after_a_resync_no_position_is_told_until_a_new_snapshot(hub: FakeHub) -> None:
    client = FakeClient()
    live(hub, client, at(3))
    hub.resync("device", ("e2", 0))
    hub.publish(device(1, 3, 4, (4,)), 1)
    hub.beat([client.connection], positions=True)
    assert ["position" in sent for sent in client.frames()] == [True, False]

    hub.snapshot(follow(hub, client, at(3)), [], {}, ("e2", 1))
    hub.publish(device(1, 4, 4, (4,)), 2)
    hub.beat([client.connection], positions=True)
    assert client.frames()[-1]["position"] == {"device|location:3": ["e2", 2]}


def test_a_stream_lost_while_joining_is_told_after_the_snapshot(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = follow(hub, client)
    hub.resync("device", ("e2", 0))
    hub.snapshot(subscription, [lamp()], {}, ("e2", 0))
    hub.run()

    assert [sent["type"] for sent in client.frames()] == ["reply", "resync"]


def test_who_lost_the_right_is_told_to_subscribe_anew(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = live(hub, client)
    hub.expel(subscription)
    hub.publish(device(1, 2), 11)
    hub.run()

    assert client.frames() == [{"type": "resync", "action": "resync", "channel": "device|"}]


# -- rights judged anew ---------------------------------------------------------------------------------------------


def test_while_suspended_nothing_is_sent_and_afterwards_what_was_held(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = live(hub, client, at(3))
    hub.suspend(subscription)
    hub.suspend(subscription)
    hub.publish(device(1, 2), 11)
    hub.publish(device(2, 3, 4, (3,)), 12)
    hub.run()
    assert client.frames() == []

    assert hub.resume(subscription)
    assert hub.resume(subscription)
    hub.publish(device(3, 4), 13)
    hub.run()
    assert actions(client) == [("updated", 1), ("deleted", 2), ("updated", 3)]


def test_a_suspended_snapshot_goes_on_where_it_was() -> None:
    hub = FakeHub(Limits(part_bytes=10))
    client = FakeClient()
    subscription = follow(hub, client)
    hub.snapshot(subscription, [lamp(1), lamp(2)], {}, AT)
    hub.suspend(subscription)
    hub.publish(device(2, 9), 11)
    hub.run()
    sent = client.frames()
    hub.resume(subscription)
    hub.run()
    rows = [row for frame in (*sent, *client.frames()) if frame["type"] == "reply" for row in frame["data"]]

    assert [row["id"] for row in rows] == [1, 2]


def test_a_stream_lost_while_suspended_is_told_on_resuming(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = live(hub, client)
    hub.suspend(subscription)
    hub.resync("device", ("e2", 0))
    hub.run()
    assert client.frames() == []

    hub.resume(subscription)
    hub.run()
    assert [sent["type"] for sent in client.frames()] == ["resync"]


def test_what_came_after_the_new_beginning_is_told_behind_it(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = live(hub, client)
    hub.suspend(subscription)
    hub.publish(device(18, 8), 15)
    hub.resync("device", ("e2", 0))
    hub.publish(device(17, 9), 1)
    hub.resume(subscription)
    hub.run()
    assert [(sent["type"], sent.get("offset")) for sent in client.frames()] == [("resync", None), ("change", 1)]


def test_what_was_held_for_several_of_a_channel_is_sent_once(hub: FakeHub) -> None:
    client = FakeClient()
    both = [live(hub, client, at(3), "first"), live(hub, client, at(3), "second")]
    client.frames()
    for subscription in both:
        hub.suspend(subscription)
    hub.publish(device(1, 2), 11)
    hub.publish(device(2, 3, 4, (3,)), 12)
    for subscription in both:
        hub.resume(subscription)
        hub.run()
    hub.publish(device(1, 4), 13)
    hub.run()
    assert actions(client) == [("updated", 1), ("deleted", 2), ("updated", 1)]


def test_what_was_held_is_not_sent_again_after_another_of_the_channel_continued(hub: FakeHub) -> None:
    client = FakeClient()
    first = live(hub, client, at(3), "first")
    hub.suspend(first)
    held = device(1, 2)
    hub.publish(held, 11)
    second = follow(hub, client, at(3), "second")
    hub.replay(second, [(11, held)], ("e1", 11))
    hub.resume(first)
    hub.run()
    assert [f["data"]["id"] for f in client.frames() if f["type"] == "change"] == [1]


def test_what_only_one_of_a_channel_held_is_sent_for_it(hub: FakeHub) -> None:
    client = FakeClient()
    first = live(hub, client, at(3), "first")
    hub.suspend(first)
    hub.publish(device(1, 2), 11)
    second = follow(hub, client, at(3), "second")
    hub.publish(device(2, 3), 12)
    hub.snapshot(second, [lamp(1, 2), lamp(2, 3)], {}, ("e1", 12))
    hub.run()
    client.frames()
    hub.suspend(second)
    hub.publish(device(3, 4), 13)
    hub.resume(second)
    hub.resume(first)
    hub.run()
    assert actions(client) == [("updated", 3), ("updated", 1), ("updated", 2)]


def test_who_joins_while_another_of_its_channel_is_suspended_waits_with_it(hub: FakeHub) -> None:
    client = FakeClient()
    first = live(hub, client, at(3), "first")
    hub.suspend(first)
    hub.publish(device(1, 2), 11)
    second = live(hub, client, at(3), "second")
    hub.publish(device(2, 3), 12)
    hub.run()
    assert client.frames() == []
    for subscription in (first, second):
        hub.resume(subscription)
        hub.run()
    hub.publish(device(3, 4), 13)
    hub.run()
    assert actions(client) == [("updated", 1), ("updated", 2), ("updated", 3)]
    assert first.settled and second.settled


def test_the_rest_of_a_snapshot_is_not_older_than_what_another_of_its_channel_was_sent() -> None:
    hub = FakeHub(Limits(part_bytes=10))
    client = FakeClient()
    first = live(hub, client, EVERYTHING, "first")
    second = follow(hub, client, EVERYTHING, "second")
    hub.snapshot(second, [lamp(key) for key in range(1, 7)], {}, AT)
    for subscription in (first, second):
        hub.suspend(subscription)
    for key, offset in ((1, 11), (5, 12), (6, 13)):
        hub.publish(device(key, 9, None if key == 6 else 3), offset)
    for subscription in (first, second):
        hub.resume(subscription)
        hub.run()
    frames = client.frames()
    rows = [row for frame in frames if frame["type"] == "reply" for row in frame["data"]]
    changes = [(frame["action"], frame["data"]["id"]) for frame in frames if frame["type"] == "change"]
    assert changes == [("updated", 1), ("updated", 5), ("deleted", 6)]
    assert [(row["id"], row["revision"]) for row in rows] == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 9)]


def test_what_one_of_a_channel_had_seen_is_sent_to_the_other(hub: FakeHub) -> None:
    client = FakeClient()
    first = follow(hub, client, at(3), "first")
    hub.snapshot(first, [lamp(1, 2)], {"1": (2, True)}, AT)
    second = live(hub, client, at(3), "second")
    for subscription in (first, second):
        hub.suspend(subscription)
    hub.publish(device(1, 2), 11)
    for subscription in (first, second):
        hub.resume(subscription)
    hub.run()
    assert [f["data"]["id"] for f in client.frames() if f["type"] == "change"] == [1]


def test_what_is_over_is_not_sent_when_something_newer_is_on_its_way(hub: FakeHub) -> None:
    client, other = FakeClient(), FakeClient()
    subscription, bystander = live(hub, client, at(3)), live(hub, other, at(3))
    hub.suspend(subscription)
    hub.publish(device(1, 2), 11)
    hub.publish(device(2, 3, 4, (3,)), 12)
    hub.publish(device(4, 4), 13)
    hub.expect("device", {"1": 9, "2": 9, "3": 9})
    hub.resume(subscription)
    hub.publish(device(3, 5), 14)
    hub.run()
    assert actions(client) == [("deleted", 2), ("updated", 4)]
    assert actions(other) == [("updated", 1), ("deleted", 2), ("updated", 4), ("updated", 3)]
    assert not subscription.settled and bystander.settled

    for key in (1, 2, 3):
        hub.publish(device(key, 9), 14 + key)
    hub.run()
    assert actions(client) == [("updated", 1), ("updated", 2), ("updated", 3)]
    assert subscription.settled and not hub.expecting


def test_what_is_over_is_not_replayed_either(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = follow(hub, client, at(3))
    hub.expect("device", {"1": 9, "2": 9})
    hub.replay(subscription, [(11, device(1, 2)), (12, device(2, 3, 4, (3,))), (13, device(3, 4))], ("e1", 13))
    hub.run()
    reply, *changes = client.frames()
    assert reply["context"]["position"] == {"device|location:3": ["e1", 13]}
    assert [(sent["action"], sent["data"]["id"]) for sent in changes] == [("deleted", 2), ("updated", 3)]


def test_the_rest_of_a_snapshot_is_as_it_was_read_until_something_newer_comes() -> None:
    hub = FakeHub(Limits(part_bytes=10))
    client = FakeClient()
    subscription = follow(hub, client)
    hub.snapshot(subscription, [lamp(1), lamp(2), lamp(3)], {}, AT)
    hub.suspend(subscription)
    hub.publish(device(2, 5), 11)
    hub.publish(device(3, 6), 12)
    hub.expect("device", {"2": 9})
    hub.resume(subscription)
    hub.run()
    rows = [row for frame in client.frames() if frame["type"] == "reply" for row in frame["data"]]
    assert [(row["id"], row["revision"]) for row in rows] == [(1, 1), (2, 1), (3, 6)]


def test_of_a_stream_that_begins_anew_nothing_is_expected(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = live(hub, client)
    hub.suspend(subscription)
    hub.expect("device", {"1": 9})
    hub.resume(subscription)
    hub.resync("device", ("e2", 0))
    hub.publish(device(1, 2), 1)
    hub.run()
    assert [sent["type"] for sent in client.frames()] == ["resync", "change"]
    assert not hub.expecting


def test_what_is_expected_no_more_is_waited_for_no_more(hub: FakeHub) -> None:
    client = FakeClient()
    subscription = live(hub, client)
    hub.suspend(subscription)
    hub.expect("device", {"1": 9, "2": 9})
    hub.resume(subscription)
    hub.expect("device", {"1": 10}, complete=False)
    hub.publish(device(1, 9), 11)
    hub.run()
    assert client.frames() == [] and hub.expecting == ["device"]
    hub.expect("device", {})
    hub.publish(device(1, 9), 12)
    hub.run()
    assert actions(client) == [("updated", 1)]
    assert subscription.settled


# -- old clients ----------------------------------------------------------------------------------------------------


def old(hub: FakeHub) -> tuple[FakeClient, Subscription]:
    """A client of SwampDragon that has asked for lamp 17 by itself."""
    client = FakeClient(SOCKJS)
    subscription = follow(hub, client)
    assert hub.live(subscription, [], AT, objects=[lamp(17)], revisions={"17": (1, False)})
    hub.run()
    client.frames()
    return client, subscription


def test_an_old_client_hears_created_once_per_object(hub: FakeHub) -> None:
    client, _ = old(hub)
    new = FakeClient()
    live(hub, new)
    for offset in (11, 12):
        hub.publish(device(18, offset, 3, (None,)), offset)
        hub.run()

    assert actions(client) == [("created", 18), ("updated", 18)]
    assert actions(new) == [("created", 18), ("created", 18)]


def test_an_old_client_hears_created_again_after_deleted(hub: FakeHub) -> None:
    client, _ = old(hub)
    hub.publish(device(17, 2, None, (3,)), 11)
    hub.run()
    hub.publish(device(17, 3, 3, (None,)), 12)
    hub.run()

    assert actions(client) == [("deleted", 17), ("created", 17)]


def test_an_old_client_is_healed_instead_of_told(hub: FakeHub) -> None:
    client, subscription = old(hub)
    hub.publish(device(18, 2, 3, (None,)), 11)
    hub.run()
    client.frames()

    assert hub.resync("device", ("e2", 0)) == [subscription]
    hub.publish(device(20, 9, 3, (None,)), 1)
    hub.run()
    assert client.frames() == []
    assert hub.heal(subscription, [lamp(18, 5), lamp(19, 6)], {"18": (5, False), "19": (6, False)})
    hub.run()
    assert actions(client) == [("deleted", 17), ("updated", 18), ("updated", 19), ("updated", 20)]

    hub.publish(device(19, 10), 2)
    hub.run()
    assert actions(client) == [("updated", 19)]


def test_rows_read_before_another_loss_heal_nothing(hub: FakeHub) -> None:
    client, subscription = old(hub)
    hub.resync("device", ("e2", 0))
    assert hub.resync("device", ("e3", 0)) == []

    assert not hub.heal(subscription, [lamp(17)], {})
    assert hub.heal(subscription, [lamp(17, 5)], {})
    hub.run()
    assert actions(client) == [("updated", 17)]


def test_a_stream_lost_while_an_old_client_joins_is_healed_at_once(hub: FakeHub) -> None:
    client = FakeClient(SOCKJS)
    subscription = follow(hub, client)
    hub.resync("device", ("e2", 0))

    assert not hub.live(subscription, [], ("e2", 0), objects=[lamp(17)])
    assert hub.heal(subscription, [lamp(18)], {})
    hub.run()
    assert [sent.get("action", sent["type"]) for sent in client.frames()] == ["reply", "deleted", "updated"]


def test_an_old_client_that_lost_the_right_loses_what_it_had(hub: FakeHub) -> None:
    client, subscription = old(hub)
    hub.expel(subscription)

    assert actions(client) == [("deleted", 17)]


def test_a_suspended_old_client_that_lost_its_stream_must_be_healed(hub: FakeHub) -> None:
    client, subscription = old(hub)
    hub.suspend(subscription)
    assert hub.resync("device", ("e2", 0)) == []

    assert not hub.resume(subscription)
    assert hub.heal(subscription, [], {})
    hub.run()
    assert actions(client) == [("deleted", 17)]


# -- counts ---------------------------------------------------------------------------------------------------------


def test_counts_tell_how_far_the_work_was_spread(hub: FakeHub) -> None:
    for _ in range(3):
        live(hub, FakeClient())
    before = hub.counts()
    hub.publish(device(1, 1), 11)
    hub.run()
    after = hub.counts()

    assert (after["channels"], after["subscriptions"], after["snapshots"]) == (1, 3, 0)
    assert after["frames"] - before["frames"] == 1
    assert after["deliveries"] - before["deliveries"] == 3


def test_a_hub_calls_back_only_to_be_scheduled() -> None:
    calls: list[None] = []
    hub = Hub(lambda: calls.append(None))
    client = FakeClient(WS)
    hub.snapshot(follow(hub, client), [], {}, AT)

    assert client.writes == []
    assert calls == [None]
    hub.flush()
    assert json.loads(client.writes[0])["type"] == "reply"


def test_filters_with_several_alternatives_send_one_frame(hub: FakeHub) -> None:
    client = FakeClient()
    both = EVERYTHING.either([[Condition("location", "exact", 3)], [Condition("location", "gte", 2)]])
    live(hub, client, both)
    hub.publish(device(1, 1), 11)
    hub.run()

    assert actions(client) == [("updated", 1)]
