"""Secrets in the repository, and calls that let a stranger's text become a program. docs/security.md, 51 and 52."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("realtime", "devices", "project")

# Things that are secret wherever they stand: keys as their makers write them.
SECRETS = re.compile(
    r"-----BEGIN (?:RSA |EC |OPENSSH |)PRIVATE KEY-----"
    r"|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bglpat-[\w-]{20}\b|\bxox[abp]-[\w-]{20,}"
    r"|\bmlt_[0-9a-f]{8}_[A-Za-z0-9_-]{43}\b"
    r"|django-insecure-[\w!@#$%^&*(-=+)]{30,}"
)
# Golden frames and documentation show tokens of this form that nobody was ever given.
MADE_UP = re.compile(r"(.)\1{7}|0123456|abcdef")

FORBIDDEN_IMPORTS = {"pickle", "marshal", "shelve", "dill"}
# (what is called, where, why it may be)
ALLOWED = {
    ("setattr", "realtime/serializers.py"): "only names that stand in update_fields",
    ("setattr", "devices/commands.py"): "only the columns that a wish decides, named there",
}


def test_no_secret_stands_in_the_repository_nor_in_its_history() -> None:
    git = shutil.which("git")
    assert git, "git is needed to look through the history"
    log = subprocess.run(
        [git, "log", "-p", "--all", "--no-color", "--unified=0"], cwd=ROOT, capture_output=True, check=True
    )
    found = {
        match[0]
        for match in SECRETS.finditer(log.stdout.decode("utf-8", "replace"))
        if not MADE_UP.search(match[0]) and "BEGIN" not in match[0]
    }
    assert found == set()
    tracked = subprocess.run(
        [git, "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert not [name for name in tracked if re.search(r"(\.pem|\.key|\.env|secret-key|\.sqlite3|id_rsa)$", name)]


def calls() -> Iterator[tuple[str, str, ast.Call]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    yield name, ast.unparse(node.func), node


def test_no_text_of_a_stranger_becomes_a_program() -> None:
    wrong = []
    for name, called, node in calls():
        last = called.rpartition(".")[2]
        if called in ("eval", "exec", "compile", "os.system", "os.popen", "yaml.load", "mark_safe") or last == "extra":
            wrong.append(f"{name}: {called}")
        if any(keyword.arg == "shell" for keyword in node.keywords):
            wrong.append(f"{name}: {called}(shell=…)")
    assert wrong == []


def test_nothing_is_unpickled() -> None:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert not FORBIDDEN_IMPORTS & set(names), path


def test_attributes_are_set_by_name_only_where_the_names_are_the_servers() -> None:
    found = {(called, name) for name, called, node in calls() if called == "setattr" and not literal(node, 1)}
    assert found == set(ALLOWED), "each needs its reason above"


def literal(call: ast.Call, place: int) -> bool:
    return len(call.args) > place and isinstance(call.args[place], ast.Constant)
