"""`manage.py relay`: the relay in a process of its own, which needs a bus that other processes hear."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.clone import CHOSEN, ROOT

LIMIT = 60  # seconds; starting Django three times on two busy cores


def surroundings(data: Path, **more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in CHOSEN}
    return {**kept, "DJANGO_SETTINGS_MODULE": "project.settings", "MARSHLIGHT_DATA": str(data), **more}


def manage(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def test_without_a_bus_between_processes_it_refuses(tmp_path: Path) -> None:
    done = manage(surroundings(tmp_path), "relay")
    assert done.returncode == 1
    assert "Set REDIS_URL" in done.stderr


def test_it_publishes_what_another_process_wrote_and_ends_on_a_signal(tmp_path: Path, redis_url: str) -> None:
    environment = surroundings(tmp_path, REDIS_URL=redis_url)
    assert manage(environment, "migrate", "--verbosity", "0").returncode == 0
    wrote = manage(
        environment, "shell", "--no-imports", "-c", "from devices.models import Location as L; L(name='a').save()"
    )
    assert wrote.returncode == 0, wrote.stderr
    due = "from realtime import journal; print('due', journal.pending()[0])"
    assert manage(environment, "shell", "--no-imports", "-c", due).stdout.strip() not in ("", "due 0")
    relay = subprocess.Popen([sys.executable, "manage.py", "relay"], cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    try:
        deadline = time.monotonic() + LIMIT
        said = ""
        while said != "due 0" and time.monotonic() < deadline:
            said = manage(environment, "shell", "--no-imports", "-c", due).stdout.strip()
        assert said == "due 0"
        relay.send_signal(signal.SIGTERM)
        assert relay.wait(timeout=20) == 0
    finally:
        relay.kill()
        relay.communicate()
