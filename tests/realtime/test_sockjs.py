"""SwampDragon's endpoint as its own clients speak to it: SockJS and raw."""

from __future__ import annotations

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from realtime.sockjs import unwrapped
from tests.library.models import Book, Shelf
from tests.realtime.serving import LIMIT, Peer, Served, peer, person, served, session_of, token_of, until

pytestmark = pytest.mark.django_db(transaction=True)

SOCKJS = "/data/123/abcdefgh/websocket"


@pytest.fixture
def server() -> Iterator[Served]:
    with served() as found:
        yield found


def get(server: Served, path: str, **headers: str) -> tuple[int, Any, str]:
    request = urllib.request.Request(f"{server.origin}{path}", headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=LIMIT) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read().decode()


class Wrapped:
    """A SockJS client over its websocket transport."""

    def __init__(self, client: Peer) -> None:
        self.socket = client.socket
        assert self.frame() == "o"

    def frame(self) -> str:
        found = self.socket.recv(timeout=LIMIT)
        assert isinstance(found, str)
        return found

    def messages(self) -> list[dict[str, Any]]:
        frame = self.frame()
        assert frame[0] == "a", frame
        return [json.loads(text) for text in json.loads(frame[1:])]

    def send(self, verb: str, route: str, **args: Any) -> None:
        call = json.dumps({"verb": verb, "route": route, "args": args, "callbackname": "cb_0"})
        self.socket.send(json.dumps([call]))

    def call(self, verb: str, route: str, **args: Any) -> dict[str, Any]:
        self.send(verb, route, **args)
        (message,) = self.messages()
        return message


def test_a_sockjs_client_subscribes_and_hears_of_changes(server: Served) -> None:
    shelf = Shelf.objects.create(name="one")
    with peer(server.port, SOCKJS, session=session_of(person(is_staff=True))) as socket:
        client = Wrapped(socket)
        reply = client.call("subscribe", "book", channel="books")
        assert reply["context"]["client_callback_name"] == "cb_0"
        assert reply["channel_data"]["remote_channels"] == ["book|"]
        assert reply["data"][0]["parent_type"] == "book"
        book = Book.objects.create(title="a", shelf=shelf)
        assert [(m["action"], m["data"]["id"]) for m in client.messages()] == [("created", book.pk)]
        Book.objects.filter(pk=book.pk).update(pages=2)
        assert [(m["action"], m["data"]["pages"]) for m in client.messages()] == [("updated", 2)]


def test_the_raw_endpoint_speaks_plain_frames(server: Served) -> None:
    with peer(server.port, "/data/websocket", token=token_of(person())) as client:
        assert client.call("echo", "room", text="x")["data"]["text"] == "x"


def test_after_a_lost_stream_an_old_client_is_healed_without_being_told(server: Served) -> None:
    shelf = Shelf.objects.create(name="one")
    Book.objects.create(title="stays", shelf=shelf)
    with peer(server.port, SOCKJS, token=token_of(person(is_staff=True))) as socket:
        client = Wrapped(socket)
        client.call("subscribe", "book", channel="books")
        server.process.bus.renew(["book"])
        (message,) = client.messages()
        assert (message["action"], message["data"]["title"]) == ("updated", "stays")


def test_rights_that_end_take_the_objects_away_from_an_old_client(server: Served) -> None:
    shelf = Shelf.objects.create(name="one")
    user = person(is_staff=True)
    book = Book.objects.create(title="a", shelf=shelf)
    with peer(server.port, SOCKJS, token=token_of(user)) as socket:
        client = Wrapped(socket)
        client.call("subscribe", "book", channel="books")
        type(user).objects.update(is_staff=False)
        (message,) = client.messages()
        if message["action"] != "deleted":
            # The book's own publication, if the relay was slower than this client.
            (message,) = client.messages()
        assert (message["action"], message["data"]["id"]) == ("deleted", book.pk)


def test_the_close_reason_stands_in_a_frame_that_sockjs_clients_read(server: Served) -> None:
    with peer(server.port, SOCKJS, session="invented") as socket:
        client = Wrapped(socket)
        client.messages()
        assert json.loads(client.frame()[1:]) == [3001, "identity missing or ended"]
        with pytest.raises(ConnectionClosed):
            client.frame()


def test_sockjs_has_its_own_sign_of_life_and_no_other(settings: Any) -> None:
    settings.REALTIME_HEARTBEAT_SECONDS = 1.0
    with served() as server, peer(server.port, SOCKJS, token=token_of(person())) as socket:
        assert Wrapped(socket).frame() == "h"


def test_origin_and_host_are_as_strict_here(server: Served) -> None:
    for path in (SOCKJS, "/data/websocket", "/data/info", "/data/1/2/websocket"):
        assert get(server, path, Origin="http://evil.example")[0] == 403, path
        assert get(server, path, Host="evil.example")[0] == 403, path


def test_the_info_offers_websockets(server: Served) -> None:
    status, headers, body = get(server, "/data/info", Origin="http://127.0.0.1:8000")
    assert status == 200
    assert json.loads(body)["websocket"] is True
    assert headers["Access-Control-Allow-Origin"] == "http://127.0.0.1:8000"
    assert headers["Access-Control-Allow-Credentials"] == "true"


def test_other_transports_are_answered_with_the_reason(server: Served) -> None:
    for path in ("/data", "/data/", "/data/1/2/xhr", "/data/1/2/xhr_streaming", "/data/1/2/jsonp", "/data/iframe.html"):
        status, _, body = get(server, path)
        assert status == 404, path
        assert "see docs/" in body


def test_the_settings_are_javascript(server: Served) -> None:
    status, headers, body = get(server, "/settings.js")
    assert status == 200
    assert headers["Content-Type"].startswith("text/javascript")
    program = f"window = {{}}; {body}; console.log(JSON.stringify(window))"
    shown = subprocess.run(["node", "-e", program], capture_output=True, text=True, check=True, timeout=LIMIT).stdout
    assert json.loads(shown) == {
        "swampdragon_settings": {"endpoint": "/data"},
        "swampdragon_host": f"http://127.0.0.1:{server.port}",
    }


def test_hostile_wrappings_are_answered_as_nonsense(server: Served) -> None:
    with peer(server.port, SOCKJS, token=token_of(person())) as socket:
        client = Wrapped(socket)
        # Thousands of empty messages in one frame would each have cost an answer, in one turn of the loop.
        for text in ("{", "[1]", "null", "[" * 3000, '["{"]', json.dumps([""] * 10_000)):
            socket.socket.send(text)
            (message,) = client.messages()
            assert message["context"]["error"]["code"] == "bad_call", text
        socket.socket.send("")
        assert client.call("ping", "room")["data"] == "pong"
    until(lambda: len(server.process.clients) == 0)


@pytest.mark.parametrize(
    ("text", "messages"),
    [("", []), ('["a","b"]', ["a", "b"]), ('"a"', ["a"]), ("[]", []), ("{}", ["{}"]), ("[1]", ["[1]"])],
)
def test_a_frame_holds_one_message_or_several(text: str, messages: list[str]) -> None:
    assert unwrapped(text) == messages
