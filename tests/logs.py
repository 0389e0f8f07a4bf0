"""Log records that nobody expected fail the test they appear in."""

import logging
import re
from dataclasses import dataclass, field


@dataclass
class Expected:
    """One declared kind of record: which logger, which text, and whether a test without it is wrong."""

    logger: str
    pattern: str
    level: int
    required: bool
    records: list[logging.LogRecord] = field(default_factory=list)

    def takes(self, record: logging.LogRecord) -> bool:
        named = record.name == self.logger or record.name.startswith(self.logger + ".")
        if named and record.levelno <= self.level and re.search(self.pattern, record.getMessage()):
            self.records.append(record)
            return True
        return False


class LogWatch(logging.Handler):
    """Keeps every record from WARNING on; `expect` may be called before or after the record appears."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []
        self.expected: list[Expected] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not _is_refusal(record):
            self.records.append(record)

    def expect(
        self, logger: str, pattern: str = "", *, level: int = logging.CRITICAL, required: bool = True
    ) -> list[logging.LogRecord]:
        """Declare records of `logger` (and below it) whose message matches `pattern`, up to `level`.

        Returns the list that the matching records are put into when the test ends. With `required`, none is a failure.
        """
        expected = Expected(logger, pattern, level, required)
        self.expected.append(expected)
        return expected.records

    def finish(self) -> list[str]:
        """What is wrong, one line each; afterwards the watch is empty again."""
        records, self.records = self.records, []
        expected, self.expected = self.expected, []
        wrong = [_line(r) for r in records if not any(e.takes(r) for e in expected)]
        wrong += [
            f"expected of {e.logger}: {e.pattern!r}, never logged" for e in expected if e.required and not e.records
        ]
        return wrong


def _is_refusal(record: logging.LogRecord) -> bool:
    # An HTTP answer from 400 to 499 is logged as a warning; the test that asked for it asserts the status itself.
    status = getattr(record, "status_code", 0)
    return record.levelno == logging.WARNING and (400 <= status < 500 or record.name == "tornado.access")


def _line(record: logging.LogRecord) -> str:
    text = f"{record.levelname} {record.name}: {record.getMessage()}"
    return text + (f"\n{logging.Formatter().formatException(record.exc_info)}" if record.exc_info else "")
