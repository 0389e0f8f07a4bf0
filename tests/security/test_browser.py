"""Real pages in a real browser: one of another site, and our own with names that are programs.
docs/security.md, 2 and 38."""

from __future__ import annotations

import functools
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.panel.serving import DemoServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

PATIENCE = 30_000

# What ends text, an attribute, a script, a comment, a template or an address, in a form that each would run.
PROGRAMS = [
    "<script>window.broken=1</script>",
    "<img src=x onerror=window.broken=1>",
    '"><svg onload=window.broken=1>',
    "' onmouseover='window.broken=1",
    "</title><script>window.broken=1</script>",
    "</textarea><script>window.broken=1</script>",
    "javascript:window.broken=1",
    "{{constructor.constructor('window.broken=1')()}}",
    "${window.broken=1}",
    "<!--<script>window.broken=1//-->",
    "]]><script>window.broken=1</script>",
    "<iframe srcdoc='<script>parent.broken=1</script>'>",
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    demo = DemoServer(tmp_path_factory.mktemp("hostile"))
    plant = f"""
import json
from django.contrib.auth.models import User
from devices.models import Device, Location, Membership
first = Device.objects.first()
for number, text in enumerate(json.loads({json.dumps(json.dumps(PROGRAMS))})):
    place = Location.objects.create(name=text[:60])
    user = User.objects.create_user(text[:150], password="{"correct horse " * 2}", is_staff=True)
    Device.objects.create(name=text[:60], detail=text[:60], type=first.type, location=place, uid=f"planted-{{number}}")
"""
    demo.manage("shell", "-v0", "-c", plant)
    demo.start()
    yield demo
    demo.stop()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(PATIENCE)
    yield context.new_page()
    context.close()


def enter(page: Page, server: DemoServer, who: str = "operator") -> None:
    page.goto(server.url)
    page.fill("[name=username]", who)
    page.fill("[name=password]", server.passwords[who])
    page.keyboard.press("Enter")
    page.locator("marsh-pill", has_text="Live").wait_for()


def test_a_page_of_another_origin_gets_no_connection_with_our_cookie(
    browser: Browser, page: Page, server: DemoServer, tmp_path: Path
) -> None:
    """Another port of our own machine is the worst case: its page is of the same site, so the cookie comes along."""
    enter(page, server)
    (tmp_path / "index.html").write_text("<!doctype html><title>elsewhere</title>")
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *words: None})
    handler = functools.partial(quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        try:
            page.goto(f"http://127.0.0.1:{elsewhere.server_port}/")
            told = page.evaluate(
                """async (address) => {
                    const tried = {};
                    for (const path of ["ws", "data/websocket", "data/1/abc/websocket"]) {
                        tried[path] = await new Promise((resolve) => {
                            const socket = new WebSocket(address.replace("http", "ws") + path);
                            socket.onopen = () => resolve("open");
                            socket.onmessage = (event) => resolve(event.data);
                            socket.onclose = (event) => resolve(event.code);
                        });
                    }
                    const answer = await fetch(address + "healthz", {credentials: "include"}).catch(() => "refused");
                    return {tried, read: answer === "refused" ? answer : await answer.text()};
                }""",
                server.url,
            )
        finally:
            elsewhere.shutdown()
    assert set(told["tried"].values()) == {1006}, told
    assert told["read"] == "refused", "no answer is for pages of other origins to read"
    page.goto(server.url)
    page.locator("marsh-pill", has_text="Live").wait_for()


def test_names_that_are_programs_are_shown_and_do_nothing(page: Page, server: DemoServer) -> None:
    make = "User.objects.filter(username='operator').update(is_staff=True, is_superuser=True)"
    server.manage("shell", "-v0", "-c", f"from django.contrib.auth.models import User; {make}")
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    enter(page, server)
    for text in PROGRAMS:
        page.get_by_role("link", name=text[:60], exact=True).first.wait_for()
    untouched(page)
    # A toast, a title, a device's own page: wherever a name is said again.
    page.get_by_role("link", name=PROGRAMS[1][:60], exact=True).first.click()
    page.get_by_text(PROGRAMS[1][:60]).first.wait_for()
    untouched(page)
    for address in ("admin/devices/device/", "admin/devices/location/", "admin/auth/user/", "admin/"):
        page.goto(server.url + address)
        untouched(page)
    page.goto(server.url + "admin/devices/device/?q=%3Cscript%3Ewindow.broken%3D1%3C%2Fscript%3E")
    untouched(page)
    page.get_by_role("link", name=PROGRAMS[0][:60]).first.click()
    page.get_by_role("button", name="Save", exact=True).first.click()
    page.locator(".messagelist").wait_for()
    untouched(page)
    assert dialogs == []
    assert "window.broken" not in "".join(line for line in server.log.splitlines() if "Traceback" in line)


def untouched(page: Page) -> None:
    assert page.evaluate("window.broken") is None
    assert page.evaluate("document.querySelectorAll('script:not([src]):not([nonce]):not([type])').length") == 0
