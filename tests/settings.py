"""The project's settings as the tests use them: a data directory of their own, and a cheap hasher."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# Chosen before project.settings is read, which makes the directory and the secret key in it.
_scratch = Path(tempfile.mkdtemp(prefix="marshlight-tests-"))
atexit.register(shutil.rmtree, _scratch, ignore_errors=True)
os.environ["MARSHLIGHT_DATA"] = str(_scratch)
os.environ.setdefault("MARSHLIGHT_URL", "http://127.0.0.1:8000")

from project.settings import *  # noqa: E402, F403  settings are a namespace: the whole of it is wanted here
from project.settings import ALLOWED_HOSTS, DATABASES, INSTALLED_APPS  # noqa: E402  changed below

INSTALLED_APPS = [*INSTALLED_APPS, "tests.app", "tests.library"]
ALLOWED_HOSTS = [*ALLOWED_HOSTS, "testserver"]
# Hundreds of users are made, and none of their passwords is a secret.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# A file, not SQLite's shared memory: threads and WAL behave there as they do in earnest. The process id keeps
# two runs beside each other apart, on one PostgreSQL server too.
_database = DATABASES["default"]
_database["TEST"] = {
    "NAME": str(_scratch / "test.sqlite3") if "sqlite" in _database["ENGINE"] else f"test_marshlight_{os.getpid()}"
}
