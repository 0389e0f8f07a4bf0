"""The watch over the log sees what it should."""

import logging

from tests.logs import LogWatch


def watched() -> LogWatch:
    return LogWatch()


def record(level: int, text: str, name: str = "realtime.relay", **extra: object) -> logging.LogRecord:
    made = logging.LogRecord(name, level, __file__, 1, text, (), None)
    made.__dict__.update(extra)
    return made


def test_an_undeclared_warning_is_wrong() -> None:
    watch = watched()
    watch.handle(record(logging.WARNING, "odd"))
    assert watch.finish() == ["WARNING realtime.relay: odd"]


def test_a_declared_record_is_taken_and_handed_over() -> None:
    watch = watched()
    taken = watch.expect("realtime", "set aside")
    watch.handle(record(logging.ERROR, "3 was set aside"))
    assert watch.finish() == []
    assert [r.getMessage() for r in taken] == ["3 was set aside"]


def test_a_declared_record_that_never_came_is_wrong() -> None:
    watch = watched()
    watch.expect("realtime", "set aside")
    watch.expect("realtime", "perhaps", required=False)
    assert len(watch.finish()) == 1


def test_a_declaration_does_not_cover_other_loggers_or_higher_levels() -> None:
    watch = watched()
    watch.expect("real", required=False)
    watch.expect("realtime", level=logging.WARNING, required=False)
    watch.handle(record(logging.ERROR, "worse"))
    assert watch.finish() == ["ERROR realtime.relay: worse"]


def test_a_refused_request_is_no_surprise() -> None:
    watch = watched()
    watch.handle(record(logging.WARNING, "Not Found: /x", "django.request", status_code=404))
    assert watch.finish() == []
    watch.handle(record(logging.ERROR, "boom", "django.request", status_code=500))
    assert watch.finish() != []
