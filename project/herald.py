"""Waits until the server answers, then tells the person at the terminal how to get in.

A process of its own, because `./run` becomes the server: it reads the greeting from its standard input, so that the
link is in no argument list, steps into the background, and ends by itself when the server does.
"""

import contextlib
import http.client
import json
import os
import secrets
import select
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

LIMIT = 60  # seconds; a server that is silent for so long has said why on the terminal
PAUSE = 0.1


@dataclass(frozen=True)
class Greeting:
    url: str
    link: str
    user: str
    password_file: str
    port: int
    qr: bool
    ready_file: str

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    def lines(self) -> list[str]:
        password = f", password in {self.password_file}" if self.password_file else ""
        return [
            "",
            f"Marshlight   {self.url}/",
            f"Sign in      {self.link}   (once, within 15 minutes)",
            f"Admin        {self.url}/admin/   user {self.user}{password}",
            "Another link: ./run link    Stop: Ctrl-C",
        ]


def main(alive: int) -> None:
    greeting = Greeting(**json.load(sys.stdin))
    if os.fork():
        return  # the launcher waits for this process only; the one in the background belongs to nobody
    if answers(greeting, alive):
        print("\n".join(greeting.lines()), flush=True)
        if greeting.qr:
            show_qr(greeting.link)
        if greeting.ready_file:
            write_ready_file(greeting)


def answers(greeting: Greeting, alive: int) -> bool:
    """True when the server answers; False when it ended or the limit passed."""
    public = urlsplit(greeting.url)
    headers = {"Host": public.netloc, "X-Forwarded-Proto": public.scheme}
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            link = http.client.HTTPConnection("127.0.0.1", greeting.port, timeout=5)
            link.request("GET", "/healthz", headers=headers)
            link.getresponse().read()
            link.close()
            return True
        # The server holds the other end and never writes, so readable means that it is gone.
        if select.select([alive], [], [], PAUSE)[0]:
            return False
    return False


def show_qr(link: str) -> None:
    import segno

    print("\nWith a phone in the same network (instead of the link above):\n")
    segno.make(link, micro=False, error="l").terminal(compact=True)


def write_ready_file(greeting: Greeting) -> None:
    """All at once, and for the owner only: the link is a key."""
    path = Path(greeting.ready_file)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(greeting.to_text() + "\n")
    draft.replace(path)


if __name__ == "__main__":
    main(int(sys.argv[1]))
