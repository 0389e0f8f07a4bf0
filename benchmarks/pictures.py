"""Small SVG pictures, readable in light and dark: bars for servers, lines for growth. Both scales are logarithmic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

from benchmarks.tables import number

STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #24292f }
.faint { fill: #6e7781; font-size: 12px }
.bar { fill: #8c959f }
.ours { fill: #0969da }
.line { fill: none; stroke-width: 2 }
.grid { stroke: #d0d7de; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .faint { fill: #9198a1 } .grid { stroke: #30363d }
  .bar { fill: #6e7681 } .ours { fill: #58a6ff }
}
</style>"""
WIDTH, LEFT, RIGHT, ROW, TOP = 760, 210, 110, 24, 44
COLOURS = ("#0969da", "#1a7f37", "#bf8700", "#cf222e", "#8250df", "#57606a", "#bc4c00", "#1b7c83")


def _svg(height: int, parts: Sequence[str], title: str) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">'
    )
    return "\n".join(
        [head, STYLE, f'<text x="8" y="20" font-weight="600">{escape(title)}</text>', *parts, "</svg>", ""]
    )


def _decades(low: float, high: float) -> tuple[int, int]:
    return math.floor(math.log10(low)), max(math.ceil(math.log10(high)), math.floor(math.log10(low)) + 1)


def bars(title: str, values: Sequence[tuple[str, float, bool]]) -> str:
    """(name, value, ours) from the best to the worst; a bar's length is the logarithm."""
    values = sorted((one for one in values if one[1] > 0), key=lambda one: one[1])
    first, last = _decades(values[0][1], values[-1][1])
    scale = (WIDTH - LEFT - RIGHT) / (last - first)
    bottom = TOP + ROW * len(values)
    parts = []
    for decade in range(first, last + 1):
        x = LEFT + (decade - first) * scale
        parts.append(f'<line class="grid" x1="{x:.0f}" y1="{TOP - 6}" x2="{x:.0f}" y2="{bottom}"/>')
        parts.append(f'<text class="faint" x="{x:.0f}" y="{bottom + 16}" text-anchor="middle">{10.0**decade:g}</text>')
    for place, (name, value, ours) in enumerate(values):
        y, length = TOP + place * ROW, max(2.0, (math.log10(value) - first) * scale)
        parts.append(f'<text x="{LEFT - 8}" y="{y + 14}" text-anchor="end">{escape(name)}</text>')
        parts.append(
            f'<rect class="{"ours" if ours else "bar"}" x="{LEFT}" y="{y + 2}" width="{length:.1f}" '
            f'height="{ROW - 8}"/>'
        )
        parts.append(f'<text class="faint" x="{LEFT + length + 6:.1f}" y="{y + 14}">{number(value)}</text>')
    return _svg(bottom + 26, parts, title)


def lines(title: str, across: Sequence[int], values: Mapping[str, Sequence[float]]) -> str:
    """One line per name over the same points."""
    height, left, bottom = 320, 60, 280
    first, last = _decades(min(map(min, values.values())), max(map(max, values.values())))
    up = (bottom - TOP) / (last - first)
    wide = (WIDTH - left - 190) / (math.log10(across[-1]) - math.log10(across[0]))

    def at(x: float, y: float) -> tuple[float, float]:
        return left + (math.log10(x) - math.log10(across[0])) * wide, bottom - (math.log10(y) - first) * up

    parts = []
    for decade in range(first, last + 1):
        y = bottom - (decade - first) * up
        parts.append(f'<line class="grid" x1="{left}" y1="{y:.0f}" x2="{WIDTH - 190}" y2="{y:.0f}"/>')
        parts.append(f'<text class="faint" x="{left - 8}" y="{y + 4:.0f}" text-anchor="end">{10.0**decade:g}</text>')
    for x in across:
        parts.append(
            f'<text class="faint" x="{at(x, 10.0**first)[0]:.0f}" y="{bottom + 18}" text-anchor="middle">{x:,}</text>'
        )
    taken: list[float] = []
    for place, (name, points) in enumerate(sorted(values.items(), key=lambda item: -item[1][-1])):
        colour = COLOURS[place % len(COLOURS)]
        path = " ".join("{:.1f},{:.1f}".format(*at(x, y)) for x, y in zip(across, points, strict=True))
        parts.append(f'<polyline class="line" style="stroke: {colour}" points="{path}"/>')
        x, y = at(across[-1], points[-1])
        y = max([y, *(other + 15 for other in taken[-1:])])
        taken.append(y)
        parts.append(f'<text x="{x + 8:.0f}" y="{y + 4:.0f}" style="fill: {colour}">{escape(name)}</text>')
    return _svg(height, parts, title)
