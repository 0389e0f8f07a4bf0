"""One object at a time, by a statement that Django wrote once.

Most steps of the relay load one object. Django takes longer to write the statement down (0.9 ms in a process that had
been waiting, of 5 from commit to client) than PostgreSQL to answer it, and writes the same one each time.
"""

from __future__ import annotations

from typing import Any

from django.db import connections
from django.db.models import QuerySet
from django.db.models.sql.compiler import SQLCompiler


class Prepared:
    """For the querysets of one serializer, used by one thread."""

    def __init__(self) -> None:
        self._like: dict[str, Any] = {}
        self._compiler: SQLCompiler | None = None
        self._sql = ""

    def find(self, queryset: QuerySet[Any], pk: Any) -> list[Any]:
        """What `queryset.filter(pk=pk)` finds, in no order.

        The query is compared with that of the last call, all of it, and one that differs is written down anew.
        """
        if queryset.query.where:  # its values would stand among the parameters, and may be others next time
            return list(queryset.filter(pk=pk).order_by())
        connection = connections[queryset.db]
        key = queryset.model._meta.pk.get_db_prep_value(pk, connection)
        compiler = self._compiler
        if compiler is None or compiler.connection is not connection or queryset.query.__dict__ != self._like:
            like = queryset.query.__dict__
            queryset = queryset.filter(pk=pk).order_by()
            compiler = queryset.query.get_compiler(queryset.db)
            sql, params = compiler.as_sql()
            if tuple(params) != (key,):
                return list(queryset)
            self._compiler, self._sql, self._like = compiler, sql, like
        # All of the queryset but the writing: its iterable, what it fetches besides, and its hints are those of today.
        compiler.as_sql = lambda *args, **kwargs: (self._sql, (key,))  # type: ignore[method-assign]
        queryset.query.get_compiler = lambda *args, **kwargs: compiler  # type: ignore[method-assign]
        return list(queryset)
