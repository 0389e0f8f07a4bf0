from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from realtime.errors import CloseCode, NotAllowed, TooLarge, TooMany
from realtime.limits import Limits
from realtime.protocol import Call
from tests.realtime.core import Clock, FakeClient
from tests.wire import frame

CALL = '{"verb":"get_list","route":"device","callbackname":"c1"}'


def codes(client: FakeClient) -> list[str | None]:
    return [sent["context"].get("error", {}).get("code") for sent in client.frames()]


# -- from the client ------------------------------------------------------------------------------------------------


def test_calls_run_one_after_another_in_their_order() -> None:
    client = FakeClient()
    for number in range(3):
        client.connection.receive(json.dumps({"verb": "get_list", "route": "device", "callbackname": f"c{number}"}))

    first = client.connection.next_call()
    assert first is not None and first.callbackname == "c0"
    assert client.connection.next_call() is None
    client.connection.done()
    second = client.connection.next_call()
    assert second is not None and second.callbackname == "c1"
    assert client.connection.waiting_calls == 1


def test_a_heartbeat_is_answered_at_once() -> None:
    client = FakeClient()
    client.connection.receive(json.dumps(frame("client heartbeat")))

    assert client.frames() == [frame("heartbeat")]
    assert client.connection.next_call() is None


def test_a_client_that_asks_and_does_not_read_has_one_heartbeat_waiting() -> None:
    client = FakeClient()
    client.stalled = True
    for _ in range(20):
        client.connection.receive('{"heartbeat":"1"}')

    assert client.connection.outbox.size < 200


def test_nonsense_is_answered_and_the_connection_stays() -> None:
    client = FakeClient()
    client.connection.receive("[]")

    assert client.frames() == [frame("no call")]
    assert client.closed is None


def test_a_message_too_long_closes() -> None:
    client = FakeClient(limits=Limits(message_bytes=100))
    client.connection.receive("x" * 101)

    assert codes(client) == ["too_large"]
    assert client.closed is CloseCode.TOO_LARGE


def test_until_somebody_is_known_only_login_is_let_through() -> None:
    client = FakeClient()
    client.connection.identity = None
    client.connection.receive(CALL)
    assert codes(client) == ["login_required"]
    assert client.connection.next_call() is None

    client.connection.receive(json.dumps(frame("login")))
    login = client.connection.next_call()
    assert login == Call("login", "session", {"token": "TOKEN"}, "c1")


def test_somebody_must_be_known_in_time() -> None:
    clock = Clock()
    client = FakeClient(clock=clock)
    client.connection.identity = None
    assert not client.connection.login_overdue
    clock.now += 10
    assert client.connection.login_overdue
    client.connection.identity = "operator"
    assert not client.connection.login_overdue


def test_too_many_calls_are_read_later() -> None:
    client = FakeClient()

    assert [client.connection.receive(CALL) for _ in range(41)][-2:] == [0.0, pytest.approx(0.05)]
    assert client.connection.waiting_calls == 41


def test_ten_seconds_of_too_many_calls_close() -> None:
    clock = Clock()
    client = FakeClient(clock=clock)
    for _ in range(300):
        clock.now += client.connection.receive(CALL)

    assert client.closed is CloseCode.TOO_FAST
    assert codes(client)[-1] == "too_fast"


def test_a_closed_connection_takes_no_calls() -> None:
    client = FakeClient()
    client.connection.shut(CloseCode.GOING_AWAY)

    assert client.connection.receive(CALL) == 0.0
    assert client.connection.next_call() is None


# -- to the client --------------------------------------------------------------------------------------------------


def test_a_text_is_sent_at_once() -> None:
    client = FakeClient()
    client.connection.write('{"a":1}')

    assert client.frames() == [{"a": 1}]
    assert client.connection.clear


def test_what_waits_for_a_stalled_client_is_sent_in_order_when_it_reads() -> None:
    client = FakeClient()
    client.stalled = True
    for number in range(5):
        client.connection.write(json.dumps(number))
    assert not client.connection.clear
    client.stalled = False
    client.drain()

    assert client.frames() == [0, 1, 2, 3, 4]
    assert client.connection.clear


def test_a_stalled_client_is_handed_little_at_once_so_that_the_rest_can_be_replaced() -> None:
    client = FakeClient(limits=Limits(chunk_bytes=10))
    client.stalled = True
    for number in range(9):
        client.connection.write(json.dumps(f"lamp {number}"), "lamp")
    client.drain()

    assert client.frames() == ["lamp 0"]
    client.drain()
    assert client.frames() == ["lamp 8"]


