"""A small application as SwampDragon's users wrote them, ported as docs/coming-from-swampdragon.md says.

The difference of `ported/before` and `ported/after` stands on that page; here the latter runs, with SwampDragon's own
client and with ours."""

from __future__ import annotations

import contextlib
import difflib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.realtime.serving import until
from tests.services import free_port
from tests.swampdragon.release import files
from tests.test_docs import Project, blocks

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parents[2]
BEFORE, AFTER = Path(__file__).parent / "ported" / "before", Path(__file__).parent / "ported" / "after"
SCRIPTS = "static/swampdragon/js/dist/"

URLS = """
from django.views.generic import TemplateView
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
urlpatterns += [path("", TemplateView.as_view(template_name="pantry/page.html"))]
urlpatterns += staticfiles_urlpatterns()
"""


def difference() -> str:
    """Lines that went and came, file by file, without those that stayed."""
    names = {path.relative_to(BEFORE).as_posix().removesuffix(".txt") for path in BEFORE.rglob("*.txt")}
    found = []
    for name in sorted(names):
        old = (BEFORE / f"{name}.txt").read_text().splitlines()
        new = (AFTER / name).read_text().splitlines() if (AFTER / name).exists() else []
        lines = [
            line for line in difflib.unified_diff(old, new, n=0, lineterm="") if not line.startswith(("---", "+++"))
        ]
        found += [f"# {name}", *(line for line in lines if not line.startswith("@@") and line[1:].strip())]
    return "\n".join(found) + "\n"


def test_the_page_shows_the_whole_difference() -> None:
    shown = [block.text for block in blocks(ROOT / "docs" / "coming-from-swampdragon.md") if block.language == "diff"]
    assert shown == [difference()]


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    place = tmp_path_factory.mktemp("ported")
    project = Project(place / "kitchen", free_port())
    project.folder.mkdir()
    project.run("-m", "django", "startproject", "kitchen", ".")
    project.run("manage.py", "startapp", "pantry")
    settings = project.folder / "kitchen" / "settings.py"
    told = settings.read_text() + (AFTER / "kitchen" / "settings.py").read_text()
    shutil.copytree(AFTER, project.folder, dirs_exist_ok=True)
    told += f'MARSHLIGHT_URL = "http://127.0.0.1:{project.port}"\nALLOWED_HOSTS = ["127.0.0.1"]\n'
    settings.write_text(told + f'STATICFILES_DIRS = [("frontend", {str(ROOT / "frontend")!r})]\n')
    urls = project.folder / "kitchen" / "urls.py"
    urls.write_text(urls.read_text() + URLS)
    own = project.folder / "pantry" / "static" / "swampdragon" / "js" / "dist"
    own.mkdir(parents=True)
    for name in ("swampdragon.js", "datamapper.js"):
        (own / name).write_text(files()[SCRIPTS + name])
    project.run("manage.py", "makemigrations", "pantry")
    project.run("manage.py", "migrate")
    project.run("manage.py", "check", "--fail-level", "WARNING")
    make = "from django.contrib.auth.models import User; User.objects.create_superuser('cook', password='cook')"
    project.run("manage.py", "shell", "-c", make)
    with project.serving():
        yield project


@pytest.fixture
def page(browser: Browser, kitchen: Project) -> Iterator[Page]:
    with contextlib.closing(browser.new_context(base_url=f"http://127.0.0.1:{kitchen.port}")) as context:
        found = context.new_page()
        errors: list[str] = []
        found.on("pageerror", lambda error: errors.append(str(error)))
        found.goto("/admin/login/?next=/admin/")
        found.fill("[name=username]", "cook")
        found.fill("[name=password]", "cook")
        found.click("[type=submit]")
        found.goto("/")
        yield found
        assert errors == []


def do(kitchen: Project, lines: str) -> None:
    """As somebody at the shell would write it."""
    kitchen.run("manage.py", "shell", "-c", f"from pantry.models import Jar, Shelf; {lines}")


def shown(page: Page) -> list[str]:
    return sorted(page.locator("#jars li").all_inner_texts())


def ask(page: Page, verb: str, route: str, **args: Any) -> Any:
    """What the old client is answered."""
    page.evaluate("([verb, route, args]) => { delete answers[verb]; ask(verb, route, args); }", [verb, route, args])
    page.wait_for_function("(verb) => verb in answers", arg=verb)
    return page.evaluate("(verb) => answers[verb]", verb)


@pytest.mark.browser
@pytest.mark.e2e
def test_the_ported_application_lives_with_its_old_client_and_with_ours(kitchen: Project, page: Page) -> None:
    page.wait_for_function("mapper !== null")
    do(
        kitchen,
        "s = Shelf.objects.create(name='top'); Jar.objects.create(shelf=s, label='plum', grams=340, bought_for='us')",
    )
    until(lambda: shown(page) == ["plum: 340 g"], "the created jar")
    do(
        kitchen,
        "Jar.objects.bulk_create([Jar(shelf_id=1, label='salt', grams=90), Jar(shelf_id=1, label='rice', grams=900)])",
    )
    until(lambda: shown(page) == ["plum: 340 g", "rice: 900 g"], "those of the filter")
    do(kitchen, "Jar.objects.filter(label='plum').update(grams=50, opened=True)")
    until(lambda: shown(page) == ["rice: 900 g"], "the one that left the filter")
    assert ask(page, "update", "jar", id=1, grams=150)["grams"] == 150
    until(lambda: shown(page) == ["plum: 150 g, opened", "rice: 900 g"], "the one that came back")
    assert ask(page, "update", "jar", id=1, grams=-1) == {"grams": ["A jar weighs something."]}
    assert ask(page, "ounces", "scale", grams=100) == {"ounces": 3.53}
    made = ask(page, "create", "jar", label="oats", grams=500, shelf=1)
    until(lambda: "oats: 500 g" in shown(page), "one's own")
    assert "bought_for" not in json.dumps([made, page.evaluate("jars")])

    told = page.evaluate(
        """async () => {
            const { connect } = await import("/static/frontend/client.js");
            window.client = connect({ url: `${location.origin.replace("http", "ws")}/ws` });
            window.ours = client.collection("jar", { grams__gte: 100 });
            await new Promise((resolve) => ours.subscribe((all) => { window.latest = [...all.values()]; resolve(); }));
            return (await client.call("scale", "ounces", { grams: 100 })).ounces;
        }"""
    )
    assert told == 3.53
    do(kitchen, "Jar.objects.filter(label='oats').delete(); Jar.objects.update(opened=True)")
    whole = ["plum: 150 g, opened", "rice: 900 g, opened"]
    until(lambda: shown(page) == whole, "the old client's page")
    until(
        lambda: (
            page.evaluate("latest.map((j) => `${j.label}: ${j.grams} g${j.opened ? ', opened' : ''}`).sort()") == whole
        ),
        "the same with client.js",
    )
