"""`frontend/client.js` in Node, with a token, on a whole server."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.panel.serving import ROOT, DemoServer

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    demo = DemoServer(tmp_path_factory.mktemp("node"))
    demo.start()
    yield demo
    demo.stop()


def follow(server: DemoServer, token: str) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).with_name("follow.mjs")
    url = server.url.replace("http:", "ws:") + "ws"
    return subprocess.run(
        ["node", str(script), url, token, "Exhaust fan"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_program_with_a_token_follows_and_switches(server: DemoServer) -> None:
    token = server.manage("token", "create", "operator", "--name", "test").split()[-1]
    done = follow(server, token)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told.pop("is_on") in (True, False)
    assert told == {"user": "operator", "failed": None, "status": "live", "refusal": "not_found"}
