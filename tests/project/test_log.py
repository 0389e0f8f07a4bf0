"""A log line is one line and tells no secret."""

import logging

import pytest

from project.log import LineFormatter


def line(text: str, *args: object, **extra: object) -> str:
    record = logging.LogRecord("realtime.relay", logging.INFO, __file__, 1, text, args, None)
    record.__dict__.update(extra)
    return LineFormatter().format(record)


def test_time_level_and_logger_stand_in_front() -> None:
    made = line("%s started", "relay", created=0.5)
    assert made == "1970-01-01T00:00:00.500+00:00 INFO realtime.relay: relay started"


@pytest.mark.parametrize("name", ["a\nERROR root: forged", "a\r\nb", "a\x1b[2Jb", "a\u2028b", "a\x85b"])
def test_a_name_from_outside_cannot_begin_a_second_line(name: str) -> None:
    made = line("device %s", name)
    assert len(made.splitlines()) == 1
    assert "\x1b" not in made


def test_a_traceback_stays_on_the_line() -> None:
    try:
        raise ValueError("first\nsecond")
    except ValueError as error:
        made = line("failed", exc_info=(ValueError, error, error.__traceback__))
    assert len(made.splitlines()) == 1
    assert "ValueError: first" in made
    assert "second" in made


@pytest.mark.parametrize(
    "text",
    [
        "GET /data/websocket?token=hush&x=1",
        "GET /?x=1&KEY=hush",
        "could not connect to redis://user:hush@127.0.0.1:6379/0",
        "Cookie: sessionid=hush",
    ],
)
def test_secrets_in_addresses_are_blotted_out(text: str) -> None:
    assert "hush" not in line(text)
    assert text[:5] in line(text)
