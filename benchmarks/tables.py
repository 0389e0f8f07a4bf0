"""Tables of what was measured: medians with their spread, one row per server."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.servers import NAMES

Runs = Sequence[dict[str, Any]]

TITLES = NAMES | {
    "marshlight-kept": "Marshlight, row in the database",
    "sqlite+memory": "SQLite, memory",
    "postgresql+redis": "PostgreSQL, Redis",
    "postgresql+redis-one": "PostgreSQL, Redis, one subscription each",
    "sqlite": "SQLite",
    "postgresql": "PostgreSQL",
}


def number(value: float) -> str:
    """Three digits that say something."""
    if value >= 1000:
        return f"{value:,.0f}"
    if value >= 100:
        return f"{value:.0f}"
    if value >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"


@dataclass(frozen=True)
class Column:
    """`key` of the measurements, divided by `unit`."""

    head: str
    key: str
    unit: float = 1.0
    spread: bool = False

    def cell(self, runs: Runs) -> str:
        values = [run[self.key] / self.unit for run in runs if run.get(self.key) is not None]
        if not values:
            return "–"
        told = number(statistics.median(values))
        if self.spread and len(values) > 1:
            told += f" ({number(min(values))}–{number(max(values))})"
        return told


MIB, KIB = 1 << 20, 1 << 10
CPU = Column("server CPU s / million frames", "cpu", spread=True)
RATE = Column("frames/s", "rate", spread=True)
P50 = Column("p50 ms", "p50", spread=True)
P99 = Column("p99 ms", "p99", spread=True)
BUSY = Column("server's core, %", "busy", 0.01)
RECEIVER = Column("receivers' core, %", "receiver", 0.01)
LOAD = Column("load", "load")
MEMORY = Column("memory MiB", "memory", MIB)

COLUMNS: dict[str, list[Column]] = {
    "together": [CPU, RATE, BUSY, RECEIVER, MEMORY, LOAD],
    "one by one": [CPU, RATE, BUSY, RECEIVER, MEMORY, LOAD],
    "in lockstep": [CPU, RATE, BUSY, RECEIVER, LOAD],
    "paced": [CPU, P50, P99, RATE, BUSY, RECEIVER, LOAD],
    "toggle": [Column("p50 ms, all 100 have it", "p50", spread=True), P99, CPU, LOAD],
    "idle": [
        Column("KiB each, connected", "each", KIB, spread=True),
        Column("KiB each, subscribed", "joined each", KIB),
        MEMORY,
        Column("core while idle, %", "busy", 0.01),
        Column("connects/s", "connects a second"),
        Column("subscribes/s", "joins a second"),
        LOAD,
    ],
    "own filter": [
        CPU,
        Column("delivered/s", "rate", spread=True),
        Column("offered/s", "offered"),
        Column("missing", "missing"),
        P50,
        P99,
        RECEIVER,
        LOAD,
    ],
    "slow readers": [
        Column("grown by MiB", "grown", MIB, spread=True),
        Column("unread MiB", "unread", MIB),
        Column("cut of 10", "cut"),
        Column("close code", "code"),
        Column("frames of 60 KiB/s to the others", "rate", spread=True),
        CPU,
        LOAD,
    ],
    "restart": [
        Column("clients", "connections"),
        Column("away s", "away"),
        Column("jitter window s", "window"),
        Column("half equal after s", "half", spread=True),
        Column("all equal after s", "all", spread=True),
        Column("refused", "refused"),
        Column("statements each", "statements each", spread=True),
        Column("CPU ms each", "cpu each"),
        LOAD,
    ],
    "save": [
        Column("commit p50 ms", "commit p50", spread=True),
        Column("p99", "commit p99"),
        Column("at the client p50 ms", "client p50", spread=True),
        Column("p99", "client p99"),
        Column("difference p50 ms", "difference p50", spread=True),
        LOAD,
    ],
    "relay": [Column("changes of one statement", "changes"), Column("arrived/s", "rate", spread=True), LOAD],
    "writer": [
        Column("one row a transaction, µs", "bare row", spread=True),
        Column("with the journal", "journal row", spread=True),
        Column("900 rows a statement, µs a row", "bare statement", spread=True),
        Column("with the journal", "journal statement", spread=True),
        LOAD,
    ],
    "filters": [Column(f"{count:,}", str(count), spread=count == 10_000) for count in (1, 100, 1_000, 10_000)],
}
FIRST = {
    "filters": "µs a change, beside so many that do not pass",
    "restart": "",
    "save": "",
    "relay": "",
    "writer": "",
}


def good(runs: Runs) -> list[dict[str, Any]]:
    return [run for run in runs if "failed" not in run]


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(heads) + " |", "|---" + "|---:" * (len(heads) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def table(record: str, measured: dict[str, list[dict[str, Any]]]) -> str:
    """Sorted as they are known; who failed says how often."""
    columns = COLUMNS[record]
    rows = []
    for server in sorted(measured, key=_order(measured)):
        runs, fine = measured[server], good(measured[server])
        title = TITLES.get(server, server)
        if len(fine) < len(runs):
            title += f" (failed {len(runs) - len(fine)} of {len(runs)})"
        rows.append([f"**{title}**" if server == "marshlight" else title, *(column.cell(fine) for column in columns)])
    return markdown([FIRST.get(record, "server"), *(column.head for column in columns)], rows)


def _order(measured: dict[str, Any]) -> Callable[[str], int]:
    known = list(TITLES)
    names = list(measured)
    return lambda server: known.index(server) if server in known else len(known) + names.index(server)
