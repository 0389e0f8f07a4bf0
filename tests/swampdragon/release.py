"""SwampDragon's last release, as PyPI has it: fetched for the tests and never kept here."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

# Which file it must be.
LOCK = Path(__file__).parents[2] / "requirements" / "oracle.lock"
FOLDER = "SwampDragon-0.4.2.2/swampdragon/"


@functools.cache
def files() -> dict[str, str]:
    """Its Python and JavaScript by path below the package."""
    with tempfile.TemporaryDirectory() as directory:
        words = ["download", "--quiet", "--no-input", "--no-deps", "--require-hashes", "--dest", directory]
        subprocess.run([sys.executable, "-m", "pip", *words, "-r", str(LOCK)], check=True, timeout=120)
        (archive,) = Path(directory).iterdir()
        with zipfile.ZipFile(archive) as release:
            return {
                name.removeprefix(FOLDER): release.read(name).decode("utf-8", "replace")
                for name in release.namelist()
                if name.startswith(FOLDER) and name.endswith((".py", ".js"))
            }
