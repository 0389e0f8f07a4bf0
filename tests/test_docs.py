"""What the documentation says is so: every setting, verb, code and check stands there, every link leads somewhere, and
what is shown as a program runs.

Blocks of Markdown are marked by a comment before them: `<!-- file: path -->` and `<!-- append: path -->` build the
quickstart's project, `<!-- run -->` are its commands, `<!-- shell -->` is typed into its shell.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO, Any, TypeVar

import pytest
from django.core.management import get_commands

import realtime
from devices.settings import PREFIX as DEVICES
from devices.settings import Settings as DevicesSettings
from realtime import errors, permissions, registry, routers, serializers, testing
from realtime.limits import Limits
from realtime.permissions import RoutePermission
from realtime.routers import BaseRouter, ModelRouter
from realtime.serializers import ModelSerializer
from realtime.settings import PREFIX, Default, Settings
from realtime.testing import Changes, TestConnection
from tests.realtime.serving import until
from tests.services import free_port

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
OWN_APPS = ("realtime", "devices", "project")


@dataclass(frozen=True)
class Block:
    page: Path
    mark: str
    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    mark = ""
    parts = re.split(r"^```(\w*)\n(.*?)^```$", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for prose, language, text in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        found = re.search(r"<!-- ([^>]*) -->\s*\Z", prose)
        mark = found[1] if found else ""
        yield Block(page, mark, language, text)


def prose(page: Path) -> str:
    """The page without its code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def section(heading: str, page: Path = ROOT / "docs" / "reference.md") -> str:
    """What stands under a heading, up to the next one of its rank."""
    found = re.search(rf"^(#+) {re.escape(heading)}\n(.*?)(?=^\1 |\Z)", page.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page.name} has no section {heading}"
    return found[2]


