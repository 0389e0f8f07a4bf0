"""Checks of the surroundings find what they are for, and nothing in a sound set-up."""

from pathlib import Path

import pytest
from pytest_django import Settings

from project import checks, environment


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://panel.example.org", True),
        ("http://8.8.8.8", True),
        ("https://panel.example.org", False),
        ("http://192.168.1.7:8000", False),
        ("http://shed.local", False),
        ("http://localhost:8000", False),
    ],
)
def test_plain_http_is_only_for_networks_at_home(settings: Settings, url: str, found: bool) -> None:
    settings.PUBLIC = environment.address(url)
    assert [message.id for message in checks.plain_http()] == (["project.W003"] if found else [])


def test_a_secret_that_others_may_read_is_found(settings: Settings, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path
    environment.write_secret(tmp_path / "secret-key", "x" * 60)
    assert checks.secret_files() == []
    (tmp_path / "secret-key").chmod(0o640)
    assert [message.id for message in checks.secret_files()] == ["project.W002"]


def test_missing_packages_of_the_panel_are_found(settings: Settings, tmp_path: Path) -> None:
    settings.BASE_DIR = tmp_path
    assert [message.id for message in checks.front_end()] == ["project.W001"]
    for name in settings.VENDOR_MODULES.values():
        (tmp_path / "node_modules" / name).mkdir(parents=True)
    assert checks.front_end() == []
