"""What `./run` tells while it works: one line per step with its time, three lines when a step fails."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

WIDTH = 72  # as in ./run, so that the times stand below each other
TAIL = 8  # lines of a failed command; the reason is nearly always among its last


class StepFailed(Exception):
    """A step did not work: `what` was done, `why` it failed, and the one thing to `attempt`."""

    def __init__(self, what: str, why: str, attempt: str) -> None:
        super().__init__(what)
        self.what, self.why, self.attempt = what, why, attempt

    def __str__(self) -> str:
        return f"Failed: {self.what}\n   Why: {self.why}\n   Try: {self.attempt}"


@contextlib.contextmanager
def step(title: str, attempt: str) -> Iterator[None]:
    """Say what is done and how long it took; an exception inside becomes `StepFailed`."""
    print(f"{title:<{WIDTH}}", end="", flush=True)
    began = time.monotonic()
    try:
        yield
    except StepFailed:
        print("failed", flush=True)
        raise
    except Exception as error:
        print("failed", flush=True)
        raise StepFailed(title, f"{type(error).__name__}: {error}", attempt) from error
    print(f"{time.monotonic() - began:4.0f} s", flush=True)


def command(title: str, attempt: str, words: Sequence[str], directory: Path, environment: Mapping[str, str]) -> None:
    """Run a program as one step. What it prints is shown only when it fails."""
    with step(title, attempt):
        done = subprocess.run(
            words,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise StepFailed(title, "\n        ".join(done.stdout.strip().splitlines()[-TAIL:]), attempt)


def stop(failure: StepFailed) -> None:
    print(failure, file=sys.stderr)
    sys.exit(1)
