"""docs/security.md: every item is there, and every test it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)
# Devices have no credentials of their own yet, so nothing of theirs can be forged: 17 and 45 to 49 come with them.
ITEMS = [*range(1, 17), *range(18, 45), *range(50, 54)]


def test_the_items_are_all_there_once() -> None:
    assert sorted(int(row[1]) for row in ROW.finditer(PAGE)) == ITEMS


@pytest.mark.parametrize("row", ROW.findall(PAGE), ids=lambda row: row[0])
def test_what_a_row_names_exists(row: tuple[str, ...]) -> None:
    named = re.findall(r"`([\w/.]+)(?:::(\w+))?`", row[3])
    assert named, "no test"
    for file, name in named:
        path = ROOT / "tests" / file
        assert path.exists(), file
        tests = {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}
        assert not name or name in tests, f"{file}::{name}"
