"""The services the tests rely on are the real programs."""

import psycopg2
import pytest
import redis
from django.contrib.auth.models import User
from django.db import connection

from tests import services


def test_postgresql_answers(postgres_url: str) -> None:
    with psycopg2.connect(postgres_url) as link, link.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int >= 140000")
        assert cursor.fetchone() == (True,)
    link.close()


def test_redis_answers(redis_url: str) -> None:
    client = redis.Redis.from_url(redis_url)
    assert client.ping() is True
    client.close()


def test_a_killed_redis_starts_again_on_its_port() -> None:
    with services.running(services.Redis()) as server:
        port = server.port
        server.process.kill()
        server.process.wait()
        server.start()
        assert server.port == port
        client = redis.Redis.from_url(server.url)
        assert client.ping() is True
        client.close()


def test_a_missing_program_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(services.MissingPart, match="apt-get install chromium"):
        services.chromium_program()


@pytest.mark.django_db
def test_the_chosen_database_holds_rows() -> None:
    User.objects.create_user("operator")
    assert User.objects.count() == 1
    assert connection.vendor in ("sqlite", "postgresql")


@pytest.mark.browser
def test_chromium_runs_script(browser: object) -> None:
    page = browser.new_page()  # type: ignore[attr-defined]  Playwright's own type would be imported for fast runs too
    assert page.evaluate("6 * 7") == 42
    page.close()
