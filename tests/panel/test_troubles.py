"""Real faults before a real browser: what the panel says meanwhile, when it says so and when no more; and that what it
calls live is what the database holds."""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import services
from tests.panel.grown import PROBE, RECORD, STAFF, Grown
from tests.panel.serving import DemoServer
from tests.panel.test_panel import Window
from tests.promise.installation import SCALE, until

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.e2e]

# Stated in docs/operations.md: a page says so within 4 s of the fault and takes it back within 3 s of its end.
SHOWN, CLEARED = 4.0, 3.0


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory, postgres: services.Postgres) -> Iterator[Grown]:
    found = Grown(tmp_path_factory.mktemp("troubles"), postgres)
    try:
        found.start()
        yield found
    finally:
        found.close()


class Observer(Window):
    """A window that tells how long it took to say something."""

    def record(self) -> None:
        self.switch(PROBE).wait_for()
        self.page.evaluate(RECORD, PROBE)

    def says(self, pill: str, since: float, limit: float, what: str) -> None:
        self.page.locator("marsh-pill .pill", has_text=re.compile(f"^{pill}")).wait_for(timeout=SCALE * limit * 1000)
        took = time.monotonic() - since
        print(f"{what}: {pill!r} after {took:.2f} s")
        assert took <= SCALE * limit, what

    def await_settled(self) -> None:
        self.page.locator("marsh-card", has_text=PROBE).locator(".card:not(.pend)").wait_for()

    @property
    def bar(self) -> str:
        return " ".join(self.page.locator("marsh-bar [role=status]").all_inner_texts())

    @property
    def stale(self) -> bool:
        card = self.page.locator("marsh-card", has_text=PROBE).locator(".card")
        return "stale" in (card.get_attribute("class") or "")

    def picture(self, name: str) -> None:
        chosen = os.environ.get("MARSHLIGHT_SCREENSHOTS")
        if chosen:
            self.page.screenshot(path=Path(chosen) / f"{name}.png")


@pytest.fixture(scope="module")
def windows(browser: Browser, grown: Grown) -> Iterator[tuple[Observer, Observer]]:
    """Staff, who see what is broken, and a viewer, who sees what it means."""
    size = {"width": 1560, "height": 980}
    made = [Observer(browser, grown.server, who, viewport=size) for who in ("staff", "viewer")]
    for window in made:
        window.record()
    yield made[0], made[1]
    for window in made:
        window.context.close()


@pytest.fixture
def truth(grown: Grown, windows: tuple[Observer, Observer]) -> Iterator[None]:
    """Every test begins well, and whatever it showed as live was true."""
    for window in windows:
        window.says("Live", time.monotonic(), 10.0, "the beginning")
    yield
    for window in windows:
        # What is committed in this moment may take the promised 2 s, and the server 2 s more to notice that it does.
        assert grown.lies(window.page, bound=SCALE * SHOWN) == []
        assert window.bar.strip() == ""


# What a panel that is wrong would show for a moment: another value than there is, or calling an old one live.
OTHER_VALUE = "toggle.setAttribute('aria-checked', String(toggle.getAttribute('aria-checked') !== 'true'))"
CALLED_LIVE = "pill.classList.add('good'); card.classList.remove('stale')"
CALLED_OLD = "pill.classList.remove('good'); card.classList.add('stale')"
WRONG = """async (name) => {
    const toggle = document.querySelector(`[role=switch][aria-label="${name}"]`);
    const card = toggle.closest(".card"), pill = document.querySelector("marsh-pill .pill");
    %s;
    await new Promise((resolve) => setTimeout(resolve, 300));
    %s;
}"""


def test_a_page_that_is_wrong_is_found_out(grown: Grown, windows: tuple[Observer, Observer]) -> None:
    page = windows[1].page
    windows[1].says("Live", time.monotonic(), 10.0, "the beginning")
    assert grown.lies(page, bound=0.5) == []
    page.evaluate(WRONG % (OTHER_VALUE, OTHER_VALUE), PROBE)
    assert grown.lies(page, bound=0.5)
    page.evaluate("record.length = 0")
    grown.stop_relay()
    grown.flip()
    windows[1].says("Delayed", time.monotonic(), SHOWN, "no relay")
    page.evaluate("record.length = 0")
    time.sleep(0.6)
    assert grown.lies(page, bound=0.5) == []
    page.evaluate(WRONG % (CALLED_LIVE, CALLED_OLD), PROBE)
    assert grown.lies(page, bound=0.5)
    grown.start_relay()
    windows[1].says("Live", time.monotonic(), 10.0, "the relay again")
    page.evaluate("record.length = 0")


