"""`./run` as a newcomer meets it: a fresh clone under a path with a blank, an empty HOME, any directory."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clone import ROOT, Clone, Started
from tests.services import free_port
from tests.visitor import Visitor

SHELL_TOOLS = ("sh", "cat", "dirname", "date", "mkdir", "tail", "cmp", "cp", "id")


def run_here(*words: str, path: Path | None = None, cwd: Path = ROOT, **more: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **more} | ({"PATH": str(path)} if path else {})
    return subprocess.run(
        [str(ROOT / "run"), *words],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def tools(directory: Path) -> Path:
    """A PATH with a shell's bare necessities: no Python, no Node."""
    directory.mkdir()
    for name in SHELL_TOOLS:
        found = shutil.which(name)
        assert found is not None
        (directory / name).symlink_to(found)
    return directory


# -- words -------------------------------------------------------------------------------------------------------


def test_help_needs_nothing_but_a_shell(tmp_path: Path) -> None:
    done = run_here("--help", path=tools(tmp_path / "bin"))
    assert done.returncode == 0
    for word in ("--port", "--data", "--no-demo", "--lan", "--ready-file", "link", "manage", "test", "--fast"):
        assert word in done.stdout


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--prot", "8000"], "--prot is not known here"),
        (["--port"], "--port needs a value"),
        (["--port", "eighty"], "the port must be a number from 1 to 65535"),
        (["--port", "0"], "the port must be a number from 1 to 65535"),
        (["--port", "65536"], "the port must be a number from 1 to 65535"),
        (["start"], "start is not known here"),
        (["test", "--slow"], "./run test knows only --fast"),
    ],
)
def test_wrong_words_are_answered_with_the_reason_and_help(words: list[str], why: str) -> None:
    done = run_here(*words)
    assert done.returncode == 1
    assert f"Why: {why}\n" in done.stderr
    assert "Try: ./run --help" in done.stderr


def test_a_data_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run_here("--data", str(tmp_path / "file" / "data"))
    assert done.returncode == 1
    assert "cannot be made" in done.stderr
    assert "Try: ./run --data DIR" in done.stderr


# -- a machine that lacks something ------------------------------------------------------------------------------


@pytest.fixture
def bare(tmp_path: Path) -> Clone:
    """A clone without an environment, so that ./run has to make one."""
    root = tmp_path / "clone"
    root.mkdir()
    shutil.copy2(ROOT / "run", root)
    shutil.copytree(ROOT / "requirements", root / "requirements")
    (tmp_path / "home").mkdir()
    return Clone(root, tmp_path / "home")


def test_without_python_the_packages_are_named(bare: Clone, tmp_path: Path) -> None:
    done = bare.run(PATH=str(tools(tmp_path / "bin")))
    assert done.returncode == 1
    assert "no Python 3.11 or newer" in done.stderr
    assert "Try: apt-get install python3 python3-venv" in done.stderr


def test_without_venv_one_line_says_what_to_install(bare: Clone, tmp_path: Path) -> None:
    path = tools(tmp_path / "bin")
    python = path / "python3"
    # Debian's Python without python3-venv: it lacks ensurepip, and nothing else.
    python.write_text(
        f"""#!/bin/sh
case "$*" in
*ensurepip*) exit 1 ;;
*sys.executable*) echo "$0" ;;
*) exec "{sys.executable}" "$@" ;;
esac
"""
    )
    python.chmod(0o755)
    done = bare.run(PATH=str(path))
    assert done.returncode == 1
    assert done.stderr.endswith("Try: apt-get install python3-venv\n")


@pytest.mark.e2e
def test_a_download_that_fails_says_what_why_and_what_to_try(bare: Clone) -> None:
    done = bare.run(
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL="http://127.0.0.1:9/",
        PIP_RETRIES="0",
        PIP_FIND_LINKS="",
        PIP_EXTRA_INDEX_URL="",
    )
    assert done.returncode == 1
    what, why = done.stderr.splitlines()[0], done.stderr
    assert what.startswith("Failed: Python packages")
    assert "Why: " in why and "Traceback" not in why
    assert "Try: the same again; if it stays, look at the network" in why
    assert not list(bare.root.glob(".venv/installed-*"))


# -- a newcomer --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone.make(tmp_path_factory.mktemp("new comer"))


@pytest.fixture(scope="module")
def first(clone: Clone, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Started]]:
    """The first start, with its data directory; it runs while this module's tests do."""
    data = tmp_path_factory.mktemp("data of") / "a newcomer"
    with clone.started(data, "--port", str(free_port())) as running:
        yield data, running


