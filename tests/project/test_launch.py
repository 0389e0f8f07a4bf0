"""What `./run` refuses before it touches anything; the way through is tried as a newcomer in tests/test_run.py."""

import argparse
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from project import launch, place, progress
from tests.services import free_port


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MARSHLIGHT_DATA", str(tmp_path))
    return tmp_path


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_data_directory_in_use_is_refused_with_the_address_in_use(data: Path) -> None:
    place.local(8123).keep(data)
    with (data / "server.lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(progress.StepFailed) as caught:
            launch.start(data, argparse.Namespace(port=free_port(), no_demo=True, lan=False, ready_file=None))
    assert caught.value.why == f"a Marshlight runs already on {data} at http://127.0.0.1:8123"
    assert launch.running(data) is False


def test_a_port_that_is_taken_is_said(taken_port: int, capsys: pytest.CaptureFixture[str]) -> None:
    found = launch.find_port(taken_port, "127.0.0.1")
    assert found != taken_port
    assert capsys.readouterr().out == f"Port {taken_port} is taken, so it is {found}\n"


def test_an_address_that_is_not_ours_is_said() -> None:
    with pytest.raises(progress.StepFailed, match="finding a port"):
        launch.find_port(free_port(), "192.0.2.99")


def test_a_link_before_the_first_start_says_to_start(
    data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MARSHLIGHT_URL", raising=False)
    with pytest.raises(SystemExit) as caught:
        launch.main(["--link"])
    assert caught.value.code == 1
    assert f"Why: no Marshlight was started on {data} yet" in capsys.readouterr().err
    assert "StepFailed" in (data / "setup.log").read_text()


def test_a_link_for_another_database_than_the_servers_is_refused(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place.Place("http://127.0.0.1:8123", "", ("DATABASE_URL",)).keep(data)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with pytest.raises(progress.StepFailed) as caught:
        launch.link(data, None)
    assert caught.value.why == "the server was started with DATABASE_URL"
    assert os.environ["MARSHLIGHT_DATA"] == str(data)


@pytest.mark.django_db
def test_the_demo_is_made_once_so_that_what_was_deleted_stays_away(data: Path) -> None:
    from devices.models import Device

    launch.demo(data)
    assert Device.objects.count() == 15
    Device.objects.all().delete()
    launch.demo(data)
    assert Device.objects.count() == 0
