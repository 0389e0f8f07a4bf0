"""Does this SQL write?"""

import re

_START = r"\s*(?:/\*.*?\*/\s*|--[^\n]*\n\s*)*"
_WRITES = re.compile(_START + r"(INSERT|UPDATE|DELETE|REPLACE|MERGE|TRUNCATE|COPY)\b", re.I | re.S)
# A common table expression may end in a write, or on PostgreSQL contain one.
_MAY_WRITE = re.compile(_START + r"WITH\b.*\b(INSERT|UPDATE|DELETE|MERGE)\b", re.I | re.S)


def writes(sql: str) -> bool:
    """Whether the statement may change rows. A wrong yes costs a glance at the journal, a wrong no a poll interval."""
    return bool(_WRITES.match(sql) or _MAY_WRITE.match(sql))
