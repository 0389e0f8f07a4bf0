"""The watch over the log sees what it should."""

import logging

from tests.conftest import watch
from tests.logs import LogWatch


def watched() -> LogWatch:
    return LogWatch()


def record(level: int, text: str, name: str = "realtime.relay", **extra: object) -> logging.LogRecord:
    made = logging.LogRecord(name, level, __file__, 1, text, (), None)
    made.__dict__.update(extra)
    return made


def test_an_undeclared_warning_is_wrong() -> None:
    own = watched()
    own.handle(record(logging.WARNING, "odd"))
    assert own.finish() == ["WARNING realtime.relay: odd"]


def test_a_declared_record_is_taken_and_handed_over() -> None:
    own = watched()
    taken = own.expect("realtime", "set aside")
    own.handle(record(logging.ERROR, "3 was set aside"))
    assert own.finish() == []
    assert [r.getMessage() for r in taken] == ["3 was set aside"]


def test_a_declared_record_that_never_came_is_wrong() -> None:
    own = watched()
    own.expect("realtime", "set aside")
    own.expect("realtime", "perhaps", required=False)
    assert len(own.finish()) == 1


def test_a_declaration_does_not_cover_other_loggers_or_higher_levels() -> None:
    own = watched()
    own.expect("real", required=False)
    own.expect("realtime", level=logging.WARNING, required=False)
    own.handle(record(logging.ERROR, "worse"))
    assert own.finish() == ["ERROR realtime.relay: worse"]


def test_a_refused_request_is_no_surprise() -> None:
    own = watched()
    own.handle(record(logging.WARNING, "Not Found: /x", "django.request", status_code=404))
    assert own.finish() == []
    own.handle(record(logging.ERROR, "boom", "django.request", status_code=500))
    assert own.finish() != []


def test_the_watch_of_this_run_hears_the_log() -> None:
    # Once it was attached before Django's set-up, which dropped it: then nothing unexpected was ever found.
    assert watch in logging.getLogger().handlers
