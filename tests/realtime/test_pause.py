"""How long the relay waits between two looks; see test_relay.py for what wakes it."""

from __future__ import annotations

import threading
import time

import pytest

from realtime.pause import Pause


@pytest.mark.django_db
def test_a_read_that_hung_with_the_database_does_not_keep_the_relay_from_the_next() -> None:
    """Ten times a freeze of 8 s would be 80 s in which nothing is published that nobody calls for."""
    began = time.monotonic()
    Pause(threading.Event()).wait(8.0)
    assert time.monotonic() - began < 5.0
