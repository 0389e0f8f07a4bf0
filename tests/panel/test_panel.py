"""The panel in a real Chromium on a whole server: two windows, keyboard, cuts, rights."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.panel.serving import DemoServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

# Coming back waits a random time of up to 15 s, and the machine may be busy.
PATIENCE = 30_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    demo = DemoServer(tmp_path_factory.mktemp("panel"))
    demo.start()
    yield demo
    demo.stop()


@pytest.fixture
def contexts(browser: "Browser") -> Iterator[list["BrowserContext"]]:
    made: list[BrowserContext] = []
    yield made
    for context in made:
        context.close()


class Window:
    """A browser window of somebody who signed in; remembers everything that went wrong in it."""

    def __init__(self, browser: "Browser", server: DemoServer, who: str, **options: object) -> None:
        self.server = server
        self.context = browser.new_context(**options)  # type: ignore[arg-type]
        self.context.set_default_timeout(PATIENCE)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.strangers: list[str] = []
        self._listen(self.page)
        self.page.goto(server.url)
        self.page.fill("[name=username]", who)
        self.page.fill("[name=password]", server.passwords[who])
        self.page.keyboard.press("Enter")
        self.await_pill("Live")

    def _listen(self, page: "Page") -> None:
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self._asked(request.url))
        page.on("websocket", lambda socket: self._asked(socket.url.replace("ws:", "http:")))

    def _asked(self, url: str) -> None:
        if not url.startswith((self.server.url, "data:")):
            self.strangers.append(url)

    def await_pill(self, word: str) -> None:
        self.page.locator("marsh-pill", has_text=word).wait_for()

    def switch(self, name: str) -> "Locator":
        return self.page.get_by_role("switch", name=name, exact=True)

    def await_switch(self, name: str, on: bool) -> None:
        wanted = f'[role=switch][aria-label="{name}"][aria-checked={str(on).lower()}][aria-busy=false]'
        self.page.locator(wanted).wait_for()

    def is_on(self, name: str) -> bool:
        self.switch(name).wait_for()
        return self.switch(name).get_attribute("aria-checked") == "true"


@pytest.fixture
def window(browser: "Browser", server: DemoServer, contexts: list["BrowserContext"]) -> "Window":
    made = Window(browser, server, "operator")
    contexts.append(made.context)
    return made


def test_a_switch_in_one_window_is_confirmed_in_the_other(
    browser: "Browser", server: DemoServer, contexts: list["BrowserContext"], window: Window
) -> None:
    other = Window(browser, server, "viewer")
    contexts.append(other.context)
    before = window.is_on("Exhaust fan")
    assert other.is_on("Exhaust fan") is before
    window.switch("Exhaust fan").click()
    window.await_switch("Exhaust fan", not before)
    other.await_switch("Exhaust fan", not before)
    # Who did it is told to the others; the one who did knows.
    other.page.get_by_text(f"operator turned {'off' if before else 'on'}").wait_for()
    assert window.page.get_by_text("operator turned").count() == 0


def test_undo_asks_for_what_was_before(window: Window) -> None:
    before = window.is_on("Ceiling light")
    window.switch("Ceiling light").click()
    window.await_switch("Ceiling light", not before)
    window.page.get_by_role("button", name="Undo").click()
    window.await_switch("Ceiling light", before)


def test_space_switches_and_enter_opens_the_device(window: Window) -> None:
    before = window.is_on("Drip pump")
    link = window.page.get_by_role("link", name="Drip pump")
    link.focus()
    window.page.keyboard.press("Space")
    window.await_switch("Drip pump", not before)
    window.page.keyboard.press("Enter")
    window.page.get_by_role("heading", name="History").wait_for()
    assert re.search(r"/device/\d+/$", window.page.url)
    window.page.locator(".log", has_text="operator").first.wait_for()
    window.page.reload()
    window.page.get_by_role("heading", name="Drip pump").wait_for()


def test_arrows_go_from_card_to_card(window: Window) -> None:
    titles = window.page.locator("marsh-card h3 a")
    names = titles.all_text_contents()
    focused = "document.activeElement.textContent"
    titles.first.focus()
    seen = []
    for key in ("ArrowRight", "ArrowLeft", "ArrowDown", "ArrowUp", "End", "Home"):
        window.page.keyboard.press(key)
        seen.append(window.page.evaluate(focused))
    assert seen[:2] == [names[1], names[0]]
    assert seen[2] not in names[:2]  # a row further
    assert seen[3:] == [names[0], names[-1], names[0]]


def test_search_is_a_key_away_and_stays_in_the_address(window: Window) -> None:
    window.page.keyboard.press("/")
    window.page.keyboard.type("bench")
    window.page.get_by_text("Showing 2 of 15").wait_for()
    window.page.reload()
    window.page.get_by_text("Showing 2 of 15").wait_for()
    window.page.get_by_role("link", name="Clear filter").click()
    window.page.locator("marsh-card").nth(14).wait_for()


def test_a_viewer_sees_the_switch_and_cannot_use_it(
    browser: "Browser", server: DemoServer, contexts: list["BrowserContext"]
) -> None:
    window = Window(browser, server, "viewer")
    contexts.append(window.context)
    window.page.get_by_text("View only").first.wait_for()
    assert window.switch("Exhaust fan").get_attribute("aria-disabled") == "true"
    assert window.page.get_by_role("link", name="Admin").count() == 0


def test_a_device_that_is_away_says_since_when(window: Window) -> None:
    card = window.page.locator("marsh-card", has_text="CNC controller")
    card.get_by_text(re.compile(r"^since .*\d\d:\d\d$")).wait_for()
    assert window.switch("CNC controller").get_attribute("aria-disabled") == "true"


def test_a_killed_server_is_said_and_then_everything_goes_on(window: Window, server: DemoServer) -> None:
    server.stop()
    window.await_pill("Offline")
    window.page.get_by_text(re.compile(r"Connection lost\. Values are from \d\d:\d\d:\d\d")).wait_for()
    assert window.switch("Exhaust fan").get_attribute("aria-disabled") == "true"
    server.start()
    window.await_pill("Live")
    before = window.is_on("Exhaust fan")
    window.switch("Exhaust fan").click()
    window.await_switch("Exhaust fan", not before)


def test_signing_out_in_one_tab_empties_the_other(window: Window) -> None:
    other = window.context.new_page()
    other.goto(window.server.url)
    other.get_by_role("button", name="Sign out").click()
    other.get_by_role("heading", name="Sign in").wait_for()
    window.page.get_by_role("heading", name="Signed out").wait_for()
    assert window.page.locator("marsh-card").count() == 0


def test_nothing_is_asked_of_another_origin_and_nothing_is_refused_by_the_policy(window: Window) -> None:
    window.page.get_by_role("link", name="Reading lamp").click()
    window.page.get_by_role("heading", name="About").wait_for()
    window.page.go_back()
    window.switch("Exhaust fan").wait_for()
    assert window.strangers == []
    assert window.errors == []


@pytest.mark.parametrize(("scheme", "other"), [("light", "dark"), ("dark", "light")])
def test_the_theme_follows_the_system_until_somebody_chooses(
    browser: "Browser", server: DemoServer, contexts: list["BrowserContext"], scheme: str, other: str
) -> None:
    window = Window(browser, server, "operator", color_scheme=scheme)
    contexts.append(window.context)
    theme = "document.documentElement.dataset.theme"
    assert window.page.evaluate(theme) == scheme
    while window.page.evaluate(theme) != other:
        window.page.get_by_role("button", name="Theme").click()
    window.page.reload()
    assert window.page.evaluate(theme) == other


def test_a_phone_has_one_column_and_room_for_fingers(
    browser: "Browser", server: DemoServer, contexts: list["BrowserContext"]
) -> None:
    window = Window(browser, server, "operator", viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    contexts.append(window.context)
    page = window.page
    window.switch("Exhaust fan").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    small = page.evaluate(
        """() => [...document.querySelectorAll("marsh-card .switch, .top button, .chip, .search")].filter((part) => {
            const box = part.getBoundingClientRect();
            const pressed = getComputedStyle(part, "::before");
            const grown = part.matches(".switch") ? -2 * parseFloat(pressed.top) : 0;
            return box.height > 0 && box.height + grown < 44; // far below, content-visibility draws nothing
        }).map((part) => part.className)"""
    )
    assert small == []
    page.get_by_role("button", name="Menu").tap()
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Workshop").tap()
    page.get_by_role("heading", name="Workshop").wait_for()
    assert page.get_by_role("heading", name="Greenhouse").count() == 0
