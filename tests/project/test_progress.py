"""Steps tell their time, and a failed one tells what, why and what to try."""

import os
import sys
from pathlib import Path

import pytest

from project import progress


def test_a_step_is_one_line_with_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.step("Database", "again"):
        pass
    line = capsys.readouterr().out
    assert line.startswith("Database ")
    assert line.endswith("   0 s\n")
    assert line.count("\n") == 1


def test_an_exception_in_a_step_says_what_why_and_what_to_try() -> None:
    with pytest.raises(progress.StepFailed) as caught, progress.step("Database", "./run manage migrate"):
        raise ValueError("no such column")
    said = ["Failed: Database", "   Why: ValueError: no such column", "   Try: ./run manage migrate"]
    assert str(caught.value).splitlines() == said


def test_a_command_shows_its_last_lines_only_when_it_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = "[print('line', n) for n in range(30)]; raise SystemExit({})"
    progress.command("Packages", "again", [sys.executable, "-c", program.format(0)], tmp_path, os.environ)
    assert "line" not in capsys.readouterr().out
    with pytest.raises(progress.StepFailed, match="Packages") as caught:
        progress.command("Packages", "again", [sys.executable, "-c", program.format(1)], tmp_path, os.environ)
    assert "line 29" in caught.value.why
    assert "line 3\n" not in caught.value.why
