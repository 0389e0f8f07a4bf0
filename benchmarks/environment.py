"""The peers' own environment: made by their lock files beside this package when it is missing or they changed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
PYTHON = HERE / ".venv" / "bin" / "python"
STAMP = HERE / ".venv" / "installed"
LOCKS = ("requirements.lock", "package.json", "package-lock.json")


def make() -> None:
    """Install what is missing; CalledProcessError if that fails."""
    state = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in LOCKS)).hexdigest()
    if STAMP.exists() and STAMP.read_text() == state and (HERE / "node_modules").exists():
        return
    print("installing the peers by their lock files", file=sys.stderr, flush=True)
    venv.create(HERE / ".venv", clear=True, with_pip=True)
    pip = [str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--only-binary", ":all:"]
    subprocess.run([*pip, "--require-hashes", "-r", str(HERE / "requirements.lock")], check=True)
    npm = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel", "error"]
    subprocess.run(npm, cwd=HERE, check=True, stdout=subprocess.DEVNULL)
    STAMP.write_text(state)


def peers() -> dict[str, str]:
    """The environment variables of a peer: this package can be imported, nothing of Django's settings stays."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO", "MARSHLIGHT", "REDIS"))}
    return kept | {"PYTHONPATH": str(HERE.parent), "NODE_ENV": "production"}
