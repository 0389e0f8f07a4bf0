"""More of SwampDragon's own JavaScript in Chromium: filters, pages, data channels, cut lines, ended sessions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.contrib.sessions.models import Session

from realtime import publish_data
from tests.library.models import Book, Shelf
from tests.promise.proxy import Proxy
from tests.realtime.serving import Program, peer, person, session_of, token_of, until
from tests.services import free_port
from tests.swampdragon.release import files
from tests.test_swampdragon_client import SCRIPTS, OldPage, by_id

if TYPE_CHECKING:
    from playwright.sync_api import Browser, WebSocket

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

ODD = "50% 'of' \"it\"_\\ & é 😀"

# One list for each filter, kept as their documentation tells: fetch with the filter, subscribe with it, map messages.
LISTS = """() => {
    window.lists = {}; window.heard = [];
    window.follow = (name, filter) => new Promise((resolve) => {
        swampdragon.subscribe("book", name, {...filter}, (context, map) => {
            const own = new DataMapper(map);
            swampdragon.getList("book", filter, (context, books) => {
                lists[name] = {books, own};
                resolve("success");
            }, () => resolve("no list"));
        }, (context) => resolve(context.state));
    });
    swampdragon.onChannelMessage((channels, message) => {
        heard.push([channels, message]);
        for (const name of channels) if (lists[name]) lists[name].own.mapData(lists[name].books, message);
    });
    window.route = (verb, ...rest) => new Promise((resolve) => {
        const told = (context, data) => resolve({state: context.state, data, page: context.client_context?.page});
        swampdragon[verb](...rest, told, told);
    });
}"""


@pytest.fixture
def line() -> Iterator[Proxy]:
    """What the page's connections go through; behind it, a server that will be reached by this line's address."""
    with Proxy(free_port()) as proxy:
        yield proxy


@pytest.fixture
def server(line: Proxy) -> Iterator[Program]:
    program = Program(MARSHLIGHT_URL=f"http://127.0.0.1:{line.port}")
    program.port = line.target
    with program:
        program.wait()
        yield program


@pytest.fixture
def old_page(browser: Browser, server: Program, line: Proxy) -> Iterator[OldPage]:
    scripts = {name: files()[SCRIPTS + name] for name in ("swampdragon.js", "datamapper.js")}
    page = OldPage(browser, f"http://127.0.0.1:{line.port}", scripts, session_of(person(is_staff=True)))
    page.await_opened(1)
    page.page.evaluate(LISTS)
    yield page
    page.context.close()
    assert page.errors == []


def follow(page: OldPage, name: str, **filters: Any) -> str:
    state: str = page.page.evaluate("([name, filter]) => follow(name, filter)", [name, filters])
    return state


def ask(page: OldPage, verb: str, *words: Any) -> dict[str, Any]:
    found: dict[str, Any] = page.page.evaluate("([verb, words]) => route(verb, ...words)", [verb, list(words)])
    return found


def listed(page: OldPage, name: str) -> list[dict[str, Any]]:
    return by_id(page.page.evaluate("(name) => lists[name].books", name))


def test_filtered_lists_of_an_old_page_equal_the_database_after_each_write(old_page: OldPage) -> None:
    shelf = Shelf.objects.create(name="upper")
    other = Shelf.objects.create(name=ODD[:20])
    Book.objects.create(title="Atlas", shelf=shelf, pages=30)
    Book.objects.create(title=ODD, shelf=other, pages=0, on_loan=True)
    filters: dict[str, dict[str, Any]] = {
        "home": {"on_loan": False},
        "away": {"on_loan": True},
        "none": {"pages": 0},
        "long": {"pages__gt": 20},
        "band": {"pages__gt": 0, "pages__lt": 30},
        "some": {"shelf__in": [shelf.pk, 10**9]},
        "odd": {"title__contains": ODD},
        "both": {"shelf": shelf.pk, "on_loan": False},
    }
    for name, chosen in filters.items():
        assert follow(old_page, name, **chosen) == "success"

    def equal() -> None:
        for name, chosen in filters.items():
            wanted = set(Book.objects.filter(**chosen).values_list("pk", "title", "pages", "on_loan"))

            def shows(name: str = name, wanted: set[Any] = wanted) -> bool:
                rows = listed(old_page, name)
                found = {(book["id"], book["title"], book["pages"], book["on_loan"]) for book in rows}
                return len(rows) == len(wanted) and found == wanted

            until(shows, f"{name} as the database has it")

    equal()
    Book.objects.create(title="Herbal", shelf=other, pages=21)
    equal()
    Book.objects.filter(title="Atlas").update(pages=5)
    equal()
    Book.objects.update(on_loan=True)
    equal()
    Book.objects.filter(title=ODD).update(title="plain", pages=40)
    equal()
    Book.objects.filter(title="Herbal").update(title=f"An {ODD}", on_loan=False, pages=0)
    equal()
    Book.objects.filter(title="plain").update(shelf=shelf, on_loan=False)
    equal()
    Book.objects.filter(title="Atlas").delete()
    equal()
    assert old_page.await_equal()


def test_a_filter_that_is_not_allowed_is_an_error_to_an_old_page(old_page: OldPage) -> None:
    for chosen in ({"secret": "x"}, {"pages__regex": "1"}, {"pages": "abc"}, {"shelf__name": "upper"}):
        assert follow(old_page, "guess", **chosen) == "error"
    assert follow(old_page, "home", on_loan=False) == "success"


def test_an_old_page_turns_pages(old_page: OldPage) -> None:
    for name in "edcba":
        Shelf.objects.create(name=name)
    told = ask(old_page, "getPagedList", "shelf", {}, 2)
    assert [shelf["name"] for shelf in told["data"]] == ["c", "d"]
    assert told["page"] == {"page": 2, "page_count": 3, "has_next": True, "has_previous": True}
    assert ask(old_page, "getPagedList", "shelf", {}, 9)["state"] == "error"
    assert ask(old_page, "getPagedList", "shelf", {}, 3)["page"]["has_next"] is False


def test_an_old_page_hears_nothing_of_what_it_unsubscribed(old_page: OldPage) -> None:
    shelf = Shelf.objects.create(name="upper")
    follow(old_page, "home", on_loan=False)
    assert ask(old_page, "unsubscribe", "book", "home", {})["state"] == "success"
    Book.objects.create(title="Atlas", shelf=shelf)
    until(lambda: len(old_page.shown) == 1, "the book in the other channel")
    assert listed(old_page, "home") == []


def test_an_old_page_gets_what_is_published_to_a_channel(old_page: OldPage, server: Program) -> None:
    assert ask(old_page, "subscribe", "room", "talk", {"room": 7})["state"] == "success"
    assert ask(old_page, "subscribe", "room", "shut", {"room": "closed"})["state"] == "error"
    publish_data("room-8", {"text": "of others"})
    publish_data("room-7", {"text": ODD, "flag": False, "nothing": None})
    ((channels, message),) = until(lambda: old_page.page.evaluate("heard"), "the message")
    assert (channels, message["data"]) == (["talk"], {"text": ODD, "flag": False, "nothing": None})
    assert "action" not in message


@pytest.mark.parametrize("how", ["cut", "reset", "leave"])
def test_an_old_page_comes_back_after_a_cut(old_page: OldPage, line: Proxy, how: str) -> None:
    shelf = Shelf.objects.create(name="upper")
    Book.objects.create(title="Before", shelf=shelf)
    until(lambda: len(old_page.shown) == 1, "the first book")
    line.close()
    getattr(line, how)()
    until(lambda: old_page.page.evaluate("losses") == 1, "noticing the cut")
    Book.objects.filter(title="Before").delete()
    Book.objects.create(title="Meanwhile", shelf=shelf)
    line.reopen()
    old_page.await_opened(2)
    Book.objects.create(title="Afterwards", shelf=shelf)
    until(lambda: [book["title"] for book in old_page.shown] == ["Meanwhile", "Afterwards"], "both books")
    old_page.await_equal()


def test_an_old_page_whose_session_ended_sees_nothing_more(old_page: OldPage, server: Program) -> None:
    shelf = Shelf.objects.create(name="upper")
    seen: list[str] = []

    def opened(socket: WebSocket) -> None:
        seen.append("opened")
        socket.on("framereceived", lambda frame: seen.append(str(frame)))

    old_page.page.on("websocket", opened)
    with peer(server.port, "/data/websocket", token=token_of(person("viewer", is_staff=True))) as other:
        other.call("subscribe", "book", channel="books")
        Session.objects.all().delete()
        until(lambda: old_page.page.evaluate("losses") == 1, "being closed")
        Book.objects.create(title="Afterwards", shelf=shelf)
        assert other.change()["data"]["title"] == "Afterwards"
        # It tries its cookie once more, and does not hammer at the door.
        until(lambda: old_page.page.evaluate("losses >= 1") and any("c[3001" in text for text in seen), "the end")
    assert seen.count("opened") == 1
    assert old_page.shown == []
    assert not any("Afterwards" in text for text in seen)


def test_an_old_page_that_was_signed_in_anew_meanwhile_goes_on(old_page: OldPage, line: Proxy) -> None:
    shelf = Shelf.objects.create(name="upper")
    session = session_of(person("viewer", is_staff=True))
    old_page.context.add_cookies([{"name": "sessionid", "value": session, "url": f"http://127.0.0.1:{line.port}"}])
    Session.objects.exclude(session_key=session).delete()
    old_page.await_opened(2)
    Book.objects.create(title="Afterwards", shelf=shelf)
    until(lambda: [book["title"] for book in old_page.shown] == ["Afterwards"], "the book")
