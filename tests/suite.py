"""`./run test`: every check and test there is, one after the other, and one table at the end.

Nothing stops at the first failure, and nothing is left out because a part is missing: then the run fails.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from project import node, progress
from tests import services

ROOT = Path(__file__).resolve().parent.parent
STEP_LIMIT = 20 * 60  # seconds; a step that takes longer hangs
END_LIMIT = 20  # seconds for a step that is told to end
CHOSEN = ("DATABASE_URL", "REDIS_URL", "MARSHLIGHT_URL", "MARSHLIGHT_HOSTS", "SECRET_KEY")
SLOW = "browser or e2e or benchmark"


@dataclass
class Result:
    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0

    def cells(self) -> tuple[str, ...]:
        numbers = (self.passed, self.failed, self.skipped)
        return (self.name, *(str(number) if number else "" for number in numbers), f"{self.seconds:.0f} s")


@dataclass
class Suite:
    """Runs commands in one environment and keeps what came of them."""

    environment: Mapping[str, str]
    scratch: Path
    results: list[Result] = field(default_factory=list)

    def check(self, name: str, words: Sequence[str], **environment: str) -> None:
        """A command that counts as one test: its exit code is the answer."""
        with self._timed(name) as result:
            code, _ = self._run(words, environment)
            result.passed, result.failed = (0, 1) if code else (1, 0)

    def pytest(self, name: str, choice: str, *more: str, **environment: str) -> None:
        """Tests chosen by a marker expression; that none is chosen is a failure."""
        report = self.scratch / f"{len(self.results)}.xml"
        with self._timed(name) as result:
            words = [sys.executable, "-m", "pytest", "-m", choice, f"--junitxml={report}", *more]
            code, _ = self._run(words, environment)
            if report.exists():
                _count_junit(report, result)
            _agree(result, code)

    def node(self, name: str, words: Sequence[str]) -> None:
        with self._timed(name) as result:
            code, output = self._run(words, {"NODE_OPTIONS": "--test-reporter=spec"})
            # Node's reporters differ only in the sign in front: # or an i in a circle.
            numbers = dict(re.findall(r"^\S (pass|fail|skipped) (\d+)$", output, re.MULTILINE))
            result.passed, result.failed = int(numbers.get("pass", 0)), int(numbers.get("fail", 0))
            result.skipped = int(numbers.get("skipped", 0))
            _agree(result, code)

    def broken(self, name: str, reason: str) -> None:
        print(f"\n== {name}\n{reason}", flush=True)
        self.results.append(Result(name, failed=1))

    @contextlib.contextmanager
    def _timed(self, name: str) -> Iterator[Result]:
        print(f"\n== {name}", flush=True)
        result = Result(name)
        self.results.append(result)
        began = time.monotonic()
        yield result
        result.seconds = time.monotonic() - began

    def _run(self, words: Sequence[str], more: Mapping[str, str]) -> tuple[int, str]:
        """Exit code and output, which is shown as it comes."""
        process = subprocess.Popen(
            words,
            cwd=ROOT,
            env={**self.environment, **more},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # so that what it started can be ended with it
        )
        overdue = threading.Timer(STEP_LIMIT, _end_group, [process.pid])
        overdue.start()
        seen: list[bytes] = []
        assert process.stdout is not None
        try:
            while piece := os.read(process.stdout.fileno(), 65536):
                sys.stdout.buffer.write(piece)
                sys.stdout.flush()
                seen.append(piece)
            return process.wait(), b"".join(seen).decode(errors="replace")
        finally:
            overdue.cancel()
            process.stdout.close()
            if process.poll() is None:
                threading.Thread(target=_end_group, args=[process.pid]).start()
                process.wait()

    def table(self) -> str:
        head = ("", "passed", "failed", "skipped", "time")
        rows = [head, *(result.cells() for result in self.results)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [[row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])] for row in rows]
        return "\n".join("  ".join(line) for line in lines)

    def closing(self) -> str:
        """The line that continuous integration reads."""
        passed, failed, skipped = (sum(getattr(r, n) for r in self.results) for n in ("passed", "failed", "skipped"))
        return f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else "")


def _end_group(pid: int) -> None:
    """First as Ctrl-C does, so that pytest ends the servers it started; then for good."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGINT)
        deadline = time.monotonic() + END_LIMIT
        while time.monotonic() < deadline:
            os.killpg(pid, 0)
            time.sleep(0.1)
        os.killpg(pid, signal.SIGKILL)