@pytest.mark.usefixtures("truth")
def test_redis_that_stands_still_or_is_killed(grown: Grown, windows: tuple[Observer, Observer]) -> None:
    staff, viewer = windows
    for fault in (signal.SIGSTOP, signal.SIGKILL):
        grown.redis.process.send_signal(fault)
        began = time.monotonic()
        now = grown.flip()
        staff.says("Delayed", began, SHOWN, f"Redis {fault.name}, staff")
        viewer.says("Delayed", began, SHOWN, f"Redis {fault.name}, viewer")
        assert "Redis has not answered this server since" in staff.bar
        assert "Changes are delayed since" in viewer.bar and "Redis" not in viewer.bar
        assert staff.stale and viewer.stale
        # Obeyed, and the card does not pretend to know more.
        staff.switch(PROBE).click()
        until(lambda wish=now: grown.wanted() is wish, "the wish in the database")
        staff.page.get_by_text("Asked, no news yet").wait_for()
        staff.picture("delayed-light")
        if fault is signal.SIGSTOP:
            grown.redis.process.send_signal(signal.SIGCONT)
        else:
            grown.redis.process.wait()
            grown.redis.start()
        over = time.monotonic()
        for window in windows:
            window.says("Live", over, CLEARED, f"Redis back after {fault.name}")
            assert window.is_on(PROBE) is now
        staff.page.get_by_text("Asked, no news yet").wait_for(state="detached")
        grown.settle()
        for window in windows:
            window.await_settled()


@pytest.mark.usefixtures("truth")
def test_a_relay_that_stands_still_or_is_killed(grown: Grown, windows: tuple[Observer, Observer]) -> None:
    staff, viewer = windows
    assert grown.relay is not None
    for fault in (signal.SIGSTOP, signal.SIGKILL):
        grown.relay.send_signal(fault)
        began = time.monotonic()
        now = grown.flip()
        for window in windows:
            window.says("Delayed", began, SHOWN, f"relay {fault.name}")
        until(lambda: "Changes have waited to be published since" in staff.bar, "the journal's words")
        assert "Changes are delayed since" in viewer.bar and "relay" not in viewer.bar
        if fault is signal.SIGSTOP:
            grown.relay.send_signal(signal.SIGCONT)
        else:
            until(lambda: "No relay has been at work since" in staff.bar, "the relay's words")
            grown.relay.wait()
            grown.start_relay()
            until(lambda: grown.ask("SELECT count(*) FROM realtime_journal WHERE dirty") == 0, "the new relay")
        over = time.monotonic()
        for window in windows:
            window.says("Live", over, CLEARED, f"relay back after {fault.name}")
            assert window.is_on(PROBE) is now
        until(lambda: staff.bar.strip() == "", "an empty bar")


@pytest.mark.usefixtures("truth")
def test_a_database_that_stands_still_or_is_restarted(grown: Grown, windows: tuple[Observer, Observer]) -> None:
    staff, viewer = windows

    def look(began: float, what: str) -> None:
        for window in windows:
            window.says("Not saving", began, SHOWN, what)
            assert window.stale
        assert "The database has not answered since" in staff.bar
        assert "Nothing can be saved since" in viewer.bar and "database" not in viewer.bar
        assert staff.switch(PROBE).get_attribute("aria-disabled") == "true"
        assert staff.switch(PROBE).get_attribute("title") == "Nothing can be saved at the moment"
        staff.picture("not-saving-light")

    began = time.monotonic()
    with grown.frozen():
        look(began, "PostgreSQL frozen")
        over = time.monotonic()
    for window in windows:
        window.says("Live", over + 0.1, CLEARED, "PostgreSQL thawed")
    began = time.monotonic()
    grown.postgres.stop()
    look(began, "PostgreSQL stopped")
    grown.postgres.start()
    over = time.monotonic()
    now = grown.flip()
    for window in windows:
        window.says("Live", over, CLEARED, "PostgreSQL started")
        window.await_switch(PROBE, now)
    # The same server, the same page: a wish is obeyed again.
    staff.switch(PROBE).click()
    until(lambda: grown.wanted() is (not now), "the wish in the database")
    grown.settle()
    staff.await_settled()


