"""One event, one line: text from outside cannot forge a second one, and secrets in addresses are blotted out."""

import logging
import re
from datetime import UTC, datetime

# Old clients put their token into the query string; whatever is named like a secret there is not written down.
SECRETS = re.compile(r"((?:token|key|ticket|password|secret|sessionid)=)[^&\s\"']+", re.IGNORECASE)
CREDENTIALS = re.compile(r"(\w+://[^/\s:@]*:)[^@\s/]+@")
CONTROL = {number: f"\\x{number:02x}" for number in (*range(32), 127, *range(128, 160))} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


class LineFormatter(logging.Formatter):
    """Time in UTC, level, logger, message; a traceback follows on the same line, its lines joined by `|`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        record.message = record.getMessage()
        record.asctime = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = self.formatMessage(record).translate(CONTROL)
        if record.exc_info:
            trace = self.formatException(record.exc_info).splitlines()
            line += " | " + " | ".join(part.strip().translate(CONTROL) for part in trace)
        return CREDENTIALS.sub(r"\1…@", SECRETS.sub(r"\1…", line))


class WithoutTrace(logging.Filter):
    """For loggers whose traces say too much: Django's templates tell, of every name that is not there, all that is,
    with the request and its address."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.exc_info = record.exc_text = None
        return True
