"""The ratios to nginx as a picture: each row a load, a longer bar is more CPU, on a logarithmic scale."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

LEFT, RIGHT, TOP = 290, 70, 74
WIDTH = 960
BAR, GAP = 15, 12
LEAST = 0.5
TICKS = (0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)
COLOURS = {
    "Forebay": "#1f5fbf",
    "nginx": "#6b7280",
    "LiteLLM": "#c2410c",
    "Portkey": "#7c3aed",
    "ferrogw": "#0f766e",
    "smg": "#a16207",
}
OTHER = "#334155"


@dataclass(frozen=True)
class Bars:
    """One load."""

    label: str
    ratios: Sequence[tuple[str, float]]
    """By system."""
    goal: float | None = None


def svg(title: str, note: str, rows: Sequence[Bars]) -> str:
    """Readable by itself, on light and dark pages."""
    most = max([2.0, *(ratio for row in rows for _, ratio in row.ratios), *(row.goal or 0 for row in rows)]) * 1.15
    bars = sum(len(row.ratios) for row in rows)
    bottom = TOP + bars * (BAR + 2) + len(rows) * GAP
    height = bottom + 40
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="system-ui, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="16" y="26" font-size="17" font-weight="600" fill="#111827">{escape(title)}</text>',
        f'<text x="16" y="46" fill="#4b5563">{escape(note)}</text>',
    ]
    for tick in (tick for tick in TICKS if tick <= most):
        x = _x(tick, most)
        weight = ' stroke-width="1.5" stroke="#6b7280"' if tick == 1 else ' stroke="#e5e7eb"'
        lines.append(f'<line x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom}"{weight}/>')
        lines.append(f'<text x="{x:.1f}" y="{bottom + 16}" text-anchor="middle" fill="#4b5563">{tick:g}x</text>')
    y = float(TOP)
    for row in rows:
        lines += _row(row, y, most)
        y += len(row.ratios) * (BAR + 2) + GAP
    lines.append("</svg>")
    return "\n".join(lines) + "\n"


def _row(row: Bars, y: float, most: float) -> Iterator[str]:
    middle = y + len(row.ratios) * (BAR + 2) / 2 + 3
    yield f'<text x="16" y="{middle:.1f}" fill="#111827">{escape(row.label)}</text>'
    one = _x(1, most)
    goal = one if row.goal is None else _x(row.goal, most)
    for number, (system, ratio) in enumerate(row.ratios):
        top, end = y + number * (BAR + 2), _x(max(ratio, LEAST), most)
        colour = COLOURS.get(system, OTHER)
        left, width = min(one, end), max(abs(end - one), 1.5)
        yield f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{BAR}" fill="{colour}"/>'
        told = f"{ratio:,.0f}x" if ratio >= 100 else f"{ratio:.1f}x"
        text = f"{told} {system}" if len(row.ratios) > 1 else told
        yield f'<text x="{max(end, one, goal) + 5:.1f}" y="{top + 12:.1f}" fill="#111827">{escape(text)}</text>'
    if row.goal is not None:
        x, bottom = goal, y + len(row.ratios) * (BAR + 2)
        ends = f'x1="{x:.1f}" y1="{y - 3:.1f}" x2="{x:.1f}" y2="{bottom + 1:.1f}"'
        yield f'<line {ends} stroke="#dc2626" stroke-width="2"/>'


def _x(ratio: float, most: float) -> float:
    share = math.log(ratio / LEAST) / math.log(most / LEAST)
    return LEFT + share * (WIDTH - LEFT - RIGHT - 60)