def rows(text: str) -> dict[str, str]:
    """The rows of all tables, by what stands in backticks in their first cell."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        if (cells := re.match(r"\| ((?:`[^`]+`[ ,·]*)+)", line)) is not None:
            found |= dict.fromkeys(re.findall(r"`([^`]+)`", cells[1]), line)
    return found


# -- names -------------------------------------------------------------------------------------------------------


def settings_and_defaults() -> dict[str, Any]:
    found = {PREFIX + name: value.value for name, value in vars(Settings).items() if isinstance(value, Default)}
    found |= {PREFIX + field.name.upper(): field.default for field in fields(Limits)}
    return found | {DEVICES + name: getattr(DevicesSettings, name) for name in DevicesSettings.__annotations__}


@pytest.mark.parametrize(("name", "default"), settings_and_defaults().items())
def test_every_setting_is_documented_with_its_default(name: str, default: Any) -> None:
    told = rows(section("Settings"))[name].split("|")[2].strip()
    assert told == f"`{default!r}`", f"the default of {name} is {default!r}"


def test_no_setting_is_documented_that_does_not_exist() -> None:
    assert rows(section("Settings")).keys() == settings_and_defaults().keys()


def surroundings() -> set[str]:
    names = re.findall(r'os\.environ\.get\("(\w+)"', (ROOT / "project" / "settings.py").read_text())
    assert names
    return set(names)


@pytest.mark.parametrize("name", sorted(surroundings()))
def test_every_variable_of_the_surroundings_is_documented(name: str) -> None:
    assert name in rows(section("Surroundings"))


def routes_of_the_panel() -> dict[str, type[Any]]:
    return {name: router for name, router in registry.routes.items() if router.__module__.startswith("devices")}


def test_every_route_and_its_verbs_are_documented() -> None:
    assert routes_of_the_panel()
    for name, router in routes_of_the_panel().items():
        told = set(re.findall(r"`(\w+)`", rows(section("Routes of the panel"))[name].split("|")[2]))
        assert told == router.verbs(), f"the verbs of {name} are {', '.join(sorted(router.verbs()))}"


def test_every_verb_is_documented() -> None:
    answered = set(re.findall(r'case "(\w+)":', (ROOT / "realtime" / "calls.py").read_text()))
    assert answered
    assert rows(section("Verbs")).keys() == {*BaseRouter.valid_verbs, *answered}


def error_classes(of: type[errors.RealtimeError] = errors.RealtimeError) -> Iterator[type[errors.RealtimeError]]:
    for cls in of.__subclasses__():
        if cls.__module__ == errors.__name__:
            yield cls
            yield from error_classes(cls)


@pytest.mark.parametrize("error", sorted({(cls.code, cls.temporary) for cls in error_classes()}))
def test_every_error_code_is_documented(error: tuple[str, bool]) -> None:
    code, temporary = error
    for page in ("reference.md", "wire.md"):
        told = rows(section("Errors", ROOT / "docs" / page))[code].split("|")[2].strip()
        assert told == ("yes" if temporary else "no")


@pytest.mark.parametrize("code", errors.CloseCode)
def test_every_close_code_is_documented(code: errors.CloseCode) -> None:
    for page in ("reference.md", "wire.md"):
        text = section("Close codes", ROOT / "docs" / page)
        (row,) = re.findall(rf"^\| {int(code)} \|.*$", text, re.MULTILINE)
        assert row.split("|")[2].strip() == ("yes" if code.may_reconnect else "no")


def own_commands() -> list[str]:
    return sorted(name for name, app in get_commands().items() if app in OWN_APPS)


@pytest.mark.parametrize("name", own_commands())
def test_every_management_command_is_documented(name: str) -> None:
    assert name in {told.split()[0] for told in rows(section("Commands"))}


def check_ids() -> list[str]:
    found: set[str] = set()
    for app in OWN_APPS:
        for source in (ROOT / app).rglob("*.py"):
            found |= set(re.findall(rf'"({app}\.[EW]\d{{3}})"', source.read_text()))
    return sorted(found)


def test_every_check_is_documented_and_no_other() -> None:
    assert rows(section("Checks")).keys() == set(check_ids())


PUBLIC = {
    "Routers": (BaseRouter, ModelRouter),
    "Serializers": (ModelSerializer,),
    "Testing": (TestConnection, Changes),
    "Permissions": (RoutePermission,),
}


@pytest.mark.parametrize(("heading", "cls"), [(heading, cls) for heading, classes in PUBLIC.items() for cls in classes])
def test_every_public_name_of_an_apps_classes_is_documented(heading: str, cls: type[Any]) -> None:
    verbs = rows(section("Verbs"))
    text = section(heading)
    inherited = {name for base in cls.__mro__[1:] if not base.__module__.startswith("realtime") for name in dir(base)}
    names = [name for name in dir(cls) if not name.startswith("_") and name not in inherited and name not in verbs]
    assert [name for name in names if not re.search(rf"`[^`]*\b{name}\b", text)] == []


@pytest.mark.parametrize("module", [permissions, routers, serializers, testing, realtime])
def test_every_public_name_of_the_modules_for_apps_is_documented(module: Any) -> None:
    names = getattr(module, "__all__", None) or [
        name for name, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__
    ]
    public = [name for name in names if not name.startswith("_") and not isinstance(getattr(module, name), TypeVar)]
    text = (ROOT / "docs" / "reference.md").read_text()
    assert [name for name in public if not re.search(rf"`[^`\n]*\b{name}\b", text)] == []


def client_names() -> list[str]:
    source = (ROOT / "frontend" / "client.js").read_text()
    body = source[source.index("export class Client") :]
    return sorted(set(re.findall(r"^  (?:async |get )?([a-z]\w*)\(", body, re.MULTILINE)) - {"constructor"})


@pytest.mark.parametrize("name", client_names())
def test_every_public_name_of_the_javascript_client_is_documented(name: str) -> None:
    assert re.search(rf"`client\.{name}\b", section("JavaScript client"))


# -- links and commands ------------------------------------------------------------------------------------------


def anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower().replace("`", "")).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {anchor(found) for found in re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    wrong = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"\w+:", target):
            continue
        path, _, part = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        if not found.exists() or (part and part not in anchors(found)):
            wrong.append(target)
    assert not wrong


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_is_told_exists(page: Path) -> None:
    text = page.read_text()
    told = re.findall(r"(?:manage\.py|\./run manage) ([a-z]\w+)", text)
    assert set(told) <= get_commands().keys()
    code = "\n".join(re.findall(r"`[^`\n]*`|^    .*$|^\./run.*$", text, re.MULTILINE))
    usage = subprocess.run([str(ROOT / "run"), "--help"], capture_output=True, text=True, check=True).stdout
    for line in re.findall(r"\./run ([^`#\n]*)", code):
        words = line.split()
        options = [word for word in words if word.startswith("-") and words[0] != "manage"]
        assert all(f" {word}" in usage or f"[{word}" in usage for word in [*words[:1], *options]), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_is_python(page: Path) -> None:
    for block in blocks(page):
        if block.language == "python":
            compile(block.text, f"{page.name}", "exec")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_javascript_block_is_javascript(page: Path, tmp_path: Path) -> None:
    files = []
    for number, block in enumerate(block for block in blocks(page) if block.language == "js"):
        files.append(tmp_path / f"{number}.mjs")
        files[-1].write_text(block.text)
    for file in files:
        done = subprocess.run(["node", "--check", str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def exists(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    try:
        return importlib.import_module(name) is not None
    except ModuleNotFoundError:
        module, _, attribute = name.rpartition(".")
        return bool(module) and hasattr(importlib.import_module(module), attribute)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_name_that_is_told_exists(page: Path) -> None:
    told = set(re.findall(r"`(realtime(?:\.(?![EW]\d)[A-Za-z_]\w*)+)", page.read_text()))
    assert [name for name in told if not exists(name)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_told_exists(page: Path) -> None:
    text = prose(page)
    for path in re.findall(r"`((?:docs|tests|frontend|supervisor|requirements|devices|realtime)/[\w./-]*)`", text):
        assert (ROOT / path).exists(), path
    for name in re.findall(r"`(test_\w+)`", text):
        assert name in ("test_permission", "test_mode") or list((ROOT / "tests").rglob(f"{name}.py")), name


# -- the quickstart ----------------------------------------------------------------------------------------------


@dataclass
class Project:
    """The quickstart's project, made from the page."""

    folder: Path
    port: int

    def run(self, *words: str, text: str | None = None) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env=self.environment(),
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def environment(self) -> dict[str, str]:
        left_out = ("DJANGO_SETTINGS_MODULE", "DATABASE_URL", "REDIS_URL", "MARSHLIGHT_DATA", "MARSHLIGHT_URL")
        kept = {name: value for name, value in os.environ.items() if name not in left_out}
        return {**kept, "PYTHONPATH": str(ROOT)}

    @contextlib.contextmanager
    def serving(self) -> Iterator[subprocess.Popen[bytes]]:
        output = self.folder.with_name("output")
        words = (sys.executable, "manage.py", "serve", "--port", str(self.port))
        with output.open("wb") as sink, started(self, sink, *words) as server:

            def answers() -> bool:
                assert server.poll() is None, output.read_text()
                try:
                    socket.create_connection(("127.0.0.1", self.port), 5).close()
                except OSError:
                    return False
                return True

            until(answers, "the server's start")
            yield server

    @contextlib.contextmanager
    def following(self, page: list[Block]) -> Iterator[list[Path]]:
        """A server, and the page's clients beside it; what each of them prints goes to a file."""
        make = "from django.contrib.auth.models import User; User.objects.create_user('operator')"
        self.run("manage.py", "shell", "-c", make)
        token = self.run("manage.py", "token", "create", "operator").strip()
        words = [f"ws://127.0.0.1:{self.port}/ws", token, "task"]
        programs = {"python": sys.executable, "js": "node"}
        (self.folder.parent / "node_modules").symlink_to(ROOT / "node_modules")
        heard = []
        with self.serving(), contextlib.ExitStack() as stack:
            for block in page:
                kind, _, name = block.mark.partition(": ")
                if kind != "client":
                    continue
                file = self.folder.parent / name
                file.write_text(block.text)
                lines = file.with_suffix(".heard")
                sink = stack.enter_context(lines.open("wb"))
                stack.enter_context(started(self, sink, programs[block.language], str(file), *words))
                until(lambda lines=lines: "Sow" in lines.read_text(), f"the snapshot in {name}")
                heard.append(lines)
            assert heard
            yield heard

    def follow(self, block: Block) -> None:
        kind, _, path = block.mark.partition(": ")
        file = self.folder / path
        match kind:
            case "file":
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(block.text)
            case "append":
                file.write_text(f"{file.read_text()}\n{block.text}")
            case "run":
                for line in block.text.splitlines():
                    words = line.split()
                    assert words[0] == "python"
                    self.run(*words[1:])


