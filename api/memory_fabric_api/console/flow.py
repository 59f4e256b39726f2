"""The picture of what crosses: ribbons from this region to each other one, as wide as the share of
label classes that policy lets go there in each form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memory_fabric_api.console.words import FORMS

_WIDTH = 880
_ROW, _BAND, _TOP = 92, 46, 34
_LEFT, _RIGHT = 190, 600
_BORDER = (_LEFT + _RIGHT) // 2


@dataclass(frozen=True)
class Ribbon:
    """One form's share on its way; what stays ends at the border."""

    form: str
    count: int
    path: str


@dataclass(frozen=True)
class Bound:
    """One other site and what reaches it."""

    site: str
    region: str
    y: float
    ribbons: tuple[Ribbon, ...]
    words: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """Geometry in the units of its view box."""

    width: int
    height: int
    left: int
    right: int
    border: int
    top: float
    tall: float
    bounds: tuple[Bound, ...]


def draw(flows: Sequence[Mapping[str, Any]]) -> Picture:
    """Ribbons for what ``operations.policy_flows`` tells under ``to``."""
    height = _TOP + max(1, len(flows)) * _ROW
    # They leave the home side by side, in the middle, and fan out to their rows.
    start = _TOP + (height - _TOP) / 2 - len(flows) * _BAND / 2
    bounds = []
    for number, flow in enumerate(flows):
        middle = _TOP + number * _ROW + _ROW / 2
        bounds.append(_bound(flow, start + number * _BAND, middle - _BAND / 2))
    tall = max(1, len(flows)) * _BAND
    return Picture(_WIDTH, height, _LEFT, _RIGHT, _BORDER, start, tall, tuple(bounds))


@dataclass(frozen=True)
class Part:
    """One form's share of a bar that is 100 wide."""

    form: str
    x: float
    width: float


def shares(flow: Mapping[str, Any]) -> list[Part]:
    """The same as one bar, for windows too narrow for ribbons."""
    allowed: Mapping[str, int] = flow["allowed"]
    total, parts, x = sum(allowed.values()) or 1, [], 0.0
    for form in FORMS:
        if count := allowed.get(form, 0):
            parts.append(Part(form, round(x, 2), round(100 * count / total, 2)))
            x += 100 * count / total
    return parts


def _bound(flow: Mapping[str, Any], left: float, right: float) -> Bound:
    allowed: Mapping[str, int] = flow["allowed"]
    total = sum(allowed.values()) or 1
    ribbons, words, offset = [], [], 0.0
    for form, name in FORMS.items():
        count = allowed.get(form, 0)
        if not count:
            continue
        wide = _BAND * count / total
        stays = form == "nothing"
        path = (
            _stub(left + offset, right + offset, wide)
            if stays
            else _ribbon(left + offset, right + offset, wide)
        )
        ribbons.append(Ribbon(form, count, path))
        words.append(f"{count} {'stay' if stays else name.lower()}")
        offset += wide
    return Bound(flow["site"], flow["region"], right + _BAND / 2, tuple(ribbons), tuple(words))


def _ribbon(y0: float, y1: float, wide: float) -> str:
    """From the home's edge to the other's, as a band between two curves."""
    x0, x1 = _LEFT, _RIGHT
    bend = (x0 + x1) / 2
    return (
        f"M{x0} {y0:.1f}C{bend} {y0:.1f} {bend} {y1:.1f} {x1} {y1:.1f}"
        f"V{y1 + wide:.1f}C{bend} {y1 + wide:.1f} {bend} {y0 + wide:.1f} {x0} {y0 + wide:.1f}Z"
    )


def _stub(y0: float, y1: float, wide: float) -> str:
    """The same band, cut where it meets the border: halfway, where the curve has its middle."""
    x0, x1 = _LEFT, (_LEFT + _RIGHT) / 2
    half = (y0 + y1) / 2
    near, far = x0 + (x1 - x0) / 2, x0 + (x1 - x0) * 0.75
    knee = y0 + (half - y0) / 2
    return (
        f"M{x0} {y0:.1f}C{near:.1f} {y0:.1f} {far:.1f} {knee:.1f} {x1:.1f} {half:.1f}"
        f"V{half + wide:.1f}C{far:.1f} {knee + wide:.1f} {near:.1f} {y0 + wide:.1f} {x0} "
        f"{y0 + wide:.1f}Z"
    )
