"""The programs of `examples/`, and every line that its page shows, on a whole server with the demo's devices."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.panel.serving import DemoServer
from tests.realtime.serving import LIMIT, Peer, peer, until

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
PAGE = (EXAMPLES / "README.md").read_text(encoding="utf-8")

e2e = pytest.mark.e2e


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoServer]:
    demo = DemoServer(tmp_path_factory.mktemp("examples"))
    demo.start()
    yield demo
    demo.stop()


@pytest.fixture(scope="module")
def token(server: DemoServer) -> str:
    return token_of(server, "operator")


@pytest.fixture(scope="module")
def staff_token(server: DemoServer) -> str:
    return token_of(server, "admin")


def token_of(server: DemoServer, user: str) -> str:
    return server.manage("token", "create", user, "--name", "example").split()[-1]


class Example:
    """A program of the folder that runs, and the lines it has printed."""

    def __init__(self, port: int, token: str, *words: str) -> None:
        program = "node" if words[0].endswith(".mjs") else sys.executable
        url = f"ws://127.0.0.1:{port}/ws"
        self.process = subprocess.Popen(
            [program, words[0], url, *words[1:]],
            cwd=EXAMPLES,
            env={**os.environ, "MARSHLIGHT_TOKEN": token},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)

    def objects(self) -> dict[int, dict[str, Any]]:
        """The devices that somebody who reads what it prints believes in, by id."""
        found: dict[int, dict[str, Any]] = {}
        for line in list(self.lines):
            action, _, text = line.partition(" ")
            device = json.loads(text)
            if action == "deleted":
                found.pop(device["id"], None)
            else:
                found[device["id"]] = device
        return found

    def shown(self) -> dict[str, dict[str, Any]]:
        """The same, by name."""
        return {device["name"]: device for device in self.objects().values()}

    def end(self) -> str:
        """What it complained of."""
        self.process.terminate()
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._reader.join(LIMIT)
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        with self.process.stdout, self.process.stderr:
            return self.process.stderr.read()


@contextlib.contextmanager
def running(port: int, token: str, *words: str) -> Iterator[Example]:
    example = Example(port, token, *words)
    try:
        yield example
    finally:
        complaints = example.end()
    assert "Error" not in complaints, complaints


def settled(shown: Callable[[], dict[str, dict[str, Any]]], name: str, on: bool) -> Callable[[], bool]:
    def reached() -> bool:
        found = shown().get(name)
        return found is not None and found["is_on"] is on and not found["pending"]

    return reached


# -- programs ----------------------------------------------------------------------------------------------------


def code(text: str, comment: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(comment)]


@pytest.mark.parametrize(("name", "comment"), [("listen.py", "#"), ("listen.mjs", "//")])
def test_a_client_is_less_than_thirty_lines(name: str, comment: str) -> None:
    assert len(code((EXAMPLES / name).read_text(), comment)) < 30


def test_a_device_is_twenty_lines() -> None:
    source = (EXAMPLES / "device.py").read_text()
    found = [node for node in ast.parse(source).body if isinstance(node, ast.AsyncFunctionDef)]
    (lamp,) = (node for node in found if node.name == "lamp")

    assert len(code(ast.get_source_segment(source, lamp) or "", "#")) <= 20


@e2e
@pytest.mark.parametrize("program", ["listen.py", "listen.mjs"])
def test_a_listener_shows_what_is_there_and_what_changes(server: DemoServer, token: str, program: str) -> None:
    with running(server.port, token, program) as example, peer(server.port, token=token) as client:
        until(lambda: len(example.shown()) == 15, "the snapshot")
        fan = example.shown()["Exhaust fan"]
        wanted = not fan["is_on"]
        client.call("update", "device", id=fan["id"], desired={"on": wanted})
        until(settled(example.shown, "Exhaust fan", wanted), "the switch")
        server.manage("shell", "-v0", "-c", f"from devices.models import *; Device.objects.filter(pk={fan['id']})"
                      f".update(detail='by {program}')")  # fmt: skip
        until(lambda: example.shown()["Exhaust fan"]["detail"] == f"by {program}", "what was written past it")


@e2e
@pytest.mark.parametrize("program", ["listen.py", "listen.mjs"])
def test_a_listener_comes_back_with_the_server(server: DemoServer, token: str, program: str) -> None:
    with running(server.port, token, program) as example:
        until(lambda: len(example.shown()) == 15, "the snapshot")
        server.stop()
        rename = f"from devices.models import *; Device.objects.filter(name='Compressor').update(detail='{program}')"
        server.manage("shell", "-v0", "-c", rename)
        server.start()
        until(lambda: example.shown()["Compressor"]["detail"] == program, "what it had missed")


@e2e
@pytest.mark.parametrize("words", [["listen.py"], ["listen.mjs"], ["device.py", "desk-lamp"]])
def test_a_wrong_token_ends_the_program_with_the_reason(server: DemoServer, words: list[str]) -> None:
    example = Example(server.port, "mlt_wrong", *words)
    try:
        assert example.process.wait(LIMIT) == 1
    finally:
        complaints = example.end()
    assert "Traceback" not in complaints
    assert complaints.strip()


# -- the page ----------------------------------------------------------------------------------------------------


def section(heading: str) -> str:
    return re.split(r"^## ", PAGE.partition(f"## {heading}\n")[2], flags=re.MULTILINE)[0]


def lines_of(heading: str) -> list[dict[str, Any]]:
    """The frames that are shown there."""
    blocks = re.findall(r"^```json\n(.*?)^```$", section(heading), re.MULTILINE | re.DOTALL)
    return [json.loads(line) for block in blocks for line in block.splitlines()]


def typed(client: Peer, frame: dict[str, Any]) -> dict[str, Any]:
    """The reply to a frame that is sent as it stands on the page."""
    client.socket.send(json.dumps(frame))
    while True:
        message = client.receive()
        if message["type"] == "reply" and message["context"]["verb"] == frame["verb"]:
            return message
        client.waiting.append(message)


def obeyed(client: Peer, id: int, desired: dict[str, Any]) -> Callable[[], bool]:
    """Whether the next change is what a collection of all that is on sees of the device's report."""

    def told() -> bool:
        change = client.change()
        return change["data"]["id"] == id and change["action"] == ("updated" if desired["on"] else "deleted")

    return told