@contextlib.contextmanager
def started(project: Project, sink: IO[bytes], *words: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        words, cwd=project.folder, env=project.environment(), stdout=sink, stderr=subprocess.STDOUT
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def built(place: Path, *pages: str) -> Project:
    """The project as it is after a reader has followed these pages."""
    (place / "marshlight").symlink_to(ROOT)
    project = Project(place / "shop", free_port())
    project.folder.mkdir()
    for page in pages:
        for block in blocks(ROOT / "docs" / page):
            project.follow(block)
    # Not 8000, on which the reader's own server may run.
    with (project.folder / "shop" / "settings.py").open("a") as settings:
        settings.write(f'MARSHLIGHT_URL = "http://127.0.0.1:{project.port}"\n')
    return project


@pytest.mark.e2e
@pytest.mark.browser
def test_the_quickstart_does_what_it_says(tmp_path: Path, browser: Any) -> None:
    quickstart = built(tmp_path, "quickstart.md")
    (shell,) = (block for block in blocks(ROOT / "docs" / "quickstart.md") if block.mark == "shell")
    make = "from django.contrib.auth.models import User; User.objects.create_superuser('boss', password='boss')"
    quickstart.run("manage.py", "shell", "-c", make)
    with (
        quickstart.serving(),
        contextlib.closing(browser.new_context(base_url=f"http://127.0.0.1:{quickstart.port}")) as context,
    ):
        first, second = context.new_page(), context.new_page()
        first.goto("/admin/login/?next=/tasks/")
        first.fill("[name=username]", "boss")
        first.fill("[name=password]", "boss")
        first.click("[type=submit]")
        second.goto("/tasks/")
        for page in (first, second):
            page.wait_for_function("document.getElementById('status').textContent === 'live'")
        first.fill("[name=title]", "Sow")
        first.click("button")
        second.wait_for_selector("text=☐ Sow")
        quickstart.run("manage.py", "shell", text=shell.text)
        for page in (first, second):
            page.wait_for_selector("text=☑ Water the basil")
            page.wait_for_selector("text=☑ Sow")
        second.click("text=Sow")
        first.wait_for_selector("text=☐ Sow")


@pytest.mark.e2e
def test_the_how_to_does_what_it_says(tmp_path: Path) -> None:
    project = built(tmp_path, "quickstart.md")
    page = list(blocks(ROOT / "docs" / "how-to.md"))
    last = [block for block in page if block.mark == "run"][-1]
    (shell,) = (block for block in page if block.mark == "shell")
    for block in page:
        if block is not last:
            project.follow(block)
    project.run("manage.py", "shell", text=shell.text)
    make = "from tasks.models import Task; Task.objects.create(title='{}')"
    project.run("manage.py", "shell", "-c", make.format("Sow"))
    with project.following(page) as heard:
        project.run("manage.py", "shell", "-c", make.format("Dig"))
        for lines in heard:
            until(lambda lines=lines: "Dig" in lines.read_text(), f"a change in {lines.name}")
    project.follow(last)
    with sqlite3.connect(project.folder / "db.sqlite3") as database:
        assert database.execute("SELECT count(*) FROM sqlite_master WHERE type = 'trigger'").fetchone() == (0,)
        assert database.execute("UPDATE shopping_item SET bought = 1").rowcount == 5
