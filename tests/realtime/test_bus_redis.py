"""What only Redis can do to us: restart, stand still, lose everything, be full, be shared with strangers."""

import asyncio
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from realtime.bus import Renewed
from realtime.bus_redis import RedisBus
from realtime.bus_redis_wake import Waker
from realtime.errors import BusUnavailable
from tests import services

from .bus_base import Listener, buses, close_buses, publication, run, until, wait_until


@pytest.fixture
def server() -> Iterator[services.Redis]:
    """A server to break."""
    with services.running(services.Redis()) as redis_server:
        yield redis_server


@pytest.fixture
def bus(server: services.Redis) -> Iterator[RedisBus]:
    yield redis_bus(server)
    close_buses()


def redis_bus(server: services.Redis, identity: str = "database-1", prefix: str = "marshlight") -> RedisBus:
    bus = RedisBus(server.url, prefix=prefix)
    bus.identity = identity
    buses.append(bus)
    return bus


def published(bus: RedisBus, *items: Any) -> bool:
    try:
        bus.publish(items)
    except BusUnavailable:
        return False
    return True


def test_a_redis_that_lost_everything_is_followed_again_in_a_new_epoch(
    bus: RedisBus, server: services.Redis, expect_log: Any
) -> None:
    expect_log("realtime.bus", "link to Redis was lost|cannot be followed")

    async def scenario() -> None:
        async with Listener(bus).following() as listener:
            fences = bus.fences(["device"])
            bus.publish([publication("1", 1)], fences)
            before = (await bus.heads(["device"]))["device"]
            server.stop(signal.SIGKILL)
            await until(lambda: listener.links == [True, False])
            with pytest.raises(BusUnavailable):
                await bus.heads(["device"])
            with pytest.raises(BusUnavailable):
                bus.publish([publication("1", 2)], fences)
            server.start()
            await until(lambda: listener.links == [True, False, True])
            after = (await bus.heads(["device"]))["device"]
            assert after[0] != before[0]
            await until(lambda: listener.messages[-1].epoch == after[0])
            assert listener.messages[-1].offset == 0
            with pytest.raises(Renewed):
                bus.publish([publication("1", 2)], fences)
            assert bus.publish([publication("1", 2)], fences) == [True]
            await until(lambda: listener.bodies == ["1@1", "1@2"])

    run(scenario())


def test_a_restarted_redis_that_kept_its_data_is_a_new_epoch_too_because_it_may_have_lost_the_newest(
    expect_log: Any,
) -> None:
    expect_log("realtime.bus", "link to Redis was lost|cannot be followed", required=False)
    with services.running(services.Redis("--appendonly", "yes", "--appendfsync", "always")) as server:
        bus = redis_bus(server)
        bus.publish([publication("1", 5)])
        before = run(bus.heads(["device"]))["device"]
        server.stop()
        server.start()
        after = run(bus.heads(["device"]))["device"]
        assert after[0] != before[0]
        assert run(bus.history("device", 0)) == (after[0], [])
        assert bus.fences(["device"])["device"].top == 5  # the data were there
        close_buses()


def test_a_redis_that_stands_still_is_noticed_and_what_it_executes_late_is_not_repeated(
    bus: RedisBus, server: services.Redis, expect_log: Any
) -> None:
    expect_log("realtime.bus", "no answer within 1 s")
    expect_log("realtime.bus", "cannot be followed", required=False)

    async def scenario() -> None:
        async with Listener(bus).following() as listener:
            fences = bus.fences(["device"])
            bus.publish([publication("1", 1)], fences)
            server.process.send_signal(signal.SIGSTOP)
            await until(lambda: listener.links == [True, False])
            with pytest.raises(BusUnavailable):
                bus.publish([publication("1", 2), publication("2", 3)], fences)
            with pytest.raises(BusUnavailable):
                await bus.heads(["device"])
            server.process.send_signal(signal.SIGCONT)
            await until(lambda: listener.links == [True, False, True])
            assert bus.publish([publication("1", 2), publication("2", 3)], fences) == [False, False]
            _epoch, missed = await bus.history("device", 1)
            assert [m.body for m in missed] == ["1@2", "2@3"]

    run(scenario())


