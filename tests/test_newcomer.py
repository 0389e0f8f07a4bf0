"""The newcomer's trial: a fresh clone, an empty HOME, and hardly a variable; then four kinds of screens, and every way
to change what they show.

`tests/test_run.py` says what `./run` itself promises; here everything that it started is looked at at once.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import services
from tests.clone import Clone, Started
from tests.realtime.serving import LIMIT, until
from tests.test_examples import Example, running

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.e2e, pytest.mark.timeout(400)]

# What a machine's administrator sets so that downloads work there at all; everything else is left out.
KEPT = ("PIP_", "NPM_CONFIG_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")

# Every device: its name, and whether it is on (null for those that only measure).
CARDS = """() => Object.fromEntries([...document.querySelectorAll("marsh-card")].map((card) => {
    const on = card.querySelector("[role=switch]")?.getAttribute("aria-checked");
    return [card.querySelector("h3").textContent.trim(), on === undefined ? null : on === "true"];
}))"""
ROWS = """() => Object.fromEntries([...document.querySelectorAll("#result_list tbody tr")].map((row) => {
    const on = row.querySelector(".field-is_on img").alt;
    return [row.querySelector(".field-name").textContent.trim(), on === "None" ? null : on === "True"];
}))"""
IN_DATABASE = (
    "SELECT name, CASE is_on WHEN true THEN 'True' WHEN false THEN 'False' ELSE 'None' END FROM devices_device"
)

Shown = dict[str, bool | None]


class Bare(Clone):
    """Its commands have an environment of next to nothing."""

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name.upper().startswith(KEPT)}
        places = [str(Path(sys.base_prefix) / "bin"), "/usr/local/bin", "/usr/bin", "/bin"]
        return {**kept, "HOME": str(self.home), "PATH": os.pathsep.join(places), **more}


@dataclass
class Trial:
    """What the newcomer has before them."""

    clone: Bare
    variables: dict[str, str]
    sql: list[str]
    started: Started
    a: Page
    b: Page
    admin: Page
    listener: Example

    def shell(self, program: str) -> None:
        self.run("manage", "shell", "-v0", "-c", f"from devices.models import *; {program}")

    def run(self, *words: str) -> str:
        done = self.clone.run(*words, **self.variables)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def execute(self, statement: str) -> str:
        """By the database's own program."""
        done = subprocess.run([*self.sql, statement], capture_output=True, text=True, timeout=LIMIT, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def screens(self) -> dict[str, Shown]:
        self.admin.goto(f"{self.started.url}/admin/devices/device/")
        words = {"True": True, "False": False, "None": None}
        rows = (line.split("|") for line in self.execute(IN_DATABASE).splitlines())
        return {
            "A": self.a.evaluate(CARDS),
            "B": self.b.evaluate(CARDS),
            "admin": self.admin.evaluate(ROWS),
            "client": {device["name"]: device["is_on"] for device in self.listener.objects().values()},
            "database": {name: words[on] for name, on in rows},
        }

    def await_equal(self, name: str, on: bool) -> None:
        """Every screen shows the device so, and all of them the same of every other one."""
        last: dict[str, Shown] = {}

        def equal() -> bool:
            last.update(self.screens())
            return last["database"].get(name) is on and all(shown == last["database"] for shown in last.values())

        try:
            until(equal)
        except AssertionError:
            differing = {
                screen: dict(set(shown.items()) ^ set(last["database"].items())) for screen, shown in last.items()
            }
            raise AssertionError(f"{name} should be {on} everywhere; unlike the database: {differing}") from None
        assert len(last["database"]) == 15


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Bare:
    found = Bare.make(tmp_path_factory.mktemp("newcomer"))
    assert isinstance(found, Bare)
    return found


@pytest.fixture(params=["sqlite3", "psql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[dict[str, str], list[str]]:
    """Variables that choose the database, and the program that speaks to it."""
    if request.param == "sqlite3":
        program = services.program("sqlite3", "sqlite3")
        return {}, [program, "-cmd", ".timeout 10000", str(tmp_path / "data" / "db.sqlite3")]
    server: services.Postgres = request.getfixturevalue("postgres")
    psql = [services.program("psql", "postgresql-client"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-d"]
    name = f"newcomer_{os.getpid()}"
    subprocess.run([*psql, server.url, "-c", f"CREATE DATABASE {name}"], check=True)
    # Somebody who knows nothing of the journal, and may do nothing with it.
    role = "DROP ROLE IF EXISTS colleague; CREATE ROLE colleague LOGIN"
    subprocess.run([*psql, server.url, "-c", role], check=True)
    url = f"{server.url.rpartition('/')[0]}/{name}"
    return {"DATABASE_URL": url}, [*psql, url.replace("marshlight@", "colleague@"), "-c"]


@pytest.fixture
def trial(clone: Bare, place: tuple[dict[str, str], list[str]], browser: Browser, tmp_path: Path) -> Iterator[Trial]:
    variables, sql = place
    data = tmp_path / "data"
    variables["MARSHLIGHT_DATA"] = str(data)
    with clone.started(data, "--port", str(services.free_port()), **variables) as started:
        if "DATABASE_URL" in variables:
            psql = [*sql[:-2], variables["DATABASE_URL"], "-c"]
            subprocess.run([*psql, "GRANT SELECT, UPDATE ON devices_device TO colleague"], check=True)
        contexts = [browser.new_context() for _ in range(3)]
        pages = [context.new_page() for context in contexts]
        for page, words in zip(pages[:2], ([], ["--user", "operator"]), strict=True):
            made = clone.run("link", *words, **variables) if words else None
            page.goto(made.stdout.strip() if made else started.words["link"])
            page.locator("marsh-pill", has_text="Live").wait_for()
        admin = pages[2]
        admin.goto(f"{started.url}/admin/")
        admin.fill("[name=username]", started.words["user"])
        admin.fill("[name=password]", Path(started.words["password_file"]).read_text().strip())
        admin.keyboard.press("Enter")
        admin.get_by_role("link", name="Devices", exact=True).first.wait_for()
        token = clone.run("manage", "token", "create", "operator", **variables).stdout.split()[-1]
        with running(int(started.url.rpartition(":")[2]), token, "listen.py") as listener:
            yield Trial(clone, variables, sql, started, *pages, listener)
        for context in contexts:
            context.close()


def test_all_screens_are_equal_after_whoever_changed_something(trial: Trial) -> None:
    assert trial.started.seconds - trial.started.installs() < 30
    before = trial.screens()["database"]
    name, on = "Exhaust fan", bool(before["Exhaust fan"])
    trial.await_equal(name, on)

    for page in (trial.a, trial.b):
        on = not on
        page.get_by_role("switch", name=name, exact=True).click()
        trial.await_equal(name, on)

    trial.admin.get_by_role("link", name="Drip pump").click()
    trial.admin.fill("[name=name]", "Pump of the admin")
    trial.admin.get_by_role("button", name="Save", exact=True).click()
    trial.await_equal("Pump of the admin", bool(before["Drip pump"]))

    trial.shell("Device.objects.filter(name='Pump of the admin').update(name='Pump of the shell')")
    trial.await_equal("Pump of the shell", bool(before["Drip pump"]))

    trial.execute("UPDATE devices_device SET name = 'Pump of SQL' WHERE name = 'Pump of the shell'")
    trial.await_equal("Pump of SQL", bool(before["Drip pump"]))

    # A wish in the database is one like any other: the device obeys it.
    wanted = not before["Drip pump"]
    wish = json.dumps({"on": wanted})
    trial.execute(f"UPDATE devices_device SET desired = '{wish}' WHERE name = 'Pump of SQL'")
    trial.await_equal("Pump of SQL", wanted)

    assert not [line for line in trial.started.text.splitlines() if re.search("Traceback|ERROR|WARNING", line)]
