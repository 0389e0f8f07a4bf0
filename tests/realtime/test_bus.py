"""One suite that every bus passes."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from realtime.bus import Bus, Message, Publication, Renewed

from .bus_base import Listener, any_bus, close_buses, publication, run, until, wait_until

Make = Callable[..., Bus]


@pytest.fixture(params=["memory", "redis"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    """`make(changes=3)` is a bus with these limits and a past of its own."""
    yield lambda **limits: any_bus(request, **limits)
    close_buses()


@pytest.fixture
def bus(make: Make) -> Bus:
    return make()


def test_followers_receive_what_is_published_in_order_without_gaps(bus: Bus) -> None:
    async def scenario() -> None:
        async with Listener(bus).following() as first, Listener(bus).following() as second:
            for n in range(5):
                bus.publish([publication(f"{n}a", n + 1), publication(f"{n}b", n + 1)])
            await until(lambda: len(first.messages) == len(second.messages) == 10)
            assert first.bodies == [f"{n}{x}@{n + 1}" for n in range(5) for x in "ab"]
            assert [m.offset for m in first.messages] == list(range(1, 11))
            assert {m.epoch for m in first.messages} == {(await bus.heads(["device"]))["device"][0]}
            assert first.messages == second.messages

    run(scenario())


def test_a_follower_hears_its_streams_only_and_them_in_the_order_of_publication(bus: Bus) -> None:
    async def scenario() -> None:
        async with Listener(bus, "!control", "device").following() as listener:
            bus.publish(
                [publication("1", 1, stream="!control"), publication("1", 2), publication("1", 3, stream="room")]
            )
            bus.publish([publication("2", 4, stream="!control"), publication("2", 5)])
            await until(lambda: len(listener.messages) == 4)
            assert [m.stream for m in listener.messages] == ["!control", "device"] * 2
            assert [m.offset for m in listener.messages] == [1, 1, 2, 2]

    run(scenario())


def test_what_is_told_on_the_loop_is_published_as_from_a_thread(bus: Bus) -> None:
    async def scenario() -> None:
        async with Listener(bus).following() as listener:
            await bus.tell(publication("1", 1))
            bus.publish([publication("2", 1)])
            await bus.tell(publication("1", 1))  # not newer
            await asyncio.gather(*(bus.tell(publication(str(n), 1)) for n in range(3, 9)))
            await until(lambda: len(listener.messages) == 8)
            assert sorted(listener.bodies) == [f"{n}@1" for n in range(1, 9)]
            assert [m.offset for m in listener.messages] == list(range(1, 9))
            assert (await bus.history("device", 0))[1] == listener.messages

    run(scenario())


def test_a_revision_that_is_not_newer_is_refused_and_never_sent(bus: Bus) -> None:
    async def scenario() -> None:
        async with Listener(bus).following() as listener:
            assert bus.publish([publication("1", 7), publication("2", 8)]) == [True, True]
            batch = [publication("1", 7), publication("1", 6), publication("1", 9), publication("2", 8)]
            assert bus.publish(batch) == [False, False, True, False]
            assert bus.publish([publication("3", 10), publication("3", 5), publication("3", 10)]) == [
                True,
                False,
                False,
            ]
            await until(lambda: len(listener.messages) == 4)
            assert listener.bodies == ["1@7", "2@8", "1@9", "3@10"]
            assert (await bus.heads(["device"]))["device"][1] == 4

    run(scenario())


def test_the_same_key_in_two_streams_is_two_objects(bus: Bus) -> None:
    assert bus.publish([publication("1", 9), publication("1", 3, stream="room")]) == [True, True]


def test_history_is_what_was_missed(bus: Bus) -> None:
    async def scenario() -> None:
        bus.publish([publication(str(n), n, "käse ✓") for n in range(1, 6)])
        epoch, missed = await bus.history("device", 3)
        assert missed == [Message("device", epoch, 4, "käse ✓"), Message("device", epoch, 5, "käse ✓")]
        assert (epoch, 5) == (await bus.heads(["device"]))["device"]
        for nothing_after in (5, 6, 100):
            assert await bus.history("device", nothing_after) == (epoch, [])
        assert [m.offset for m in (await bus.history("device", 0))[1]] == [1, 2, 3, 4, 5]

    run(scenario())


def test_history_keeps_the_newest_changes(make: Make) -> None:
    async def scenario() -> None:
        bus = make(changes=3)
        for n in range(1, 11):
            bus.publish([publication(str(n), n)])
        assert [m.offset for m in (await bus.history("device", 0))[1]] == [8, 9, 10]
        assert [m.offset for m in (await bus.history("device", 9))[1]] == [10]

    run(scenario())


def test_history_is_bounded_in_size(make: Make) -> None:
    async def scenario() -> None:
        bus = make(size=5000)
        bus.publish([publication(str(n), n, "x" * 1000) for n in range(1, 11)])
        offsets = [m.offset for m in (await bus.history("device", 0))[1]]
        assert offsets in ([7, 8, 9, 10], [6, 7, 8, 9, 10])
        bus.publish([publication("big", 11, "x" * 9000)])
        assert (await bus.history("device", 0))[1] == []
        bus.publish([publication("small", 12)])
        assert [m.offset for m in (await bus.history("device", 0))[1]] == [12]

    run(scenario())


def test_history_ends_some_time_after_the_last_change_and_the_epoch_goes_on(make: Make) -> None:
    async def scenario() -> None:
        bus = make(age=0.1)
        bus.publish([publication("1", 1)])
        position = (await bus.heads(["device"]))["device"]
        while (await bus.history("device", 0))[1]:
            pass
        assert (await bus.heads(["device"]))["device"] == position
        bus.publish([publication("1", 2)])
        assert [m.offset for m in (await bus.history("device", 0))[1]] == [2]

    run(scenario())


def test_a_stream_never_heard_of_has_an_epoch_and_keeps_it(bus: Bus) -> None:
    async def scenario() -> None:
        heads = await bus.heads(["device", "room"])
        assert heads["device"][1] == 0
        assert heads["device"][0] != heads["room"][0]
        async with Listener(bus).following() as listener:
            bus.publish([publication("1", 1)], fences := bus.fences(["device"]))
            await until(lambda: listener.messages)
            assert listener.messages[0].epoch == heads["device"][0] == fences["device"].epoch

    run(scenario())


def test_a_renewed_stream_has_another_epoch_no_history_and_tells_its_followers(bus: Bus) -> None:
    async def scenario() -> None:
        bus.publish([publication("1", 5), publication("1", 5, stream="room")])
        before = await bus.heads(["device", "room"])
        async with Listener(bus).following() as listener:
            bus.renew(["device"])
            await until(lambda: listener.messages)
            after = await bus.heads(["device", "room"])
            assert listener.messages == [Message("device", after["device"][0], 0, "")]
            assert after["device"][0] != before["device"][0]
            assert after["device"][1] == 0
            assert after["room"] == before["room"]
            assert await bus.history("device", 0) == (after["device"][0], [])
            assert bus.publish([publication("1", 6)]) == [True]
            await until(lambda: len(listener.messages) == 2)
            assert listener.messages[1] == Message("device", after["device"][0], 1, "1@6")

    run(scenario())


def test_who_read_the_database_before_a_renewal_is_told_to_read_again(bus: Bus) -> None:
    async def scenario() -> None:
        fences = bus.fences(["device"])
        bus.publish([publication("1", 9)])  # by another relay, which then begins anew and so forgets revision 9
        bus.renew(["device"])
        with pytest.raises(Renewed):
            bus.publish([publication("1", 8)], fences)
        assert await bus.history("device", 0) == ((await bus.heads(["device"]))["device"][0], [])
        assert bus.publish([publication("1", 9)], fences) == [True]

    run(scenario())


def test_who_never_took_a_fence_is_told_to_read_again(bus: Bus) -> None:
    fences = bus.fences([])
    with pytest.raises(Renewed):
        bus.publish([publication("1", 1)], fences)
    assert bus.publish([publication("1", 1)], fences) == [True]


def test_a_fence_is_brought_up_to_date_by_publishing(bus: Bus) -> None:
    fences = bus.fences(["device"])
    bus.publish([publication("1", 3), publication("2", 12), publication("3", 4)], fences)
    assert (fences["device"].offset, fences["device"].top) == (3, 12)
    assert bus.fences(["device"]) == fences


def test_the_highest_revision_survives_a_renewal_unless_the_database_went_back(bus: Bus) -> None:
    bus.publish([publication("1", 12)])
    bus.renew(["device"])
    assert bus.fences(["device"])["device"].top == 12
    bus.renew(["device"], backwards=True)
    assert bus.fences(["device"])["device"].top == 0
    assert bus.publish([publication("1", 5)]) == [True]


def test_revisions_are_remembered_for_a_generation_at_least_and_two_at_most(make: Make) -> None:
    bus = make(memory=0.4)
    bus.publish([publication("1", 5)])
    first = bus.fences(["device"])
    generation = first["device"].generation
    fences = dict(first)
    while fences["device"].generation < generation + 2:
        # As long as a fence of that time is accepted, what was published since is remembered.
        with contextlib.suppress(Renewed):
            assert bus.publish([publication("1", 5)], dict(first)) == [False]
        fences = bus.fences(["device"])
    with pytest.raises(Renewed):
        bus.publish([publication("1", 5)], first)
    assert bus.publish([publication("1", 5)]) == [True]


def test_events_are_remembered_for_a_shorter_time(make: Make) -> None:
    bus = make(memory=1000, event_memory=0.05)
    bus.publish([publication("1", 1), publication("1", 1, stream="!data")])
    wait_until(lambda: bus.fences(["!data"])["!data"].generation > 1)
    assert bus.publish([publication("1", 1), publication("1", 1, stream="!data")]) == [False, True]


def test_publishers_in_many_threads_make_one_gapless_stream_in_which_no_object_goes_back(bus: Bus) -> None:
    async def scenario() -> None:
        async with Listener(bus).following() as listener:

            def publish(seed: int) -> None:
                for n in range(40):
                    bus.publish([publication(str(k), n * 4 + (seed + k) % 4 + 1) for k in range(5)])

            threads = [threading.Thread(target=publish, args=(seed,)) for seed in range(4)]
            for thread in threads:
                thread.start()
            await until(lambda: not any(t.is_alive() for t in threads))
            head = (await bus.heads(["device"]))["device"][1]
            await until(lambda: listener.messages and listener.messages[-1].offset == head)
            assert [m.offset for m in listener.messages] == list(range(1, head + 1))
            newest: dict[str, int] = {}
            for message in listener.messages:
                key, revision = message.body.split("@")
                assert int(revision) > newest.get(key, 0)
                newest[key] = int(revision)
            assert newest == {str(k): 160 for k in range(5)}

    run(scenario())


def test_a_large_batch_is_published_whole(bus: Bus) -> None:
    async def scenario() -> None:
        batch = [Publication("device", str(n), n, "x" * 3000) for n in range(1, 2001)]
        async with Listener(bus).following() as listener:
            assert bus.publish(batch) == [True] * 2000
            await until(lambda: len(listener.messages) == 2000)
            assert [m.offset for m in listener.messages] == list(range(1, 2001))

    run(scenario())


def test_a_follower_that_fails_on_a_message_receives_the_next(bus: Bus, expect_log: Any) -> None:
    expect_log("realtime.bus", "follower of stream device failed")

    async def scenario() -> None:
        heard: list[str] = []

        def receive(message: Message) -> None:
            heard.append(message.body)
            if message.body == "1@1":
                raise RuntimeError("a defect of the follower")

        await bus.heads(["device"])
        links: list[bool] = []
        task = asyncio.create_task(bus.follow(["device"], receive, links.append))
        await until(lambda: links)
        bus.publish([publication("1", 1), publication("2", 2)])
        await until(lambda: heard == ["1@1", "2@2"])
        task.cancel()
        await asyncio.wait([task])

    run(scenario())


def test_nothing_is_received_after_following_was_cancelled(bus: Bus) -> None:
    async def scenario() -> None:
        async with Listener(bus).following() as gone:
            bus.publish([publication("1", 1)])
            await until(lambda: gone.messages)
        async with Listener(bus).following() as listener:
            bus.publish([publication("1", 2)])
            await until(lambda: listener.messages)
        assert gone.bodies == ["1@1"]

    run(scenario())


def test_a_wake_reaches_the_relay_until_it_is_undone(bus: Bus) -> None:
    woken: list[int] = []
    undo = bus.on_wake(lambda: woken.append(1))

    def wake() -> bool:
        bus.wake()
        return bool(woken)

    wait_until(wake)
    undo()
    others: list[int] = []
    bus.on_wake(lambda: others.append(1))

    def wake_others() -> bool:
        bus.wake()
        return bool(others)

    wait_until(wake_others)
    count = len(woken)
    others.clear()
    wait_until(wake_others)
    assert len(woken) <= count + 1  # a hint that was under way when it was undone


def test_a_healthy_bus_has_no_problems(bus: Bus) -> None:
    assert bus.problems() == []