def test_after_a_timeout_the_same_batch_goes_in_smaller_portions(bus: RedisBus, server: services.Redis) -> None:
    batch = [publication(str(n), n) for n in range(1, 501)]
    bus.publish([publication("0", 1)])
    server.process.send_signal(signal.SIGSTOP)
    with pytest.raises(BusUnavailable):
        bus.publish(batch)
    assert bus._portion == 250
    server.process.send_signal(signal.SIGCONT)
    wait_until(lambda: published(bus, *batch))
    assert run(bus.heads(["device"]))["device"][1] == 501
    assert bus._portion == 500


def test_a_flushed_redis_is_a_new_epoch_before_its_first_change(bus: RedisBus, server: services.Redis) -> None:
    async def scenario() -> None:
        async with Listener(bus).following() as listener:
            bus.publish([publication("1", 1)])
            redis.Redis.from_url(server.url).flushall()
            bus.publish([publication("1", 2)])
            await until(lambda: len(listener.messages) == 3)
            first, announced, second = listener.messages
            assert (announced.offset, announced.body) == (0, "")
            assert first.epoch != announced.epoch == second.epoch
            assert second.offset == 1

    run(scenario())


def test_a_head_below_what_was_published_last_is_a_new_epoch(bus: RedisBus, server: services.Redis) -> None:
    fences = bus.fences(["device"])
    bus.publish([publication("1", 1), publication("2", 2)], fences)
    epoch = fences["device"].epoch
    redis.Redis.from_url(server.url).hset("marshlight:0:{device}:meta", "offset", 1)
    with pytest.raises(Renewed):
        bus.publish([publication("3", 3)], fences)
    assert fences["device"].epoch != epoch
    assert bus.publish([publication("3", 3)], fences) == [True]
    assert run(bus.heads(["device"]))["device"] == (fences["device"].epoch, 1)


def test_another_database_behind_the_same_redis_is_a_new_epoch_and_begins_to_count_anew(
    bus: RedisBus, server: services.Redis
) -> None:
    bus.publish([publication("1", 100)])
    before = run(bus.heads(["device"]))["device"]
    other = redis_bus(server, "database-2")
    assert run(other.heads(["device"]))["device"] == before  # readers do not judge: they may know less than the relay
    fences = other.fences(["device"])
    assert fences["device"].epoch != before[0]
    assert fences["device"].top == 0
    assert other.publish([publication("1", 3)], fences) == [True]


def test_two_prefixes_on_one_redis_know_nothing_of_each_other(bus: RedisBus, server: services.Redis) -> None:
    other = redis_bus(server, prefix="other")

    async def scenario() -> None:
        async with Listener(bus).following() as listener, Listener(other).following() as listener_of_other:
            other.publish([publication("1", 5)])
            bus.publish([publication("1", 4)])
            await until(lambda: listener.messages and listener_of_other.messages)
            assert listener.bodies == ["1@4"]
            assert listener_of_other.bodies == ["1@5"]

    run(scenario())


@pytest.mark.parametrize("stranger", [b"hello", b"", b"epoch x body", b"epoch 1", b"epoch 1 \xff\xfe", b"\xff 1 body"])
def test_what_a_stranger_publishes_is_told_once_and_skipped(
    bus: RedisBus, server: services.Redis, expect_log: Any, stranger: bytes
) -> None:
    records = expect_log("realtime.bus", "Somebody else publishes on Redis' channel marshlight:0:device")
    client = redis.Redis.from_url(server.url)

    async def scenario() -> None:
        async with Listener(bus).following() as listener:
            for n in range(1, 4):
                client.publish("marshlight:0:device", stranger)
                bus.publish([publication("1", n)])
            await until(lambda: len(listener.bodies) == 3)
            assert [m.offset for m in listener.messages if m.offset] == [1, 2, 3]

    run(scenario())
    from tests.conftest import watch

    assert len([r for r in watch.records if "Somebody else" in r.getMessage()]) == 1
    assert records == []


