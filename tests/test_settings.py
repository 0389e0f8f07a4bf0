"""What the surroundings decide, seen from outside: a fresh process per set of variables."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHOSEN = ("DATABASE_URL", "REDIS_URL", "MARSHLIGHT_URL", "MARSHLIGHT_HOSTS", "MARSHLIGHT_DATA", "SECRET_KEY")


def manage(data: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return program("manage.py", data, *words, **variables)


def program(name: str, data: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    surroundings = {name: value for name, value in os.environ.items() if name not in CHOSEN}
    surroundings |= {"DJANGO_SETTINGS_MODULE": "project.settings", "MARSHLIGHT_DATA": str(data), **variables}
    return subprocess.run(
        [sys.executable, name, *words],
        cwd=ROOT,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def settings(data: Path, **variables: str) -> dict[str, Any]:
    names = (
        "ALLOWED_HOSTS MARSHLIGHT_ORIGINS CSRF_TRUSTED_ORIGINS SESSION_COOKIE_SECURE CSRF_COOKIE_SECURE "
        "SECURE_HSTS_SECONDS SECURE_SSL_REDIRECT DATABASES REDIS_URL SECRET_KEY"
    )
    lines = (
        "import json; from django.conf import settings as s; "
        f"print(json.dumps({{n: getattr(s, n) for n in {names.split()!r}}}))"
    )
    done = manage(data, "shell", "--no-imports", "-c", lines, **variables)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_the_deploy_check_is_clean_behind_https(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", "--deploy", "--fail-level", "WARNING", MARSHLIGHT_URL="https://panel.example.org")
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout


def test_https_decides_cookies_hsts_hosts_and_origins(tmp_path: Path) -> None:
    chosen = settings(tmp_path, MARSHLIGHT_URL="https://panel.example.org")
    assert chosen["ALLOWED_HOSTS"] == ["panel.example.org"]
    assert chosen["MARSHLIGHT_ORIGINS"] == chosen["CSRF_TRUSTED_ORIGINS"] == ["https://panel.example.org"]
    assert chosen["SESSION_COOKIE_SECURE"] and chosen["CSRF_COOKIE_SECURE"] and chosen["SECURE_SSL_REDIRECT"]
    assert chosen["SECURE_HSTS_SECONDS"] >= 31_536_000


def test_loopback_goes_by_its_names_without_https(tmp_path: Path) -> None:
    chosen = settings(tmp_path, MARSHLIGHT_URL="http://127.0.0.1:8123")
    assert chosen["ALLOWED_HOSTS"] == ["127.0.0.1", "localhost"]
    assert chosen["MARSHLIGHT_ORIGINS"] == ["http://127.0.0.1:8123", "http://localhost:8123"]
    assert not chosen["SESSION_COOKIE_SECURE"] and not chosen["SECURE_SSL_REDIRECT"]


def test_more_hosts_are_origins_too_and_ipv6_is_bracketed(tmp_path: Path) -> None:
    chosen = settings(tmp_path, MARSHLIGHT_URL="http://192.0.2.7:8000", MARSHLIGHT_HOSTS="shed.local, ::1")
    assert chosen["ALLOWED_HOSTS"] == ["192.0.2.7", "shed.local", "[::1]"]
    assert chosen["MARSHLIGHT_ORIGINS"][1:] == ["http://shed.local:8000", "http://[::1]:8000"]


def test_sqlite_in_the_data_directory_is_the_default(tmp_path: Path) -> None:
    data = tmp_path / "with space % and ?"
    database = settings(data)["DATABASES"]["default"]
    assert database["NAME"] == str(data / "db.sqlite3")
    assert database["OPTIONS"]["transaction_mode"] == "IMMEDIATE"


def test_a_postgresql_address_is_taken_apart(tmp_path: Path) -> None:
    url = "postgresql://marsh:p%40ss@db.example.org:5433/light?sslmode=require"
    database = settings(tmp_path, DATABASE_URL=url)["DATABASES"]["default"]
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert (database["PASSWORD"], database["PORT"], database["NAME"]) == ("p@ss", 5433, "light")
    assert database["OPTIONS"]["sslmode"] == "require"
    assert "lock_timeout" in database["OPTIONS"]["options"]


def test_what_keeps_postgresql_from_waiting_for_ever_can_be_replaced_in_the_address(tmp_path: Path) -> None:
    url = "postgresql://marsh@db.example.org/light?options=-c%20lock_timeout%3D0&connect_timeout=30"
    options = settings(tmp_path, DATABASE_URL=url)["DATABASES"]["default"]["OPTIONS"]
    assert options["options"] == "-c lock_timeout=0"
    assert int(options["connect_timeout"]) == 30
    assert options["keepalives_idle"] == 5


def test_the_secret_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = settings(data)["SECRET_KEY"]
    assert settings(data)["SECRET_KEY"] == first
    assert len(first) >= 50
    assert stat.S_IMODE((data / "secret-key").stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert settings(tmp_path / "other")["SECRET_KEY"] != first
    assert not list(data.glob(".secret-key*"))


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"DATABASE_URL": "light"}, "DATABASE_URL cannot be read; write postgresql://user:password@host:5432/name"),
        ({"DATABASE_URL": "mysql://u:hush@h/n"}, "DATABASE_URL cannot be read"),
        ({"DATABASE_URL": "postgresql://u:hush@h:port/n"}, "DATABASE_URL cannot be read"),
        ({"DATABASE_URL": "postgresql://u:hush@h"}, "DATABASE_URL names no database"),
        ({"REDIS_URL": "127.0.0.1:6379"}, "REDIS_URL cannot be read; write redis://host:6379/0"),
        ({"MARSHLIGHT_URL": "panel.example.org"}, "with its scheme: https://panel.example.org"),
        ({"MARSHLIGHT_URL": "ftp://panel.example.org"}, "with its scheme"),
        ({"MARSHLIGHT_URL": "https://panel.example.org/light"}, "write https://panel.example.org"),
        ({"MARSHLIGHT_URL": "https://panel.example.org:99999"}, "no number from 1 to 65535"),
        ({"MARSHLIGHT_HOSTS": "*"}, "MARSHLIGHT_HOSTS must name the hosts"),
        ({"MARSHLIGHT_DATA": "/dev/null/data"}, "MARSHLIGHT_DATA cannot be used"),
    ],
)
def test_a_wrong_variable_is_one_sentence_that_names_it(
    tmp_path: Path, variables: dict[str, str], sentence: str
) -> None:
    done = manage(tmp_path, "check", **variables)
    assert done.returncode == 1
    assert done.stderr.startswith("Settings: ")
    assert sentence in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "hush" not in done.stderr


def test_the_server_says_it_the_same_way(tmp_path: Path) -> None:
    done = program("server.py", tmp_path, DATABASE_URL="postgresql://u:hush@h:port/n")
    assert done.returncode == 1
    assert done.stderr.startswith("Settings: DATABASE_URL cannot be read")
    assert len(done.stderr.splitlines()) == 1


def test_a_ruined_secret_key_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "secret-key").write_text("short")
    done = manage(tmp_path, "check")
    assert done.returncode == 1
    assert "delete it and a new one is made" in done.stderr
