"""Front-end packages come by the lock file, once, with the Node that is here or the one PyPI carries."""

import json
from pathlib import Path

import pytest

from project import node, progress


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "package-lock.json").write_text(json.dumps({"lockfileVersion": 3}))
    return tmp_path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, project: Path) -> list[list[str]]:
    """npm's words, each time it would run; it makes the directory as npm does."""
    seen: list[list[str]] = []

    def run(title: str, attempt: str, words: list[str], directory: Path, environment: object) -> None:
        seen.append([word for word in words if not word.startswith("/")])
        (directory / "node_modules").mkdir(exist_ok=True)

    monkeypatch.setattr(progress, "command", run)
    return seen


def test_an_unchanged_lock_installs_nothing(project: Path, asked: list[list[str]]) -> None:
    node.packages(project)
    node.packages(project)
    assert len(asked) == 1
    assert "--omit=dev" in asked[0] and "--ignore-scripts" in asked[0]


def test_tests_need_more_and_their_packages_serve_the_panel_too(project: Path, asked: list[list[str]]) -> None:
    node.packages(project)
    node.packages(project, tests=True)
    node.packages(project)
    assert ["--omit=dev" in words for words in asked] == [True, False]


def test_a_changed_lock_installs_again(project: Path, asked: list[list[str]]) -> None:
    node.packages(project)
    (project / "package-lock.json").write_text(json.dumps({"lockfileVersion": 4}))
    node.packages(project)
    assert len(asked) == 2


def test_an_old_node_is_replaced_by_the_one_pypi_carries(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("node", "npm"):
        (programs / name).write_text("#!/bin/sh\necho v18.20.4\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    installed: list[str] = []
    monkeypatch.setattr(node, "_carried", lambda: tmp_path / "carried")
    monkeypatch.setattr(progress, "command", lambda title, *_: installed.append(title))
    npm = node.npm(project)
    assert installed == ["Node.js, for want of version 20 or newer (downloads 60 MB from PyPI)"] * len(installed)
    assert npm[0] == str(tmp_path / "carried" / "bin" / "node")
    assert npm[1].endswith("npm-cli.js")
