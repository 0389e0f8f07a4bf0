"""What Marshlight is held to, and whether this run showed it."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.results import Results
from benchmarks.servers import OURS, PEERS
from benchmarks.tables import TITLES, good, markdown, number

Measured = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True)
class Verdict:
    what: str
    bar: str
    found: str
    holds: bool | None


def ratio(measured: Measured, key: str, other: str, ours: str = OURS) -> float | None:
    """The median over the turns of `other` / ours, both of the same turn."""
    mine = {run["turn"]: run[key] for run in good(measured.get(ours, []))}
    pairs = [run[key] / mine[run["turn"]] for run in good(measured.get(other, [])) if run["turn"] in mine]
    return statistics.median(pairs) if pairs else None


def middle(runs: list[dict[str, Any]], key: str) -> float | None:
    values = [run[key] for run in good(runs) if run.get(key) is not None]
    return statistics.median(values) if values else None


def judged(what: str, bar: str, value: float | None, holds: Callable[[float], bool], unit: str = "") -> Verdict:
    if value is None:
        return Verdict(what, bar, "not measured", None)
    return Verdict(what, bar, number(value) + unit, holds(value))


def verdicts(results: Results) -> Iterator[Verdict]:
    of = results.of
    yield judged(
        "together: CPU per frame, plain Tornado / Marshlight", "≥ 50", ratio(of("together"), "cpu", "tornado"),
        lambda x: x >= 50,
    )  # fmt: skip
    single = of("one by one")
    yield judged("one by one: plain Tornado / Marshlight", "≥ 5.5", ratio(single, "cpu", "tornado"), lambda x: x >= 5.5)
    if limit := ratio(single, "cpu", "tornado", "limit"):
        yield Verdict(
            "one by one: plain Tornado / bare send(), the most there is on this machine", "", number(limit), None
        )
    yield judged("one by one: Marshlight / ws", "≤ 1.1", inverse(ratio(single, "cpu", "ws")), lambda x: x <= 1.1)
    for record, key in (
        ("together", "cpu"), ("one by one", "cpu"), ("paced", "p50"), ("toggle", "p50"), ("own filter", "cpu"),
        ("idle", "each"), ("slow readers", "cpu"),
    ):  # fmt: skip
        yield ahead(record, key, of(record))
    paced = of("paced")
    for key in ("p50", "p99"):
        yield judged(f"paced {key}: Marshlight / ws", "≤ 1", inverse(ratio(paced, key, "ws")), lambda x: x <= 1)
        yield judged(
            f"paced {key}: Marshlight / plain Tornado", "≤ 0.4", inverse(ratio(paced, key, "tornado")),
            lambda x: x <= 0.4,
        )  # fmt: skip
    yield judged(
        "save() to a client beyond the commit, PostgreSQL and Redis, p50", "≤ 5 ms",
        middle(of("save").get("postgresql+redis", []), "difference p50"), lambda x: x <= 5, " ms",
    )  # fmt: skip
    for kind in ("exact", "in"):
        runs = [{**run, "ratio": run["10000"] / run["1"]} for run in good(of("filters").get(kind, []))]
        yield judged(f"filters: {kind}, 10,000 / 1", "≤ 1.3", middle(runs, "ratio"), lambda x: x <= 1.3)
    storm = of("restart").get("postgresql+redis", [])
    yield judged("restart: refused of 5,000", "0", middle(storm, "refused"), lambda x: x == 0)
    yield judged("restart: statements per connection", "≤ 3", middle(storm, "statements each"), lambda x: x <= 3)
    one = middle(of("restart").get("postgresql+redis-one", []), "statements each")
    three = middle(storm, "statements each")
    more = None if one is None or three is None else (three - one) / 2
    yield judged("restart: statements per further subscription", "0", more, lambda x: x < 0.1)
    late = [{"late": run["all"] - run["window"]} for run in good(storm)]
    yield judged(
        "restart: all equal, beyond the jitter window", "≤ 10 s", middle(late, "late"), lambda x: x <= 10, " s"
    )
    slow = good(of("slow readers").get(OURS, []))
    yield judged("slow readers: closed with 4008, of 10", "10", middle(slow, "cut"), lambda x: x == 10)


def inverse(value: float | None) -> float | None:
    return None if value is None else 1 / value


def ahead(record: str, key: str, measured: Measured) -> Verdict:
    """Before every peer in Python that completed it."""
    ours = middle(measured.get(OURS, []), key)
    peers = {
        server: found
        for server, runs in measured.items()
        if server in PEERS and PEERS[server].python and server != "limit" and (found := middle(runs, key)) is not None
    }
    what = f"{record}: ahead of each Python peer ({LABELS[key]})"
    if ours is None or not peers:
        return Verdict(what, "yes", "not measured", None)
    best = min(peers, key=lambda server: peers[server])
    told = f"{number(ours)} beside {number(peers[best])} ({TITLES[best]})"
    return Verdict(what, "yes", told, ours <= peers[best])


LABELS = {"cpu": "CPU per frame", "p50": "p50 ms", "each": "bytes per connection"}


def table(results: Results) -> str:
    said = {True: "holds", False: "**missed**", None: "–"}
    rows = [(one.what, one.bar, one.found, said[one.holds]) for one in verdicts(results)]
    return markdown(["", "held to", "found", ""], rows)