def test_a_client_that_does_not_read_is_closed_at_its_limit() -> None:
    client = FakeClient(limits=Limits(outbox_bytes=1000))
    client.stalled = True
    for number in range(1000):
        client.connection.write(json.dumps(f"frame number {number}"))
        if client.closed is not None:
            break
        assert client.connection.outbox.size <= 1000

    assert client.closed is CloseCode.TOO_SLOW
    assert client.connection.outbox.queued == 0


def test_bytes_sent_past_the_outbox_count_when_the_kernel_does_not_take_them() -> None:
    client = FakeClient(limits=Limits(outbox_bytes=1000))
    client.connection.stuck(900)
    client.connection.put(b"x" * 100)
    assert client.closed is None
    client.connection.put(b"x")

    assert client.closed is CloseCode.TOO_SLOW


def test_more_stuck_bytes_than_the_limit_close() -> None:
    client = FakeClient(limits=Limits(outbox_bytes=1000))
    client.connection.stuck(1001)

    assert client.closed is CloseCode.TOO_SLOW


def test_a_text_that_can_never_fit_is_refused_and_the_connection_stays() -> None:
    client = FakeClient(limits=Limits(outbox_bytes=100))
    with pytest.raises(TooLarge):
        client.connection.write('"' + "x" * 100 + '"')

    assert client.closed is None
    assert client.frames() == []


def test_room_is_told_when_three_quarters_are_free() -> None:
    client = FakeClient(limits=Limits(outbox_bytes=1000, chunk_bytes=10))
    told: list[Any] = []
    client.connection.on_room = told.append
    client.stalled = True
    for _ in range(4):
        client.connection.write('"' + "x" * 100 + '"')
    client.drain()
    assert told == []
    client.drain()

    assert told == [client.connection]


# -- subscriptions and the end --------------------------------------------------------------------------------------


def test_a_second_subscription_of_a_name_replaces_the_first() -> None:
    client, ended = FakeClient(), []
    first: Any = object()
    second: Any = object()
    client.connection.subscribe("devices", first, lambda: ended.append("first"))
    client.connection.subscribe("devices", second, lambda: ended.append("second"))

    assert ended == ["first"]
    assert client.connection.unsubscribe("devices") is second
    assert client.connection.unsubscribe("devices") is None
    assert ended == ["first", "second"]


def test_subscriptions_have_a_limit_that_replacing_does_not_reach() -> None:
    client = FakeClient(limits=Limits(subscriptions=2))
    subscription: Any = object()
    for local in ("a", "b", "b"):
        client.connection.subscribe(local, subscription, lambda: None)
    with pytest.raises(TooMany):
        client.connection.subscribe("c", subscription, lambda: None)

    assert set(client.connection.subscriptions) == {"a", "b"}


def test_closing_ends_every_subscription_even_if_one_fails(caplog: pytest.LogCaptureFixture, expect_log: Any) -> None:
    expect_log("realtime.connection", "could not be ended", level=logging.ERROR)
    client, ended = FakeClient(), []
    subscription: Any = object()

    def fail() -> None:
        raise RuntimeError

    client.connection.subscribe("a", subscription, fail)
    client.connection.subscribe("b", subscription, lambda: ended.append("b"))
    client.connection.shut(CloseCode.GOING_AWAY)

    assert ended == ["b"]
    assert client.closed is CloseCode.GOING_AWAY
    assert client.connection.subscriptions == {}


def test_it_is_closed_once() -> None:
    client = FakeClient()
    client.connection.shut(CloseCode.TOO_SLOW)
    client.connection.shut(CloseCode.GOING_AWAY)
    client.connection.refuse(CloseCode.IDENTITY)

    assert client.closed is CloseCode.TOO_SLOW
    assert client.connection.closed is CloseCode.TOO_SLOW


def test_a_socket_that_is_gone_is_not_closed_again() -> None:
    client = FakeClient()
    client.connection.gone()
    client.connection.write('"late"')

    assert client.closed is None
    assert client.connection.closed is CloseCode.GOING_AWAY
    assert client.frames() == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (CloseCode.IDENTITY, "login_required"),
        (CloseCode.NOT_ALLOWED, "not_allowed"),
        (CloseCode.TOO_MANY, "too_many"),
        (CloseCode.GOING_AWAY, "unavailable"),
        (CloseCode.INTERNAL, "internal"),
    ],
)
def test_an_error_frame_goes_before_the_close(code: CloseCode, said: str) -> None:
    client = FakeClient()
    client.connection.refuse(code)

    assert codes(client) == [said]
    assert client.closed is code


def test_the_error_frame_may_say_more() -> None:
    client = FakeClient()
    client.connection.refuse(CloseCode.NOT_ALLOWED, NotAllowed("This origin is not allowed."))

    assert client.frames()[0]["context"]["error"]["message"] == "This origin is not allowed."
