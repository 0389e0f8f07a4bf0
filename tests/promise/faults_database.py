"""Databases that throw everybody out, restart, are locked, are full, or are put back to what they were."""

from __future__ import annotations

import contextlib
import resource
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg2
from django.db import connections

from tests.promise.faults import ON_POSTGRESQL, ON_SQLITE, Fault, fault


def postgresql(url: str) -> Any:
    connection = psycopg2.connect(url)
    connection.autocommit = True
    return contextlib.closing(connection)


class OfPostgreSQL(Fault):
    pairs = ON_POSTGRESQL
    stops_writers = True

    @property
    def url(self) -> str:
        return self.site.installation.url

    def run(self, sql: str, url: str = "") -> None:
        with postgresql(url or self.url) as connection, connection.cursor() as cursor:
            cursor.execute(sql)

    def throw_out(self) -> None:
        assert self.site.postgres is not None
        name = self.url.rpartition("/")[2]
        self.run(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'", self.site.postgres.url
        )


@fault("PostgreSQL ends every connection")
class ThrownOut(OfPostgreSQL):
    lasts = (0.1, 0.6)

    def begin(self) -> None:
        self.throw_out()

    def end(self) -> None:
        self.throw_out()


@fault("PostgreSQL restarts")
class PostgresRestarted(OfPostgreSQL):
    lasts = (0.1, 1.0)

    def begin(self) -> None:
        assert self.site.postgres is not None
        self.site.postgres.stop(self.variant("fast", "immediate"))

    def end(self) -> None:
        assert self.site.postgres is not None
        self.site.postgres.start()


@fault("a program holds the rows")
class Held(Fault):
    """Writers wait, and so does the last write; what shows the rows must not."""

    stops_writers = True
    lasts = (0.5, 1.5)

    def begin(self) -> None:
        if self.site.postgres:
            self._connection: Any = psycopg2.connect(self.site.installation.url)
            self._connection.cursor().execute(
                "UPDATE devices_device SET detail = 'phantom'; UPDATE devices_location SET icon = 'phantom'"
            )
        else:
            path = self.site.installation.url.removeprefix("sqlite:///")
            self._connection = sqlite3.connect(path, timeout=20, isolation_level=None)
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.execute("UPDATE devices_device SET detail = 'phantom'")

    def end(self) -> None:
        self._connection.rollback()
        self._connection.close()


@fault("the disk is full for the servers")
class DiskFull(Fault):
    """No file of a server grows: nothing can be marked as published, and no call of a client can write."""

    pairs = ON_SQLITE
    lasts = (0.5, 1.5)

    def begin(self) -> None:
        self.processes = self.site.processes()
        for process in self.processes:
            _, self.hard = resource.prlimit(process, resource.RLIMIT_FSIZE)
            resource.prlimit(process, resource.RLIMIT_FSIZE, (4096, self.hard))

    def end(self) -> None:
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(process, resource.RLIMIT_FSIZE, (self.hard, self.hard))


@fault("the database is put back to what it was")
class Restored(Fault):
    """As the operations manual says: servers ended, the copy in its place, `journal install --restored`, started. Every
    other time somebody forgets to say it; the copy has another identity, or its counter is behind."""

    stops_writers = True
    mended_in_peace = True
    lasts = (0.0, 0.1)

    def prepare(self) -> None:
        self.copy = self.site.installation.directory / "copy"
        self.crowd.listen()
        if self.site.postgres:
            self._tool("pg_dump", "-Fc", "-f", str(self.copy), self.site.installation.url)
        else:
            self.copy.unlink(missing_ok=True)
            path = self.site.installation.url.removeprefix("sqlite:///")
            with (
                contextlib.closing(sqlite3.connect(path, timeout=20)) as source,
                contextlib.closing(sqlite3.connect(self.copy)) as target,
            ):
                source.backup(target)

    def begin(self) -> None:
        self.said = self.number % 2 == 0
        self.detail = "and said so" if self.said else "and nobody said so"

    def end(self) -> None:
        site = self.site
        for process in [*site.servers]:
            process.process.terminate()
        for relay in site.relays:
            relay.end()
        for server in site.servers:
            server.process.wait(20)
        until_here = time.time()
        self.crowd.listen()
        connections.close_all()
        if site.postgres:
            self._put_back_postgresql()
        else:
            self._put_back_sqlite()
        self.crowd.audit.close()
        self.crowd.audit.restored(self.crowd.ledger, f"restored {until_here}")
        if self.said:
            site.installation.manage("journal", "install", "--restored")
        site.revive()

    def _put_back_postgresql(self) -> None:
        assert self.site.postgres is not None
        url, name = self.site.installation.url, self.site.installation.url.rpartition("/")[2]
        with postgresql(self.site.postgres.url) as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
            cursor.execute(f"CREATE DATABASE {name}")
        self._tool("pg_restore", "-d", url, str(self.copy))

    def _put_back_sqlite(self) -> None:
        path = Path(self.site.installation.url.removeprefix("sqlite:///"))
        for beside in ("-wal", "-shm"):
            path.with_name(path.name + beside).unlink(missing_ok=True)
        if self.number % 4 < 2:
            self.detail += ", as a new file"
            shutil.copy(self.copy, path.with_name("fresh"))
            path.with_name("fresh").replace(path)
        else:
            self.detail += ", into the old file"
            shutil.copy(self.copy, path)

    def _tool(self, name: str, *words: str) -> None:
        assert self.site.postgres is not None
        done = subprocess.run(
            [str(self.site.postgres.programs / name), *words], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
