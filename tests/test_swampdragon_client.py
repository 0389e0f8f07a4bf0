"""SwampDragon's own JavaScript of 2015, as PyPI has it, in a real browser against this server.

It is fetched for the test and never kept here: `requirements/oracle.lock` says which file it must be.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.conf import LazySettings

from tests.library.models import Book, Chapter, Shelf
from tests.realtime.serving import Program, peer, person, served, session_of, token_of, until
from tests.services import free_port
from tests.swampdragon.release import files

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.django_db(transaction=True)]

SCRIPTS = "static/swampdragon/js/dist/"

# What their documentation tells to write: subscribe and fetch on every (re)connect, map messages into the list.
PAGE = """<!doctype html><title>old</title>
<script src="/settings.js"></script>
<script src="/old/swampdragon.js"></script>
<script src="/old/datamapper.js"></script>
<script>
var shown = [], mapper = null, opened = 0, losses = 0;
swampdragon.open(function () {
    swampdragon.subscribe("book", "books", {}, function (context, objectMap) {
        mapper = new DataMapper(objectMap);
        swampdragon.getList("book", {}, function (context, books) { shown = books; opened += 1; });
    });
});
swampdragon.close(function () { losses += 1; });
swampdragon.onChannelMessage(function (channels, message) {
    if (channels.indexOf("books") >= 0) mapper.mapData(shown, message);
});
function call(verb, args) {
    return new Promise(function (resolve) {
        function told(context, data) { resolve({state: context.state, data: data}); }
        swampdragon[verb]("book", args, told, told);
    });
}
</script>
"""


@pytest.fixture(scope="module")
def scripts() -> dict[str, str]:
    """Name → text of what their release holds."""
    return {name: files()[SCRIPTS + name] for name in ("swampdragon.js", "datamapper.js")}


class OldPage:
    """A page that was written for SwampDragon, on the server's own origin."""

    def __init__(self, browser: Browser, origin: str, scripts: dict[str, str], session: str = "") -> None:
        # A page that no server sent counts as one from anywhere, which Chromium keeps away from this machine.
        self.context = browser.new_context(permissions=["local-network-access"])
        if session:
            self.context.add_cookies([{"name": "sessionid", "value": session, "url": origin}])
        self.page: Page = self.context.new_page()
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

        def answer(route: Route) -> None:
            name = route.request.url.rpartition("/")[2]
            kind = "text/javascript" if name else "text/html"
            route.fulfill(body=scripts[name] if name else PAGE, content_type=f"{kind}; charset=utf-8")

        self.page.route("**/old/*", answer)
        self.page.goto(f"{origin}/old/")

    def await_opened(self, times: int) -> None:
        self.page.wait_for_function(f"opened === {times}")

    def call(self, verb: str, **args: Any) -> dict[str, Any]:
        found: dict[str, Any] = self.page.evaluate("([verb, args]) => call(verb, args)", [verb, args])
        return found

    @property
    def shown(self) -> list[dict[str, Any]]:
        return by_id(self.page.evaluate("shown"))

    def await_equal(self) -> list[dict[str, Any]]:
        """What it shows, once that is what the server would answer."""
        until(lambda: self.shown == by_id(self.call("getList")["data"]), "equality")
        return self.shown