@e2e
def test_every_line_by_hand_is_answered_as_the_page_says(server: DemoServer, token: str) -> None:
    frames = lines_of("By hand")
    assert [frame["verb"] for frame in frames].count("update") == 2
    with peer(server.port, token=token) as client:
        fan = next(frame["args"]["id"] for frame in frames if frame["verb"] == "update")
        client.call("update", "device", id=fan, desired={"on": True})
        until(lambda: client.call("get_single", "device", id=fan)["data"]["is_on"], "the fan that runs at first")
        answers = []
        for frame in frames:
            answers.append(typed(client, frame))
            if frame["verb"] == "update":  # as a person would: see it come back first
                until(obeyed(client, **frame["args"]), "the device's report")
    assert [answer["context"]["state"] for answer in answers] == ["success"] * len(frames)
    assert answers[0]["data"]["user"]["username"] == "operator"
    assert [len(answer["data"]) for answer in answers[1:3]] == [3, 5]
    assert "Exhaust fan" in [device["name"] for device in answers[3]["data"]]
    assert [command["state"] for command in answers[6]["data"][:2]] == ["done", "done"]


@e2e
def test_a_device_of_one_s_own_obeys_and_reports(server: DemoServer, token: str, staff_token: str) -> None:
    (create,) = lines_of("A device of your own")
    with peer(server.port, token=staff_token) as staff:
        made = typed(staff, create)
        assert made["context"]["state"] == "success", made
        staff.subscribe("device", uid="desk-lamp")
        with running(server.port, staff_token, "device.py", "desk-lamp"):
            until(lambda: staff.change()["data"]["presence"] == "online", "its first report")
            for on in (True, False):
                staff.call("update", "device", id=made["data"]["id"], desired={"on": on})

                def obeyed(on: bool = on) -> bool:
                    device = staff.change()["data"]
                    return device["is_on"] is on and device["acked_version"] == device["desired_version"]

                until(obeyed, "obeying")
            assert staff.call("get_single", "device", id=made["data"]["id"])["data"]["failed"] is None
    with peer(server.port, token=token) as client:  # nobody else reports in its name
        refused = client.call("report", "device", id=made["data"]["id"], values={"on": True})
        assert refused["context"]["error"]["code"] == "not_allowed"


def test_the_page_names_every_program_and_each_is_there() -> None:
    programs = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".mjs")}

    assert set(re.findall(r"^\| \[([\w.]+)\]", PAGE, re.MULTILINE)) == programs
    assert all(re.search(rf"^(?:python|node) {re.escape(name)} ", PAGE, re.MULTILINE) for name in programs)
