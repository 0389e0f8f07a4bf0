"""What a long run found, written after every fault, so that one that is killed still has its report."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.promise.installation import SCALE
from tests.promise.judge import NAMES
from tests.promise.trial import LIMIT, Verdict


class Report:
    """`<directory>/<pair>-<seed>.md` for people and `.json` for programs; beside them, what clients received of whom
    something was found."""

    def __init__(self, directory: Path, pair: str, seed: int, planned: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / f"{pair.replace('+', '-')}-{seed}.md"
        self._head = {"pair": pair, "seed": seed, "planned": planned, "scale": SCALE, "limit": LIMIT * SCALE}
        self._began = time.time()
        self.verdicts: list[Verdict] = []
        self._loads = [os.getloadavg()[0]]

    def add(self, verdict: Verdict) -> None:
        self.verdicts.append(verdict)
        self._loads.append(os.getloadavg()[0])
        for client, lines in verdict.trails.items():
            name = f"{self.path.stem}-{verdict.number}-{client.replace(' ', '-')}.txt"
            _put(self.path.with_name(name), "\n".join(lines))
        self.write()

    def write(self) -> None:
        document = {**self.summary(), "faults": [verdict.plain() for verdict in self.verdicts]}
        _put(self.path.with_suffix(".json"), json.dumps(document, indent=1))
        _put(self.path, self.text())

    def summary(self) -> dict[str, object]:
        times = sorted(self.times())
        return {
            **self._head,
            "done": len(self.verdicts),
            "minutes": round((time.time() - self._began) / 60, 1),
            "load": round(sum(self._loads) / len(self._loads), 1),
            "inside": sum(verdict.inside for verdict in self.verdicts),
            "found": dict(self.found()),
            "p50": round(percentile(times, 50), 3),
            "p99": round(percentile(times, 99), 3),
            "max": round(times[-1], 3) if times else 0.0,
            "writes": sum(verdict.writes for verdict in self.verdicts),
        }

    def found(self) -> Counter[str]:
        counts = Counter(dict.fromkeys(NAMES, 0))
        counts.update(finding.partition(":")[0] for verdict in self.verdicts for finding in verdict.findings)
        return counts

    def times(self) -> Iterable[float]:
        return (seconds for verdict in self.verdicts for seconds in verdict.equal.values() if seconds is not None)

    def text(self) -> str:
        told = self.summary()
        lines = [
            f"# {told['pair']}, seed {told['seed']}",
            "",
            f"{told['done']} of {told['planned']} faults in {told['minutes']} min, {told['inside']} with the last "
            f"write inside the outage, {told['writes']} writes. Load average {told['load']}, limit "
            f"{told['limit']:.1f} s (2 s × {told['scale']:g}).",
            "",
            "Found: " + ", ".join(f"{name} {count}" for name, count in self.found().items()) + ".",
            "",
            f"Until equal, over all clients: p50 {told['p50']} s, p99 {told['p99']} s, longest {told['max']} s.",
            "",
            "| fault | times | inside | longest outage | slowest to equal | found | writes refused | slowest write |",
            "|---|---|---|---|---|---|---|---|",
            *(self._line(kind) for kind in sorted({verdict.kind for verdict in self.verdicts})),
            "",
        ]
        for verdict in self.verdicts:
            if verdict.findings:
                lines += [f"## {verdict.number} {verdict.kind}: {verdict.detail}", ""]
                lines += [f"- {finding}" for finding in verdict.findings] + [""]
                lines += [f"- logged: `{line[:200]}`" for line in verdict.logged] + [""]
        return "\n".join(lines)

    def _line(self, kind: str) -> str:
        those = [verdict for verdict in self.verdicts if verdict.kind == kind]
        slowest = [verdict.slowest for verdict in those]
        cells = (
            kind,
            len(those),
            sum(verdict.inside for verdict in those),
            f"{max(verdict.outage for verdict in those):.1f} s",
            "never" if None in slowest else f"{max(seconds or 0.0 for seconds in slowest):.2f} s",
            sum(len(verdict.findings) for verdict in those) or "",
            sum(sum(verdict.refused.values()) for verdict in those) or "",
            f"{max(verdict.slowest_write for verdict in those):.2f} s",
        )
        return "| " + " | ".join(map(str, cells)) + " |"


def percentile(ordered: list[float], percent: int) -> float:
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] if ordered else 0.0


def _put(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}")
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(path)