def by_id(books: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(books, key=lambda book: book["id"])


@pytest.fixture
def server() -> Iterator[Program]:
    """On a port that is known before, because pages of it must be let in; and it keeps it when it starts again."""
    port = free_port()
    program = Program(MARSHLIGHT_URL=f"http://127.0.0.1:{port}")
    program.port = port
    with program:
        program.wait()
        yield program


@pytest.fixture
def old_page(browser: Browser, server: Program, scripts: dict[str, str]) -> Iterator[OldPage]:
    session = session_of(person(is_staff=True))
    page = OldPage(browser, f"http://127.0.0.1:{server.port}", scripts, session)
    yield page
    page.context.close()
    assert page.errors == []


def test_an_old_page_equals_the_database_after_every_kind_of_write(old_page: OldPage) -> None:
    shelf = Shelf.objects.create(name="upper")
    atlas = Book.objects.create(title="Atlas", shelf=shelf)
    old_page.await_opened(1)
    assert [book["title"] for book in old_page.await_equal()] == ["Atlas"]

    other = Book.objects.create(title="Herbal", shelf=shelf, price="3.50")
    until(lambda: len(old_page.shown) == 2, "the created book")
    Book.objects.update(pages=7)
    until(lambda: {book["pages"] for book in old_page.shown} == {7}, "the update of all")
    Chapter.objects.create(book=atlas, name="Maps")
    until(lambda: len(old_page.shown[0]["chapters"]) == 1, "the chapter in its book")
    Shelf.objects.filter(pk=shelf.pk).update(name="lower")
    until(lambda: {book["shelf"]["name"] for book in old_page.shown} == {"lower"}, "the shelf in its books")
    assert len(old_page.await_equal()) == 2
    other.delete()
    until(lambda: [book["title"] for book in old_page.shown] == ["Atlas"], "the deletion")


def test_an_old_page_s_own_calls_come_back_to_it(old_page: OldPage) -> None:
    shelf = Shelf.objects.create(name="upper")
    old_page.await_opened(1)

    made = old_page.call("create", title="Atlas", shelf=shelf.pk, pages=3)
    assert made["state"] == "success"
    assert Book.objects.get().title == "Atlas"
    until(lambda: [book["title"] for book in old_page.shown] == ["Atlas"], "the created book")
    assert old_page.call("update", id=made["data"]["id"], on_loan=True)["state"] == "success"
    until(lambda: old_page.shown[0]["on_loan"] is True, "the update")
    assert old_page.call("getSingle", id=made["data"]["id"])["data"]["pages"] == 3
    refused = old_page.call("update", id=made["data"]["id"], title="forbidden")
    assert refused == {"state": "error", "data": {"title": ["This book may not be here."]}}
    old_page.await_equal()
    assert old_page.call("delete", id=made["data"]["id"])["state"] == "success"
    until(lambda: old_page.shown == [], "the deletion")
    assert not Book.objects.exists()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_an_old_page_comes_back_after_the_server_started_again(
    old_page: OldPage, server: Program, how: signal.Signals
) -> None:
    shelf = Shelf.objects.create(name="upper")
    old_page.await_opened(1)
    server.signal(how)
    until(lambda: old_page.page.evaluate("losses") == 1, "noticing the end")
    Book.objects.create(title="Meanwhile", shelf=shelf)
    server.start()
    server.wait()
    old_page.await_opened(2)
    Book.objects.create(title="Afterwards", shelf=shelf)
    until(lambda: len(old_page.shown) == 2, "both books")
    old_page.await_equal()


def test_what_an_old_page_may_not_do_is_told_in_its_own_words(old_page: OldPage) -> None:
    Shelf.objects.create(name="upper")
    old_page.await_opened(1)
    assert old_page.call("update", id=10**6, title="x")["state"] == "error"
    assert old_page.call("getList", secret__startswith="h")["state"] == "error"
    assert old_page.call("create", title="x" * 41)["state"] == "error"
    told = "new Promise((done) => swampdragon.callRouter({}, {}, {{}}, (c) => done(c.state), (c) => done(c.state)))"
    assert old_page.page.evaluate(told.format("'get_list'", "'nowhere'")) == "error"
    assert old_page.page.evaluate(told.format("'fail'", "'room'")) == "error"
    old_page.await_equal()


def test_nobody_is_told_to_sign_in(server: Program) -> None:
    """SwampDragon's own page hears of that state and calls nothing back, then as now."""
    with peer(server.port, "/data/websocket", Origin=f"http://127.0.0.1:{server.port}") as client:
        assert client.call("get_list", "book")["context"]["state"] == "login_required"


def test_a_raw_client_of_the_old_endpoint_gets_the_same(server: Program) -> None:
    shelf = Shelf.objects.create(name="upper")
    with peer(server.port, "/data/websocket", token=token_of(person(is_staff=True))) as client:
        reply = client.call("subscribe", "book", channel="books")
        assert reply["channel_data"]["remote_channels"] == ["book|"]
        Book.objects.create(title="Atlas", shelf=shelf)
        assert client.change()["data"]["title"] == "Atlas"


def test_what_the_project_tells_its_pages_is_javascript(
    browser: Browser, scripts: dict[str, str], settings: LazySettings
) -> None:
    settings.SWAMP_DRAGON = told = {
        "flag": True,
        "no": False,
        "none": None,
        "text": "</script> ' \" \u2028",
        "n": [1.5],
    }
    before = dict(told)
    with served() as server:
        page = OldPage(browser, server.origin, scripts)
        assert page.page.evaluate("window.swampdragon_settings") == {**told, "endpoint": "/data"}
        assert page.page.evaluate("window.swampdragon_host") == server.origin
        assert page.errors == []
        page.context.close()
    assert told == before
