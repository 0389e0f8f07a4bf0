from __future__ import annotations

from typing import Any

import pytest

from devices.settings import settings as ours


def test_a_project_sets_them_with_a_prefix_at_any_time(settings: Any) -> None:
    assert ours.COMMAND_SECONDS == 10
    settings.DEVICES_COMMAND_SECONDS = 3
    assert ours.COMMAND_SECONDS == 3


def test_there_are_no_others() -> None:
    with pytest.raises(AttributeError):
        ours.COMAND_SECONDS  # type: ignore[attr-defined]  # noqa: B018