def _count_junit(report: Path, result: Result) -> None:
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped = int(suite.get("skipped", 0))
        # A test that fails and whose teardown fails too is written down twice, but counted as one test.
        result.failed += bad
        result.skipped += skipped
        result.passed += max(0, int(suite.get("tests", 0)) - bad - skipped)


def _agree(result: Result, code: int) -> None:
    """A runner that failed without a failed test, or that ran none, failed all the same."""
    if (code or not result.passed) and not result.failed:
        result.failed = 1


# -- the parts that are needed -------------------------------------------------------------------------------------

PARTS: tuple[tuple[str, Callable[[], object]], ...] = (
    ("postgresql", services.postgres_programs),
    ("redis-server", services.redis_program),
    ("chromium", services.chromium_program),
    ("sqlite3", lambda: services.program("sqlite3", "sqlite3")),
    ("git", lambda: services.program("git", "git")),
)


def missing_packages() -> list[str]:
    missing = []
    for package, find in PARTS:
        try:
            find()
        except services.MissingPart:
            missing.append(package)
    return missing


def install_parts() -> None:
    """What Debian has and this machine lacks; only root may install it."""
    missing = missing_packages()
    if not missing:
        return
    line = f"apt-get install -y --no-install-recommends {' '.join(missing)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise progress.StepFailed("finding the parts that the tests need", f"missing: {', '.join(missing)}", line)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    again = "apt-get update, then the same again"
    progress.command("Debian's list of packages", again, ["apt-get", "update"], ROOT, environment)
    progress.command(f"{', '.join(missing)} (downloads from Debian)", again, line.split(), ROOT, environment)


# -- all of it ------------------------------------------------------------------------------------------------------


def run(suite: Suite, *, fast: bool) -> None:
    python = sys.executable
    suite.check("ruff check", [python, "-m", "ruff", "check", "."])
    suite.check("ruff format", [python, "-m", "ruff", "format", "--check", "."])
    suite.check("mypy", [python, "-m", "mypy"])
    suite.check("migrations", [python, "manage.py", "makemigrations", "--check", "--dry-run"])
    deploy = [python, "manage.py", "check", "--deploy", "--fail-level", "WARNING"]
    suite.check("deploy check", deploy, MARSHLIGHT_URL="https://panel.example.org")
    npm = node.npm(ROOT)
    suite.check("types of the front end", [*npm, "run", "--silent", "types"])
    suite.node("front end", [*npm, "run", "--silent", "test"])
    if fast:
        suite.pytest("SQLite", f"not ({SLOW} or slow)", "--numprocesses=auto", "--dist=worksteal")
        return
    suite.pytest("SQLite", f"not ({SLOW})")
    try:
        with services.running(services.Postgres()) as postgres:
            suite.pytest("PostgreSQL", f"database and not ({SLOW})", DATABASE_URL=postgres.url)
    except (services.MissingPart, RuntimeError) as error:
        suite.broken("PostgreSQL", str(error))
    suite.pytest("browser, end to end, benchmarks", SLOW)


def main(words: list[str]) -> int:
    # Both, however we were started: what runs below is ended in order, databases included.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    scratch = Path(tempfile.mkdtemp(prefix="marshlight-suite-"))
    try:
        install_parts()
        node.packages(ROOT, tests=True)
        # Tests know nothing of the databases and addresses that this shell happens to use.
        environment = {name: value for name, value in node.surroundings(ROOT).items() if name not in CHOSEN}
        suite = Suite(environment | {"MARSHLIGHT_DATA": str(scratch / "data")}, scratch)
        run(suite, fast="--fast" in words)
    except progress.StepFailed as failure:
        print(failure, file=sys.stderr)
        print("0 passed, 1 failed")
        return 1
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    print(f"\n{suite.table()}\n\n{suite.closing()}")
    return int(any(result.failed for result in suite.results))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