def test_a_message_of_33_megabytes_costs_a_link_at_most(bus: RedisBus, server: services.Redis, expect_log: Any) -> None:
    expect_log("realtime.bus", "Somebody else|link to Redis was lost|cannot be followed")
    client = redis.Redis.from_url(server.url)

    async def scenario() -> None:
        async with Listener(bus).following() as listener:
            client.publish("marshlight:0:device", b"x" * 33 * 1024 * 1024)
            revision = 0
            while not listener.bodies:
                revision += 1
                bus.publish([publication("1", revision)])
                await asyncio.sleep(0.02)
            assert listener.links[-1]

    run(scenario())


def test_a_full_redis_refuses_without_leaving_half_a_change(expect_log: Any) -> None:
    with services.running(services.Redis("--maxmemory", "3mb", "--maxmemory-policy", "noeviction")) as server:
        bus = redis_bus(server)
        client = redis.Redis.from_url(server.url)
        revision = 0
        while published(bus, publication(str(revision + 1), revision + 1, "x" * 30_000)):
            revision += 1
        with pytest.raises(BusUnavailable):
            bus.publish([publication(str(revision + 1), revision + 1, "x" * 30_000)])
        client.config_set("maxmemory", 0)
        assert bus.publish([publication(str(n), n) for n in (revision, revision + 1)]) == [False, True]
        assert [m.offset for m in run(bus.history("device", 0))[1]] == list(range(1, revision + 2))
        close_buses()


def test_keys_that_belong_to_somebody_else_are_an_error_not_a_crash(bus: RedisBus, server: services.Redis) -> None:
    redis.Redis.from_url(server.url).set("marshlight:0:{device}:meta", "mine")
    with pytest.raises(BusUnavailable):
        bus.publish([publication("1", 1)])
    with pytest.raises(BusUnavailable):
        run(bus.heads(["device"]))
    with pytest.raises(BusUnavailable):
        run(bus.tell(publication("1", 1)))
    assert bus.publish([publication("1", 1, stream="room")]) == [True]


def test_a_redis_that_does_not_know_the_script_or_is_away_while_something_is_told(
    bus: RedisBus, server: services.Redis
) -> None:
    async def scenario() -> None:
        await bus.tell(publication("1", 1))
        redis.Redis.from_url(server.url).script_flush()
        await bus.tell(publication("1", 2))
        assert [m.body for m in (await bus.history("device", 0))[1]] == ["1@1", "1@2"]
        server.stop(signal.SIGKILL)
        with pytest.raises(BusUnavailable):
            await bus.tell(publication("1", 3))
        server.start()
        await bus.tell(publication("1", 3))

    run(scenario())


def test_a_hint_under_way_is_waited_for_before_its_connection_is_closed(server: services.Redis) -> None:
    waker = Waker(server.url, "hints")
    waker.wake()
    server.process.send_signal(signal.SIGSTOP)
    ended: list[str] = []

    def hint() -> None:
        waker.wake()
        ended.append("hint")

    thread = threading.Thread(target=hint)
    thread.start()
    thread.join(0.1)
    waker.close()
    ended.append("close")
    thread.join()
    server.process.send_signal(signal.SIGCONT)
    assert ended == ["hint", "close"]
    waker.wake()


def test_evicting_keys_is_a_problem_for_the_operator(server: services.Redis, bus: RedisBus) -> None:
    client = redis.Redis.from_url(server.url)
    client.config_set("maxmemory", 100 * 1024 * 1024)
    client.config_set("maxmemory-policy", "allkeys-lru")
    assert "noeviction" in bus.problems()[0]
    client.config_set("maxmemory-policy", "noeviction")
    assert bus.problems() == []
    server.stop()
    assert bus.problems() == ["Redis does not answer."]


def test_nothing_is_kept_for_ever_but_where_each_stream_is(server: services.Redis) -> None:
    bus = redis_bus(server)
    bus.publish([publication("1", 1), publication("1", 1, stream="!data")])
    client = redis.Redis.from_url(server.url, decode_responses=True)
    for key in client.scan_iter():
        assert key.endswith(":meta") == (client.ttl(key) == -1), key
    close_buses()
