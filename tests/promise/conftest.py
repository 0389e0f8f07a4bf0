"""One installation of each kind for all tests here, emptied before each of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session

from devices.models import Device, DeviceType, Location
from tests.promise.installation import Installation, installed

KINDS = ("sqlite", "postgresql")


@pytest.fixture(scope="module", params=KINDS)
def servers(request: pytest.FixtureRequest, django_db_blocker: Any) -> Iterator[Installation]:
    url = request.getfixturevalue("postgres_url") if request.param == "postgresql" else ""
    with installed(request.param, url) as found, django_db_blocker.unblock():
        yield found


@pytest.fixture
def installation(servers: Installation) -> Iterator[Installation]:
    """The ORM of the test is the servers' database; what they complain about fails the test."""
    complained = len(servers.complaints())
    with servers.orm():
        for model in (Device, Location, DeviceType, User, Session):
            model.objects.all().delete()
        yield servers
    assert servers.complaints()[complained:] == []