def contents(data: Path) -> str:
    return "".join(path.read_bytes().decode(errors="replace") for path in data.rglob("*") if path.is_file())


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_a_newcomer_has_a_link_within_30_seconds_beyond_downloads(first: tuple[Path, Started]) -> None:
    data, running = first
    assert running.seconds - running.installs() < 30
    assert running.words["link"] in running.text
    assert running.url.startswith("http://127.0.0.1:")
    assert f"{running.url}/admin/   user admin, password in {data / 'admin-password'}" in running.text
    assert stat.S_IMODE(data.with_name(f"{data.name}.ready").stat().st_mode) == 0o600


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_the_link_signs_in_once_and_stands_in_no_file(first: tuple[Path, Started]) -> None:
    data, running = first
    key = running.words["link"].partition("#")[2]
    visitor = Visitor()
    assert visitor.follow(running.words["link"])[0] == 200
    assert any(cookie.name == "sessionid" for cookie in visitor.cookies)
    assert visitor.get(f"{running.url}/admin/")[0] == 200
    assert Visitor().follow(running.words["link"])[0] == 403
    assert key not in contents(data)


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_the_administrators_password_lies_in_a_file_of_the_owner(first: tuple[Path, Started]) -> None:
    data, running = first
    path = data / "admin-password"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    visitor = Visitor()
    visitor.post(f"{running.url}/admin/login/", username="admin", password=path.read_text().strip(), next="/admin/")
    status, page = visitor.get(f"{running.url}/admin/")
    assert status == 200
    assert "/admin/logout/" in page


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_fifteen_simulated_devices_in_three_locations_are_there(clone: Clone, first: tuple[Path, Started]) -> None:
    data, _ = first
    program = "from devices.models import Device, Location; print(Device.objects.count(), Location.objects.count())"
    done = clone.run("manage", "shell", "--no-imports", "-c", program, MARSHLIGHT_DATA=str(data))
    assert done.stdout.split() == ["15", "3"], done.stderr


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_another_link_leads_to_the_running_server(clone: Clone, first: tuple[Path, Started]) -> None:
    data, running = first
    done = clone.run("link", MARSHLIGHT_DATA=str(data))
    assert done.returncode == 0, done.stderr
    link = done.stdout.strip()
    assert link.startswith(f"{running.url}/hello/#")
    assert Visitor().follow(link)[0] == 200


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_a_second_server_on_the_same_data_is_refused(clone: Clone, first: tuple[Path, Started]) -> None:
    data, running = first
    done = clone.run("--data", str(data), "--port", str(free_port()))
    assert done.returncode == 1
    assert f"a Marshlight runs already on {data} at {running.url}" in done.stderr
    assert Visitor().get(f"{running.url}/signin/")[0] == 200


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_a_taken_port_means_the_next_one(clone: Clone, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with clone.started(tmp_path / "data", "--no-demo", "--port", str(port)) as running:
            assert port < int(running.url.rpartition(":")[2]) < port + 50
            assert Visitor().get(f"{running.url}/signin/")[0] == 200


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_a_second_start_downloads_nothing_and_keeps_what_is_there(clone: Clone, tmp_path: Path) -> None:
    data = tmp_path / "data"
    with clone.started(data, "--no-demo", "--port", str(free_port())) as running:
        link = running.words["link"]
    kept = {name: (data / name).read_bytes() for name in ("secret-key", "admin-password")}
    with clone.started(data, "--no-demo", "--port", str(free_port())) as again:
        assert "(downloads" not in again.text
        assert again.seconds < 30
        assert again.words["link"] != link
    assert kept == {name: (data / name).read_bytes() for name in kept}


@pytest.mark.e2e
@pytest.mark.timeout(400)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_and_leaves_nothing_behind(
    clone: Clone, tmp_path: Path, number: signal.Signals
) -> None:
    with clone.started(tmp_path / "data", "--no-demo", "--port", str(free_port())) as running:
        port = int(running.url.rpartition(":")[2])
        assert running.stop(number) == 0
        assert "Traceback" not in running.text
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert not [line for line in listed.splitlines() if str(clone.root) in line and f"--port {port}" in line]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))


@pytest.mark.e2e
@pytest.mark.timeout(400)
def test_the_network_is_let_in_only_when_asked(clone: Clone, tmp_path: Path) -> None:
    with clone.started(tmp_path / "data", "--no-demo", "--lan", "--port", str(free_port())) as running:
        assert "With a phone in the same network" in running.text
        assert "\u2588" in running.text or "\u2580" in running.text
        port = running.url.rpartition(":")[2]
        for name in ("127.0.0.1", "localhost"):
            assert Visitor().get(f"http://{name}:{port}/signin/")[0] == 200
