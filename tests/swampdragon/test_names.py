"""The page about coming from SwampDragon tells of every public name that its last release has."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.swampdragon.release import files

PAGE = (Path(__file__).parents[2] / "docs" / "coming-from-swampdragon.md").read_text(encoding="utf-8")
# In code, as a reader would search for it; of `a.b.c` each part counts, and what stands in a listing does not.
PROSE = re.sub(r"^```.*?^```", "", PAGE, flags=re.MULTILINE | re.DOTALL)
TOLD = {word for code in re.findall(r"`([^`\n]+)`", PROSE) for word in re.findall(r"\w+", code)}
# Templates of new projects, and what other people wrote.
NOT_THEIRS = ("app_templates/", "static/swampdragon/js/tests/", "static/swampdragon/js/vendor/")

# Classes that an application inherits from or holds, so that their methods are names of the package too.
HELD = {
    "SelfPublishModel", "ModelSerializer", "Serializer", "BaseRouter", "BaseModelRouter", "BaseModelPublisherRouter",
    "ModelRouter", "ModelPubRouter", "SubscriberConnection", "DjangoSubscriberConnection", "HttpDataConnection",
    "BaseSessionStore", "TestConnection", "DragonTestCase", "RoutePermission", "LoginRequired",
}  # fmt: skip


def public(path: str, text: str) -> Iterator[str]:
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            yield node.name
        if isinstance(node, ast.ClassDef) and node.name in HELD:
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef) and not inner.name.startswith("_"):
                    yield inner.name


def modules() -> list[str]:
    return sorted(name for name in files() if name.endswith(".py") and not name.startswith(NOT_THEIRS))


@pytest.fixture(scope="module", params=["python", "javascript", "settings"])
def names(request: pytest.FixtureRequest) -> set[str]:
    found = files()
    if request.param == "python":
        return {name for path in modules() for name in public(path, found[path])}
    if request.param == "settings":
        return {
            name for path in modules() for name in re.findall(r"\b(?:SWAMP_?DRAGON|DRAGON|SOCKJS)_\w+", found[path])
        }
    script = found["static/swampdragon/js/dist/swampdragon.js"]
    mapper = found["static/swampdragon/js/dist/datamapper.js"]
    return set(re.findall(r"\bswampdragon\.(\w+) = function", script)) | set(re.findall(r"\bthis\.(map\w+) =", mapper))


def test_every_public_name_is_told_of(names: set[str]) -> None:
    assert len(names) > 5, "the release was read"
    assert sorted(names - TOLD) == []
