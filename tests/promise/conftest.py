"""One installation of each kind for all tests here, emptied before each of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session

from devices.models import Device, DeviceType, Location
from tests.promise.installation import Installation, installed
from tests.realtime.serving import served

KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="module", params=KINDS)
def servers(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[Installation]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    with installed(request.param, url) as found, django_db_blocker.unblock():
        found.start()
        yield found


@pytest.fixture
def installation(servers: Installation) -> Iterator[Installation]:
    """The ORM of the test is the servers' database; what they complain about fails the test."""
    with emptied(servers):
        yield servers


@contextlib.contextmanager
def emptied(servers: Installation) -> Iterator[None]:
    complained = len(servers.complaints())
    with servers.orm():
        for model in (Device, Location, DeviceType, User, Session):
            model.objects.all().delete()
        yield
    assert servers.complaints()[complained:] == []


@pytest.fixture(params=KINDS)
def without_relay(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[Installation]:
    """Servers whose relay is the test's own: `Relay()` publishes to them. On SQLite the server is in this process."""
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    with installed(request.param, url, "without_relay") as found, django_db_blocker.unblock(), found.orm():
        if found.redis:
            found.start("--no-relay")
            yield found
        else:
            with served(relay=False) as server:
                found.ports.append(server.port)
                yield found
