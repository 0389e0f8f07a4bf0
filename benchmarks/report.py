"""Fills the page between the marks `<!-- measured: name -->` and `<!-- end -->` from the results, and draws them."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from benchmarks import bars, pictures
from benchmarks.filters import COUNTS
from benchmarks.place import ROOT
from benchmarks.results import Results
from benchmarks.servers import OURS
from benchmarks.tables import COLUMNS, TITLES, table

PAGE = ROOT / "docs" / "benchmarks.md"
MARKED = re.compile(r"(<!-- measured: ([^>]+) -->\n).*?(<!-- end -->)", re.DOTALL)
# File → record, figure, what one part of it is, title.
BARS = {
    "together": ("together", "cpu", 1.0, "Together: server CPU seconds per million frames (less is better)"),
    "one-by-one": ("one by one", "cpu", 1.0, "One by one: server CPU seconds per million frames (less is better)"),
    "paced-p50": ("paced", "p50", 1.0, "20 changes/s to 1,000: half arrive within ms (less is better)"),
    "paced-p99": ("paced", "p99", 1.0, "20 changes/s to 1,000: 99 % arrive within ms (less is better)"),
    "toggle": ("toggle", "p50", 1.0, "One says, all hundred have it: p50 ms (less is better)"),
    "idle": ("idle", "each", 1024.0, "10,000 idle: KiB per connection (less is better)"),
    "own-filter": (
        "own filter",
        "cpu",
        1.0,
        "10,000 own filters: server CPU seconds per million changes (less is better)",
    ),
}


def texts(results: Results) -> dict[str, str]:
    """What stands between the marks, by name."""
    found = {record: table(record, results.of(record)) for record in results.scenarios() if record in COLUMNS}
    found["bars"] = bars.table(results)
    told = results.content["conditions"]
    turns = max((run["turn"] + 1 for run in results.content["measured"]), default=0)
    loads = sorted(run["load"] for run in results.content["measured"])
    found["conditions"] = (
        f"{told['date']}, {told['cores']} cores ({told['processor']}), Linux {told['linux']}, Python {told['python']}; "
        f"medians of {turns} turns, in brackets the least and the most; load average {loads[0]:.1f} to "
        f"{loads[-1]:.1f}, "
        f"half of the time below {loads[len(loads) // 2]:.1f}."
    )
    return found


def drawn(results: Results) -> Iterator[tuple[str, str]]:
    """(file, SVG)"""
    for name, (record, key, unit, title) in BARS.items():
        values = []
        for server, runs in results.of(record).items():
            if (middle := bars.middle(runs, key)) is not None:
                values.append((TITLES.get(server, server), middle / unit, server.startswith(OURS)))
        if values:
            yield name, pictures.bars(title, values)
    grown = {}
    for kind, runs in results.of("filters").items():
        points = [bars.middle(runs, str(count)) for count in COUNTS]
        if None not in points:
            grown[kind] = [point for point in points if point is not None]
    if grown:
        yield "filters", pictures.lines("A change beside N filters it does not pass: µs", COUNTS, grown)


def write(results: Results, page: Path | None) -> None:
    """Print everything; with `page` put it there, its pictures and the results beside it."""
    if not results.content["measured"]:
        return
    found = texts(results)
    for name, text in found.items():
        print(f"\n## {name}\n\n{text}")
    for run in results.content["measured"]:
        if "failed" in run:
            print(f"failed: {run['scenario']}, {run['server']}, turn {run['turn'] + 1}: {run['failed']}")
    if page is None:
        return
    beside = page.with_suffix("")
    beside.mkdir(exist_ok=True)
    for name, picture in drawn(results):
        (beside / f"{name}.svg").write_text(picture)
    shutil.copy(results.path, beside / "results.json")
    text = MARKED.sub(lambda m: f"{m[1]}{found.get(m[2], '*not measured*')}\n{m[3]}", page.read_text())
    page.write_text(text)
