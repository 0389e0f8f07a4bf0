"""What every test gets: the chosen database, real services on demand, and a log that must stay silent.

`DATABASE_URL` chooses the database (SQLite without it). Tests that touch one are marked `database` by themselves,
so `pytest -m database` is all that a second database has to run.
"""

import logging
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.test import TransactionTestCase

from tests import services
from tests.logs import LogWatch

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DATABASE_FIXTURES = {"db", "transactional_db", "django_db_reset_sequences", "live_server", "admin_client", "admin_user"}
# Sockets, outages and thousands of schedules: a third of the whole time in a few files.
SLOW_FILES = {"test_server.py", "test_join_model.py", "test_sync.py", "test_bus_redis.py", "test_handler.py"}

watch = LogWatch()


def pytest_sessionstart() -> None:
    # Behind django.setup(), whose LOGGING replaces the handlers that the root logger had.
    logging.getLogger().addHandler(watch)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if _touches_database(item):
            item.add_marker("database")
        if item.path.name in SLOW_FILES:
            item.add_marker("slow")
    # Last, because Playwright keeps an event loop running in this thread and others want to start their own.
    items.sort(key=lambda item: any(item.get_closest_marker(name) for name in ("browser", "e2e")))


def _touches_database(item: pytest.Item) -> bool:
    if item.get_closest_marker("django_db") or DATABASE_FIXTURES & set(getattr(item, "fixturenames", ())):
        return True
    cls = getattr(item, "cls", None)
    return cls is not None and issubclass(cls, TransactionTestCase)


# -- log -------------------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    try:
        yield
    finally:
        wrong = watch.finish()
    if wrong:
        pytest.fail("unexpected log:\n" + "\n".join(wrong), pytrace=False)


@pytest.fixture
def expect_log() -> Any:
    """`expect_log("realtime.relay", "set aside")` declares a record; anything else from WARNING on is a failure."""
    return watch.expect


# -- services --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres() -> Iterator[services.Postgres]:
    """A PostgreSQL server that tests may stop and start; whoever does leaves it running."""
    with services.running(services.Postgres()) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres: services.Postgres) -> str:
    return postgres.url


@pytest.fixture(scope="session")
def redis_server() -> Iterator[services.Redis]:
    """A Redis server shared by the session: use keys of your own, and `services.Redis()` for one to break."""
    with services.running(services.Redis()) as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(redis_server: services.Redis) -> str:
    return redis_server.url


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """A headless Chromium; mark the test `browser`."""
    from playwright.sync_api import sync_playwright

    # Playwright's loop runs in this thread, so Django believes that its ORM is called from the loop.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=services.chromium_program(), headless=True, args=services.chromium_flags()
        )
        yield chromium
        chromium.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]
