"""`./run test` counts rightly and cannot be green by accident."""

import os
import sys
from pathlib import Path

import pytest

from tests.suite import Suite


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(dict(os.environ), tmp_path)


def made_file(directory: Path, text: str) -> str:
    path = directory / "test_made.py"
    path.write_text(text)
    return str(path)


def chosen(suite: Suite, path: str) -> None:
    """One pytest step over one file, apart from this project's own configuration."""
    suite.environment = {
        **suite.environment,
        "PYTEST_ADDOPTS": f"-c {os.devnull} -p no:django -p no:cacheprovider {path}",
    }
    suite.pytest("made", "not never")


def test_a_command_counts_by_its_exit_code(suite: Suite) -> None:
    suite.check("good", [sys.executable, "-c", "print('fine')"])
    suite.check("bad", [sys.executable, "-c", "raise SystemExit(3)"])
    assert suite.closing() == "1 passed, 1 failed"


def test_pytest_is_counted_by_its_report(suite: Suite, tmp_path: Path) -> None:
    text = "import pytest\ndef test_a(): pass\ndef test_b(): assert 0\n@pytest.mark.skip\ndef test_c(): pass\n"
    chosen(suite, made_file(tmp_path, text))
    assert suite.closing() == "1 passed, 1 failed, 1 skipped"


def test_a_run_without_a_test_is_a_failure(suite: Suite, tmp_path: Path) -> None:
    chosen(suite, made_file(tmp_path, ""))
    assert suite.closing() == "0 passed, 1 failed"


def test_a_file_that_cannot_be_read_is_a_failure(suite: Suite, tmp_path: Path) -> None:
    chosen(suite, made_file(tmp_path, "def test_a( pass"))
    assert suite.closing() == "0 passed, 1 failed"


@pytest.mark.parametrize("sign", ["#", "\u2139"])
def test_nodes_runner_is_counted_in_both_its_ways(suite: Suite, sign: str) -> None:
    words = f"print('{sign} tests 3\\n{sign} pass 2\\n{sign} fail 1\\n{sign} skipped 0'); raise SystemExit(1)"
    suite.node("front end", [sys.executable, "-X", "utf8", "-c", words])
    assert suite.closing() == "2 passed, 1 failed"


def test_a_runner_that_breaks_off_is_a_failure_though_no_test_failed(suite: Suite) -> None:
    suite.node("front end", [sys.executable, "-c", "print('# pass 2\\n# fail 0'); raise SystemExit(1)"])
    assert suite.closing() == "2 passed, 1 failed"


def test_a_missing_part_is_a_failure(suite: Suite) -> None:
    suite.broken("PostgreSQL", "initdb was not found")
    assert suite.closing() == "0 passed, 1 failed"


def test_the_table_has_a_line_for_each_step(suite: Suite) -> None:
    suite.check("good", [sys.executable, "-c", ""])
    suite.broken("PostgreSQL", "initdb was not found")
    lines = suite.table().splitlines()
    assert [line.split()[0] for line in lines] == ["passed", "good", "PostgreSQL"]


def test_a_step_that_hangs_is_ended_and_failed(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.suite.STEP_LIMIT", 0.2)
    suite.check("endless", [sys.executable, "-c", "import threading; threading.Event().wait()"])
    assert suite.closing() == "0 passed, 1 failed"
