"""The herald tells how to get in once the server answers, and goes when there is none."""

import http.server
import json
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from project import herald
from tests.services import free_port

KEY = "http://127.0.0.1:8000/hello/#1:key"


def greeting(
    port: int = 1, *, url: str = "http://127.0.0.1:8000", ready: str = "", password: str = ""
) -> herald.Greeting:
    return herald.Greeting(
        url=url, link=KEY, user="admin", password_file=password, port=port, qr=False, ready_file=ready
    )


class Answering(http.server.BaseHTTPRequestHandler):
    """Refuses every request, and remembers with which headers it was asked."""

    asked: list[tuple[str, str]] = []  # noqa: RUF012  shared with the test on purpose

    def do_GET(self) -> None:
        self.asked.append((self.headers["Host"], self.headers["X-Forwarded-Proto"]))
        self.send_error(503)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[int]:
    Answering.asked.clear()
    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as made:
        thread = threading.Thread(target=made.serve_forever, args=[0.01])
        thread.start()
        yield made.server_address[1]
        made.shutdown()
        thread.join(timeout=10)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The end that the herald watches, and the one that the server holds."""
    alive, held = os.pipe()
    yield alive, held
    os.close(alive)


def test_it_asks_as_the_public_address_and_any_answer_will_do(server: int, pipe: tuple[int, int]) -> None:
    assert herald.answers(greeting(server, url="https://panel.example.org"), pipe[0])
    assert Answering.asked == [("panel.example.org", "https")]
    os.close(pipe[1])


def test_it_goes_when_the_server_ended(pipe: tuple[int, int]) -> None:
    os.close(pipe[1])
    assert not herald.answers(greeting(free_port()), pipe[0])


def test_it_goes_when_nobody_answers_in_time(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(herald, "LIMIT", 0.3)
    assert not herald.answers(greeting(free_port()), pipe[0])
    os.close(pipe[1])


def test_it_says_where_the_password_lies_and_never_what_it_is() -> None:
    said = "\n".join(greeting(password="/data/admin-password").lines())
    assert KEY in said
    assert "http://127.0.0.1:8000/admin/   user admin, password in /data/admin-password" in said
    assert "password" not in "\n".join(greeting().lines())


def test_the_ready_file_is_whole_and_its_owners(tmp_path: Path) -> None:
    made = greeting(ready=str(tmp_path / "ready"))
    herald.write_ready_file(made)
    assert herald.Greeting(**json.loads((tmp_path / "ready").read_text())) == made
    assert stat.S_IMODE((tmp_path / "ready").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["ready"]


def test_the_qr_code_is_drawn_with_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    herald.show_qr(KEY)
    drawn = capsys.readouterr().out
    assert "\u2588" in drawn
    assert KEY not in drawn
