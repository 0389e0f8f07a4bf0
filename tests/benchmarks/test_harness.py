"""The harness counts what comes over real sockets, notices a server that loses something, and goes on where it was."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import report
from benchmarks.__main__ import steps
from benchmarks.dialects import message
from benchmarks.place import process
from benchmarks.publishers import Channel
from benchmarks.receivers import Broken, crowd
from benchmarks.registry import SCENARIOS
from benchmarks.results import Results
from benchmarks.tables import COLUMNS
from tests.benchmarks.test_ledger import frame
from tests.services import free_port

HERE = Path(__file__).resolve().parent.parent.parent / "benchmarks"
RECEIVERS = 20


def test_a_flood_through_a_real_server_is_counted_and_checked(redis_url: str) -> None:
    port = free_port()
    command = [sys.executable, str(HERE / "peers" / "plain_tornado.py"), str(port), redis_url]
    with process(command, ready="ready"), crowd(port, "plain") as receivers:
        receivers.ask("connect", count=RECEIVERS)
        publisher = Channel(redis_url)
        publisher.publish(range(1, 101))
        found = receivers.ask("receive", until=100, seconds=30)
        publisher.end()
    assert (found["frames"], found["behind"], found["closed"]) == (100 * RECEIVERS, 0, [])
    assert 0 < found["p50"] <= found["p99"]


@contextlib.contextmanager
def server(say: Callable[[socket.socket], None]) -> Iterator[int]:
    """Shakes hands with whoever comes, lets them join, then says what it is told to."""

    def serve(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            sock.recv(4096)
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            sock.recv(4096)
            sock.sendall(frame("joined"))
            say(sock)
            sock.recv(1)

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=[listener], daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def ask(port: int) -> dict[str, object]:
    with crowd(port, "plain") as receivers:
        receivers.ask("connect", count=2)
        return receivers.ask("receive", until=5, seconds=20)


def test_a_server_that_loses_a_frame_is_found_out() -> None:
    def say(sock: socket.socket) -> None:
        for number in (1, 2, 4, 5):
            sock.sendall(frame(message(number, 1.0)))

    with server(say) as port, pytest.raises(Broken, match="lost: change 4 came where 3 was due"):
        ask(port)


def test_a_server_that_cuts_a_receiver_is_found_out() -> None:
    def say(sock: socket.socket) -> None:
        sock.sendall(frame(message(1, 1.0)) + b"\x88\x02\x0f\xa8")
        sock.shutdown(socket.SHUT_RDWR)

    with server(say) as port:
        found = ask(port)
    assert found["behind"] and next(code for _, code in found["closed"]) == 4008  # type: ignore[attr-defined]


def test_a_server_that_refuses_is_found_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.recv(4096)
                sock.sendall(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")

        threading.Thread(target=refuse, daemon=True).start()
        with crowd(listener.getsockname()[1], "plain") as receivers, pytest.raises(Broken, match="503"):
            receivers.ask("connect", count=1)


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    first = Results(path, resume=True)
    scenario = SCENARIOS[0]
    servers = set(list(scenario.servers())[:2])
    whole = list(steps(scenario, servers, 2, first))
    assert len(whole) == 4
    for record in scenario.records:
        first.add(record, whole[0].server, whole[0].turn, cpu=1.0)
    again = Results(path, resume=True)
    assert list(steps(scenario, servers, 2, again)) == whole[1:]
    assert len(list(steps(scenario, servers, 2, Results(path, resume=False)))) == 4


def test_tables_and_pictures_are_drawn_from_the_results_alone(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.json", resume=False)
    for turn in range(3):
        for server, cpu in (("marshlight", 2.0), ("tornado", 20.0 + turn), ("ws", 2.5)):
            results.add("one by one", server, turn, cpu=cpu, rate=1000.0, busy=0.5, receiver=0.25, memory=1 << 20)
    results.add("one by one", "daphne", 0, failed="Broken('lost')")
    page = tmp_path / "page.md"
    page.write_text(
        "Before\n<!-- measured: one by one -->\nformer\n<!-- end -->\n<!-- measured: bars -->\n<!-- end -->\nAfter\n"
    )
    report.write(results, page)
    report.write(results, page)
    text = page.read_text()
    assert "| **Marshlight** | 2.00 (2.00–2.00) | 1,000 (1,000–1,000) | 50.0 | 25.0 | 1.00 |" in text
    assert "Channels, daphne (failed 1 of 1)" in text
    assert "| one by one: plain Tornado / Marshlight | ≥ 5.5 | 10.5 | holds |" in text
    assert "| one by one: Marshlight / ws | ≤ 1.1 | 0.80 | holds |" in text
    assert text.startswith("Before\n") and text.endswith("After\n") and "former" not in text
    for picture in (tmp_path / "page").glob("*.svg"):
        ElementTree.parse(picture)
    assert (tmp_path / "page" / "one-by-one.svg").exists()


def test_the_page_has_a_place_for_everything_that_is_measured() -> None:
    marks = set(re.findall(r"<!-- measured: ([^>]+) -->", report.PAGE.read_text()))
    records = {record for scenario in SCENARIOS for record in scenario.records}
    assert records == set(COLUMNS)
    assert marks == records | {"bars", "conditions"}


@pytest.mark.parametrize("program", sorted((HERE / "peers").glob("*.*")), ids=lambda path: path.name)
def test_a_peers_program_is_short_and_says_how_it_was_tuned(program: Path) -> None:
    text = program.read_text()
    assert len(text.splitlines()) <= 60
    if "_publish" not in program.name and program.name not in ("__init__.py", "bare_send.py"):
        assert "Tuned by:" in text


def test_the_peers_locks_have_hashes_and_name_no_place() -> None:
    lock = (HERE / "requirements.lock").read_text()
    for entry in re.split(r"\n(?=[a-z])", lock.strip()):
        assert "--hash=sha256:" in entry, entry
    assert not re.search(r"https?://|index-url|find-links|file:|trusted-host", lock)
    packages = json.loads((HERE / "package-lock.json").read_text())["packages"]
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert not [name for name, package in packages.items() if name and "integrity" not in package]
