"""docs/wire.md, the golden frames and the lists in the code say the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from realtime.errors import CloseCode, RealtimeError
from tests.wire import FAMILIES, FRAMES

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "wire.md").read_text(encoding="utf-8")
DOCUMENTED = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)]
TESTED = "".join(
    path.read_text(encoding="utf-8")
    for place in ("tests", "firmware/tests")
    for pattern in ("**/test_*.py", "**/*.test.js", "**/*.test.mjs")
    for path in sorted((ROOT / place).glob(pattern))
)


def every_error() -> list[type[RealtimeError]]:
    found, todo = [], [RealtimeError]
    while todo:
        error = todo.pop()
        found.append(error)
        todo += error.__subclasses__()
    return [error for error in found if error.__module__ == RealtimeError.__module__]


@pytest.mark.parametrize("frame", DOCUMENTED, ids=lambda frame: json.dumps(frame)[:60])
def test_every_frame_in_the_specification_is_golden(frame: object) -> None:
    assert frame in [entry.get("frame") for entry in FRAMES.values()]


@pytest.mark.parametrize("family", FAMILIES)
def test_some_test_reads_every_family(family: str) -> None:
    assert re.search(rf'names\([^)]*"{family}"|\b{family}\.json', TESTED) or all(
        entry["name"] in TESTED for entry in FAMILIES[family]["frames"]
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_every_golden_frame_says_what_it_means(family: str) -> None:
    assert FAMILIES[family]["family"] == family
    assert FAMILIES[family]["direction"] in ("to server", "to client", "both")
    for entry in FAMILIES[family]["frames"]:
        assert entry["meaning"]
        assert ("frame" in entry) != ("text" in entry)


def test_names_of_golden_frames_are_unique() -> None:
    assert len(FRAMES) == sum(len(family["frames"]) for family in FAMILIES.values())


def test_every_error_code_is_in_the_specification() -> None:
    listed = dict(re.findall(r"^\| `(\w+)` \| (yes|no) \|", PAGE, re.MULTILINE))

    assert listed == {error.code: "yes" if error.temporary else "no" for error in every_error() if error.code in listed}
    assert listed.keys() == {error.code for error in every_error()}


def test_every_close_code_is_in_the_specification() -> None:
    listed = {int(code): answer for code, answer in re.findall(r"^\| (\d{4}) \| (yes|no) \|", PAGE, re.MULTILINE)}

    assert listed == {int(code): "yes" if code.may_reconnect else "no" for code in CloseCode}
