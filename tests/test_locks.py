"""Lock files pin everything that pyproject.toml asks for, with hashes, and name no place to get it from."""

import json
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))


def pinned(lock: Path) -> dict[str, str]:
    """Name → version of each package in a lock."""
    return dict(re.findall(r"^([a-z0-9._-]+)==([^ \\\n]+)", lock.read_text(), re.MULTILINE))


def wanted(group: str | None) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lines = project["dependency-groups"][group] if group else project["project"]["dependencies"]
    own = {re.split(r"[<>=!~ \[]", line)[0].lower() for line in lines if isinstance(line, str)}
    return own.union(*(wanted(line["include-group"]) for line in lines if isinstance(line, dict)))


def test_there_is_a_lock_for_each_set() -> None:
    assert [lock.stem for lock in LOCKS] == ["base", "grown", "node", "oracle", "test"]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_pins_what_is_wanted(lock: Path) -> None:
    group = None if lock.stem == "base" else lock.stem
    assert wanted(group) <= pinned(lock).keys()


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_every_pin_has_hashes_and_no_line_names_a_place(lock: Path) -> None:
    for entry in re.split(r"\n(?=[a-z])", lock.read_text().strip()):
        assert "--hash=sha256:" in entry, entry
    known = re.compile(r"[a-z0-9._-]+==\S+( ; [^\\:/]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?|    # .*")
    assert not [line for line in lock.read_text().splitlines() if not known.fullmatch(line)]


@pytest.mark.parametrize("name", ["test", "grown"])
def test_larger_sets_hold_the_very_versions_of_the_base(name: str) -> None:
    base, larger = pinned(ROOT / "requirements/base.lock"), pinned(ROOT / f"requirements/{name}.lock")
    assert base.items() <= larger.items()


def test_the_front_ends_lock_names_no_place_either() -> None:
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert not [name for name, package in packages.items() if name and "integrity" not in package]
