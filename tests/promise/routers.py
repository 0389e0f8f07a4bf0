"""How many statements this server process has sent that name a table: what a reconnect may not cost."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from django.db.backends.signals import connection_created

from realtime.routers import Router, register, verb

_counts: Counter[str] = Counter()


def _count(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
    _counts.update(set(re.findall(r'"(\w+)"', str(sql))))
    return execute(sql, params, many, context)


def _watch(connection: Any, **kwargs: Any) -> None:
    if _count not in connection.execute_wrappers:
        connection.execute_wrappers.append(_count)


connection_created.connect(_watch, dispatch_uid="tests.promise")


@register
class StatementRouter(Router):
    route_name = "statements"

    @verb
    def count(self, table: str) -> int:
        return _counts[table]
