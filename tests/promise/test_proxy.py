"""The instrument itself: each way to end a line must be what it says, or the tests of cuts prove nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.promise.installation import until
from tests.promise.proxy import Proxy

LIMIT = 5.0


@dataclass
class Line:
    proxy: Proxy
    listener: socket.socket
    client: socket.socket
    server: socket.socket


@pytest.fixture
def line() -> Iterator[Line]:
    """A client and a server with the proxy between them, and a byte that has passed each way."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        Proxy(listener.getsockname()[1]) as proxy,
        socket.create_connection(("127.0.0.1", proxy.port), LIMIT) as client,
        listener.accept()[0] as server,
    ):
        server.settimeout(LIMIT)
        client.sendall(b"a")
        server.sendall(b"b")
        assert server.recv(1) + client.recv(1) == b"ab"
        # Bytes pass a moment before the proxy counts the pair as one of its own.
        until(lambda: proxy.pairs == 1, "a pair", LIMIT)
        yield Line(proxy, listener, client, server)


def silent(end: socket.socket) -> bool:
    end.settimeout(0.1)
    try:
        return end.recv(1) == b"never"
    except TimeoutError:
        return True


def test_a_cut_is_told_to_both(line: Line) -> None:
    line.proxy.cut()
    assert line.client.recv(1) == line.server.recv(1) == b""


def test_a_reset_is_told_to_both(line: Line) -> None:
    line.proxy.reset()
    for end in (line.client, line.server):
        with pytest.raises(ConnectionResetError):
            end.recv(1)


def test_what_vanishes_is_told_to_nobody_and_never_comes_back(line: Line) -> None:
    line.proxy.vanish()
    line.client.sendall(b"lost")
    line.server.sendall(b"lost")
    assert silent(line.client) and silent(line.server)
    line.client.shutdown(socket.SHUT_RDWR)
    assert silent(line.server)


def test_who_leaves_is_known_to_the_client_only(line: Line) -> None:
    line.proxy.leave()
    assert line.client.recv(1) == b""
    assert silent(line.server)


def test_a_closed_line_takes_nobody_until_it_is_reopened(line: Line) -> None:
    line.proxy.close()
    with socket.create_connection(("127.0.0.1", line.proxy.port), LIMIT) as client:
        client.sendall(b"x")
        assert silent(client)
        line.proxy.reopen()
        server, _ = line.listener.accept()
        with server:
            assert server.recv(1) == b"x"


def test_a_slow_line_is_slow_towards_the_client(line: Line) -> None:
    line.proxy.rate = 100_000
    line.server.sendall(b"x" * 20_000)
    began = time.monotonic()
    left = 20_000
    while left:
        left -= len(line.client.recv(left))
    assert time.monotonic() - began > 0.1


def test_what_was_held_comes_later(line: Line) -> None:
    line.proxy.hold()
    line.client.sendall(b"c")
    assert silent(line.server)
    line.server.settimeout(LIMIT)
    line.proxy.release()
    assert line.server.recv(1) == b"c"


def test_what_vanished_is_an_error_once_it_is_given_up(line: Line) -> None:
    line.proxy.vanish()
    line.client.sendall(b"c")
    assert silent(line.server) and silent(line.client)
    line.proxy.give_up()
    for end in (line.client, line.server):
        end.settimeout(LIMIT)
        with pytest.raises(ConnectionResetError):
            end.recv(1)
