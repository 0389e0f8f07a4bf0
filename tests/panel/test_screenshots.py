"""Pictures of the panel in every state, from a running server: pending, failed, offline, in light, dark and on a phone.

    MARSHLIGHT_SCREENSHOTS=docs/screenshots .venv/bin/pytest tests/panel/test_screenshots.py

puts them where the documentation shows them; otherwise they are taken, judged and thrown away.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.panel.serving import DemoServer
from tests.panel.test_panel import PATIENCE, Window

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

# Whoever looks must find these states: one device that never answers, one that always refuses.
CONFIGURE = """
from devices.models import Device
for name, config in {"Drip pump": {"silent": 1}, "Vent window": {"refuse": 1, "delay": 0.1}}.items():
    Device.objects.filter(name=name).update(vendor_config=config)
"""
LOOKS = {
    "light": {"color_scheme": "light", "viewport": {"width": 1560, "height": 980}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1560, "height": 980}},
    "phone": {
        "color_scheme": "light",
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
    },
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    demo = DemoServer(tmp_path_factory.mktemp("screenshots"))
    demo.manage("shell", "-v0", "-c", CONFIGURE)
    demo.start()
    yield demo
    demo.stop()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    chosen = os.environ.get("MARSHLIGHT_SCREENSHOTS")
    directory = Path(chosen) if chosen else tmp_path
    directory.mkdir(parents=True, exist_ok=True)
    return directory


@pytest.mark.parametrize("look", LOOKS)
def test_the_grid_shows_what_is_pending_failed_and_offline(
    browser: "Browser", server: DemoServer, pictures: Path, look: str
) -> None:
    window = Window(browser, server, "operator", **LOOKS[look])
    page = window.page
    card = {name: page.locator("marsh-card", has_text=name) for name in ("Drip pump", "Vent window", "CNC controller")}
    window.switch("Vent window").click()
    card["Vent window"].get_by_text("Retry").wait_for()
    # A wish ends after 10 s; the one of an earlier look must be over before a new one can be asked for.
    page.locator('[role=switch][aria-label="Drip pump"][aria-busy=false]').wait_for(timeout=PATIENCE)
    window.switch("Drip pump").click()
    page.locator('[role=switch][aria-label="Drip pump"][aria-busy=true]').wait_for()
    # Seconds are counted on the card, for everybody who looks.
    card["Drip pump"].get_by_text(re.compile(r"Turning on.*[1-9]\.\d s")).wait_for()
    card["CNC controller"].get_by_text("Offline").wait_for()
    assert window.switch("CNC controller").is_disabled()
    page.evaluate("window.scrollTo(0, 0)")
    page.screenshot(path=pictures / f"devices-{look}.png")
    assert page.locator('[role=switch][aria-label="Drip pump"][aria-busy=true]').count() == 1
    assert window.errors == []
    window.context.close()


def test_a_device_has_a_page_of_its_own(browser: "Browser", server: DemoServer, pictures: Path) -> None:
    window = Window(browser, server, "operator", **LOOKS["light"])
    window.page.get_by_role("link", name="Exhaust fan").click()
    window.page.get_by_role("heading", name="History").wait_for()
    window.page.screenshot(path=pictures / "device-light.png")
    assert window.errors == []
    window.context.close()


def test_a_window_without_its_server_says_so(browser: "Browser", server: DemoServer, pictures: Path) -> None:
    window = Window(browser, server, "operator", **LOOKS["light"])
    server.stop()
    window.await_pill("Offline")
    window.page.get_by_text("Trying again").wait_for()
    window.page.screenshot(path=pictures / "offline-light.png")
    window.context.close()
    server.start()
