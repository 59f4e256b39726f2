"""A line chart with two logarithmic axes as SVG: no more than the benchmarks need."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 820, 380
LEFT, RIGHT, TOP, BOTTOM = 124, 280, 16, 44
COLOURS = ("#0072b2", "#d55e00", "#009e73")


@dataclass(frozen=True)
class Curve:
    """One line of a chart.

    Attributes:
        label: what the legend says.
        kind: curves of one kind share a colour.
        sealed: whole where true, dashed where false.
        points: number of rows and value, ascending.
    """

    label: str
    kind: str
    sealed: bool
    points: Sequence[tuple[int, float]]


def lines(curves: Sequence[Curve], unit: str) -> str:
    """The curves over the numbers of rows."""
    rows = sorted({count for curve in curves for count, _ in curve.points})
    every = [value for curve in curves for _, value in curve.points]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))

    def x(count: float) -> float:
        share = math.log(count / rows[0]) / (math.log(rows[-1] / rows[0]) or 1)
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        share = (math.log10(value) - low) / max(high - low, 1)
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
    ]
    for power in range(low, high + 1):
        at = y(10**power)
        parts += [
            f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>',
            f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">'
            f"{10**power:,.9g} {unit}</text>",
        ]
    for count in rows:
        place = f'x="{x(count):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle"'
        parts.append(f"<text {place}>{count:,}</text>")
    parts.append(f'<text x="{LEFT}" y="{HEIGHT - 6}">rows</text>')
    kinds = dict.fromkeys(curve.kind for curve in curves)
    colours = dict(zip(kinds, COLOURS, strict=False))
    for number, curve in enumerate(curves):
        colour = colours[curve.kind]
        dashes = "" if curve.sealed else ' stroke-dasharray="5 4"'
        style = f'stroke="{colour}" stroke-width="2"{dashes}'
        points = [(x(count), y(value)) for count, value in curve.points]
        path = "L".join(f"{across:.1f} {down:.1f}" for across, down in points)
        legend, down = WIDTH - RIGHT + 16, TOP + 14 + 22 * number
        parts += [
            f'<path d="M{path}" fill="none" {style}/>',
            *(f'<circle cx="{a:.1f}" cy="{d:.1f}" r="3" fill="{colour}"/>' for a, d in points),
            f'<path d="M{legend} {down}h24" {style}/>',
            f'<text x="{legend + 30}" y="{down + 4}">{curve.label}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
