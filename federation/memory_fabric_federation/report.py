"""What a run's history says: gains by site, and the loss as text and as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

_BARS = "▁▂▃▄▅▆▇█"
_COLOURS = ("#2a6f97", "#c2571a", "#3a7d44", "#7b4b94", "#8a6d3b")
_WIDE, _HIGH, _EDGE = 640, 320, 48


@dataclass(frozen=True)
class Gain:
    """Held-out loss at one site, in nats a token: of the base model, of the federated one."""

    site: str
    heldout: int
    base: float
    tuned: float

    @property
    def gain(self) -> float:
        """How much lower the federated model's loss is."""
        return self.base - self.tuned


def gains(state: Mapping[str, Any]) -> list[Gain]:
    """Sites whose loss was measured in the first round, before anything was trained, and in the
    last, after everything was.
    """
    first = [entry for entry in state["history"] if entry["round"] == 1 and entry["quorum"]]
    last = [entry for entry in state["history"] if not entry["trained"] and entry["quorum"]]
    if not first or not last:
        return []
    before, after = _losses(first[-1]), _losses(last[-1])
    return [
        Gain(site, before[site][0], before[site][1], after[site][1])
        for site in sorted(before.keys() & after.keys())
    ]


def _losses(entry: Mapping[str, Any]) -> dict[str, tuple[int, float]]:
    facts = {item["site"]: item["facts"] for item in entry["accepted"]}
    return {
        site: (told["heldout"], told["loss"])
        for site, told in facts.items()
        if told["loss"] is not None
    }


def curves(state: Mapping[str, Any]) -> dict[str, list[float]]:
    """Training loss by site, all rounds one after another."""
    found: dict[str, list[float]] = {}
    for entry in state["history"]:
        for item in entry["accepted"] if entry["quorum"] else ():
            if item["facts"]["losses"]:
                found.setdefault(item["site"], []).extend(item["facts"]["losses"])
    return found


def curve_in_text(state: Mapping[str, Any]) -> list[str]:
    """The curves, a line a site."""
    found = curves(state)
    values = [loss for losses in found.values() for loss in losses]
    if not values:
        return []
    low, high = min(values), max(values)
    step = (high - low) / (len(_BARS) - 1) or 1.0
    return [
        f"{site:>8} {losses[0]:.2f} "
        + "".join(_BARS[round((loss - low) / step)] for loss in losses)
        + f" {losses[-1]:.2f}"
        for site, losses in sorted(found.items())
    ]


def loss_curve(state: Mapping[str, Any]) -> str:
    """The curves as an SVG picture."""
    found = sorted(curves(state).items())
    values = [loss for _, losses in found for loss in losses] or [0.0, 1.0]
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    steps = max([len(losses) for _, losses in found] or [2])

    def at(number: int, loss: float) -> str:
        x = _EDGE + number * (_WIDE - 2 * _EDGE) / max(steps - 1, 1)
        y = _EDGE + (high - loss) * (_HIGH - 2 * _EDGE) / span
        return f"{x:.1f},{y:.1f}"

    lines = []
    for index, (site, losses) in enumerate(found):
        colour = _COLOURS[index % len(_COLOURS)]
        points = " ".join(at(number, loss) for number, loss in enumerate(losses))
        lines.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.6" points="{points}"/>'
            f'<text x="{_WIDE - _EDGE + 4}" y="{_EDGE + 14 * index}" fill="{colour}">'
            f"{escape(site)}</text>"
        )
    axis = f"M{_EDGE},{_EDGE} V{_HIGH - _EDGE} H{_WIDE - _EDGE}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDE + 40} {_HIGH}" '
        'font-family="sans-serif" font-size="11">'
        f"<title>Training loss of run {escape(state['run'])}</title>"
        f'<path d="{axis}" fill="none" stroke="#888"/>'
        f'<text x="6" y="{_EDGE + 4}">{high:.2f}</text><text x="6" y="{_HIGH - _EDGE}">{low:.2f}'
        f'</text><text x="{_EDGE}" y="{_HIGH - 16}">optimizer steps, all rounds; nats a token'
        f"</text>{''.join(lines)}</svg>\n"
    )