# -- embedded ----------------------------------------------------------------------------------------------------------

LOOKS = {
    "dark": {"color_scheme": "dark", "viewport": {"width": 1560, "height": 980}},
    "phone": {
        "viewport": {"width": 390, "height": 844},
        "device_scale_factor": 2,
        "is_mobile": True,
        "has_touch": True,
    },
}


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    demo = DemoServer(tmp_path_factory.mktemp("embedded"))
    demo.manage("shell", "-v0", "-c", STAFF.format(password=demo.passwords["operator"]))
    demo.passwords["staff"] = demo.passwords["operator"]
    demo.start()
    yield demo
    demo.stop()


def query(server: DemoServer, sql: str, *values: object) -> object:
    path = server.directory / "db.sqlite3"
    with contextlib.closing(sqlite3.connect(path, timeout=20)) as link, link:
        row = link.execute(sql, values).fetchone()
    return row and row[0]


def is_wished(server: DemoServer) -> bool:
    return bool(query(server, "SELECT json_extract(desired, '$.on') FROM devices_device WHERE name = ?", PROBE))


@contextlib.contextmanager
def full_disk(server: DemoServer) -> Iterator[None]:
    """No file of the server may grow any more, as on a disk without room."""
    assert server.process is not None
    before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)


def test_a_full_disk_refuses_with_clear_words_and_recovers(browser: Browser, embedded: DemoServer) -> None:
    with contextlib.ExitStack() as stack:
        windows = {
            "staff": Observer(browser, embedded, "staff", **LOOKS["dark"]),
            "operator": Observer(browser, embedded, "operator", **LOOKS["phone"]),
        }
        for window in windows.values():
            stack.callback(window.context.close)
        staff, operator = windows.values()
        before = operator.is_on(PROBE)
        wished = is_wished(embedded)
        with full_disk(embedded):
            began = time.monotonic()
            operator.switch(PROBE).click()
            operator.page.get_by_text(f"{PROBE}: Nothing can be saved at the moment.").wait_for()
            for window in windows.values():
                window.says("Not saving", began, SHOWN, "disk full")
                # What cannot be changed is not old.
                assert window.is_on(PROBE) is before
                assert window.switch(PROBE).get_attribute("aria-disabled") == "true"
            assert "its disk is full or read-only" in staff.bar
            assert "What you see is true." in operator.bar and "disk" not in operator.bar
            assert is_wished(embedded) is wished
            staff.picture("full-dark")
            operator.picture("full-phone")
            assert operator.page.evaluate("document.documentElement.scrollWidth") == 390
            # The admin says the same.
            form = operator.context.request.post(f"{embedded.url}signin/", form={}, max_redirects=0)
            assert form.status in (403, 503)
        over = time.monotonic()
        for window in windows.values():
            window.says("Live", over, CLEARED, "room again")
        operator.switch(PROBE).click()
        for window in windows.values():
            window.await_switch(PROBE, not before)
        assert is_wished(embedded) is not before


def test_an_object_that_cannot_be_published_is_said_to_be_missing(browser: Browser, embedded: DemoServer) -> None:
    window = Observer(browser, embedded, "staff")
    name = "Compressor"
    reported = query(embedded, "SELECT reported FROM devices_device WHERE name = ?", name)
    # More than may ever wait for one client; what writes past the framework may do that.
    large = (
        "UPDATE devices_device SET reported = json_object('power', hex(zeroblob(700000))), enabled = 0 WHERE name = ?"
    )
    query(embedded, large, name)
    began = time.monotonic()
    window.says("Incomplete", began, 3 * SHOWN, "an object too large")
    assert "Some objects have been set aside since" in window.bar
    assert window.switch(PROBE).get_attribute("aria-disabled") == "false"
    query(embedded, "UPDATE devices_device SET reported = ?, enabled = 1 WHERE name = ?", reported, name)
    window.says("Live", time.monotonic(), 2 * CLEARED, "the object is repaired")
    window.page.get_by_role("link", name=name).wait_for()
    window.context.close()
