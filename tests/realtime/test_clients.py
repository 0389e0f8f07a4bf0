"""Who is connected: counted, looked after, said goodbye to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed

from realtime.errors import CloseCode
from realtime.models import Journal
from tests.library.models import Book, Shelf
from tests.realtime.serving import LIMIT, Served, peer, person, served, session_of, token_of, until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as found:
        yield found


def test_connections_are_found_by_user_however_the_key_is_written(server: Served) -> None:
    user, other = person(), person("other")
    with (
        peer(server.port, token=token_of(user)) as first,
        peer(server.port, session=session_of(user)) as second,
        peer(server.port, token=token_of(other)) as third,
    ):
        for client in (first, second, third):
            client.call("ping", "room")
        clients = server.process.clients
        assert len(server.on_loop(lambda: clients.of_users([user.pk]))) == 2
        assert len(server.on_loop(lambda: clients.of_users([str(user.pk), other.pk]))) == 3
        assert len(server.on_loop(lambda: clients.of_users(None))) == 3
        assert server.on_loop(lambda: clients.of_users([999])) == []
    until(lambda: len(clients) == 0)
    assert server.on_loop(lambda: clients.of_users([user.pk])) == []
    assert clients._owned == {}


def test_who_comes_while_the_server_stops_is_told_to_come_back(server: Served) -> None:
    def stop() -> None:
        server.process.clients.stopping = True

    server.on_loop(stop)
    with peer(server.port, token=token_of(person())) as client:
        assert client.closed() == 1001


def test_nothing_is_left_of_many_short_visits(server: Served) -> None:
    token = token_of(person(is_staff=True))
    for _ in range(30):
        with peer(server.port, token=token) as client:
            client.subscribe("book")
    until(lambda: len(server.process.clients) == 0)
    counts = server.on_loop(server.process.hub.counts)
    assert (counts["subscriptions"], counts["channels"], counts["snapshots"]) == (0, 0, 0)


def test_a_peer_that_vanishes_without_a_word_is_forgotten(server: Served) -> None:
    token = token_of(person(is_staff=True))
    with peer(server.port, token=token) as client:
        client.subscribe("book")
        client.socket.socket.close()
        until(lambda: len(server.process.clients) == 0)
        assert server.on_loop(server.process.hub.counts)["subscriptions"] == 0


def test_positions_ride_on_heartbeats_for_whom_nothing_matched(settings: pytest.FixtureRequest) -> None:
    settings.REALTIME_HEARTBEAT_SECONDS = 1.0  # type: ignore[attr-defined]
    settings.REALTIME_POSITION_SECONDS = 1.0  # type: ignore[attr-defined]
    shelf = Shelf.objects.create(name="one")
    with served() as server, peer(server.port, token=token_of(person(is_staff=True))) as client:
        client.subscribe("book", pages=99)
        Book.objects.create(title="a", shelf=shelf, pages=1)
        while not (told := client.receive().get("position")):
            pass
    assert list(told) == ["book|pages:99"]
    assert told["book|pages:99"][1] >= 1


def test_the_hidden_are_beaten_for_seldom(server: Served) -> None:
    with peer(server.port, token=token_of(person())) as client:
        client.call("visible", "session", visible=False)

        def due(seconds: float, spoke: bool = False) -> float:
            (connection,) = server.process.clients
            connection.shell.beat_at -= seconds
            connection.shell.socket.spoke = spoke
            before = connection.shell.beat_at
            server.process.clients.look([connection])
            return float(connection.shell.beat_at - before)

        assert server.on_loop(lambda: due(20)) == 0
        # A change is a sign of life as well; then nobody was silent for long.
        assert server.on_loop(lambda: due(5, spoke=True)) == pytest.approx(24, abs=5)
        assert server.on_loop(lambda: due(5)) == 0
        assert server.on_loop(lambda: due(20)) > 0
        assert client.receive(LIMIT)["type"] == "heartbeat"


def test_one_slow_reader_is_closed_and_hurts_nobody(settings: pytest.FixtureRequest) -> None:
    settings.REALTIME_OUTBOX_BYTES = 100_000  # type: ignore[attr-defined]
    settings.REALTIME_PART_BYTES = 20_000  # type: ignore[attr-defined]
    shelf = Shelf.objects.create(name="one")
    books = Book.objects.bulk_create(
        Book(title=f"book {n}", shelf=shelf, extra={"text": "x" * 8000}) for n in range(40)
    )
    with served() as server, peer(server.port, token=token_of(person(is_staff=True))) as slow:
        slow.call("subscribe", "book", channel="mine")
        (connection,) = server.process.clients
        # What the kernels on both sides would hold is megabytes; so the socket is as if it took nothing.
        server.on_loop(lambda: setattr(connection, "send", lambda data: len(data)))
        for number in range(1, 4):
            Book.objects.update(pages=number)
        until(lambda: connection.closed is not None, "closing the slow one")
        assert connection.closed is CloseCode.TOO_SLOW
        # What is still to come would be too much at once for any outbox of this size.
        until(lambda: not Journal.objects.filter(dirty=True).exists(), "everything to be published")
        with peer(server.port, token=token_of(person("quick", is_staff=True))) as quick:
            quick.call("subscribe", "book", channel="mine")
            Book.objects.filter(pk=books[0].pk).update(pages=9)
            while quick.change()["data"]["pages"] != 9:
                pass
        assert slow.closed() == 4008


def test_a_server_that_stops_says_goodbye_to_everybody() -> None:
    token = token_of(person())
    with served() as server, peer(server.port, token=token) as client:
        client.call("ping", "room")
        server.loop.call_soon_threadsafe(server.stop.set)
        assert client.closed() == 1001
        with pytest.raises((OSError, ConnectionClosed)), peer(server.port, token=token) as late:
            late.call("ping", "room")
