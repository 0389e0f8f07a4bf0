"""The grown set-up as supervisor/supervisord.conf starts it: PostgreSQL, Redis, gunicorn and two WebSocket servers."""

import configparser
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clone import CHOSEN, ROOT

CONFIGURATION = ROOT / "supervisor" / "supervisord.conf"
START_LIMIT = 60  # seconds for five processes on two cores


def test_nginx_and_supervisor_name_the_same_ports() -> None:
    supervisor, nginx = CONFIGURATION.read_text(), (ROOT / "supervisor" / "nginx.conf").read_text()
    assert "--port 810%(process_num)d" in supervisor
    parser = configparser.RawConfigParser()
    parser.read_string(supervisor)
    first, number = (parser.getint("program:server", name) for name in ("numprocs_start", "numprocs"))
    servers = {f"810{first + at}" for at in range(number)}
    assert servers | {"8100"} == set(re.findall(r"127\.0\.0\.1:(\d+)", nginx))


def free_decade() -> int:
    """A number whose tenfold is the first of three free ports, as 810 is in the configuration."""
    for decade in range(2000, 6000):
        try:
            for at in range(3):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", 10 * decade + at))
        except OSError:
            continue
        return decade
    raise AssertionError("no three ports in a row are free")


@pytest.fixture
def grown(postgres_url: str, redis_url: str, tmp_path: Path) -> Iterator[int]:
    """The first port of the set-up, which is started as configured, on other ports; ends with everything it started."""
    decade = free_decade()
    moved = CONFIGURATION.read_text().replace("%(here)s", str(CONFIGURATION.parent)).replace("810", str(decade))
    (tmp_path / "supervisord.conf").write_text(moved)
    environment = {name: value for name, value in os.environ.items() if name not in CHOSEN}
    environment |= {
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "DATABASE_URL": postgres_url,
        "REDIS_URL": redis_url,
        "MARSHLIGHT_URL": "https://panel.example.org",
        "MARSHLIGHT_DATA": str(tmp_path),
    }
    migrate = [sys.executable, "manage.py", "migrate", "--verbosity", "0"]
    subprocess.run(migrate, cwd=ROOT, env=environment, check=True, timeout=120)
    command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(tmp_path / "supervisord.conf")]
    with (tmp_path / "output").open("wb") as sink:
        supervisor = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
    try:
        yield 10 * decade
    finally:
        supervisor.send_signal(signal.SIGTERM)
        try:
            supervisor.wait(timeout=40)
        except subprocess.TimeoutExpired:
            supervisor.kill()
            supervisor.wait()
            raise


def answer(port: int, path: str) -> int:
    """Status of a page asked as the proxy asks."""
    headers = {"Host": "panel.example.org", "X-Forwarded-Proto": "https"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as got:
            return int(got.status)
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code


@pytest.mark.e2e
def test_the_grown_setup_serves_pages_and_sockets(grown: int, tmp_path: Path) -> None:
    waiting = {grown: "/signin/", grown + 1: "/healthz", grown + 2: "/healthz"}
    deadline = time.monotonic() + START_LIMIT
    while waiting and time.monotonic() < deadline:
        for port, path in list(waiting.items()):
            with contextlib.suppress(OSError):
                if answer(port, path) == 200:
                    del waiting[port]
        time.sleep(0.1)
    logs = [tmp_path / "output", *tmp_path.glob("*.log")]
    assert not waiting, "\n".join(log.read_text()[-2000:] for log in logs)
