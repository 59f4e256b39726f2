"""How the console says things: forms, acts and outcomes in plain English, moments, digests."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from memory_fabric.operations import heatmap

FORMS: Mapping[str, str] = {name: label for name, (label, _) in heatmap.FORMS.items()}
"""Every form, most permissive first."""

_ACTS: Mapping[str, str] = {
    "recall": "Recall",
    "query": "Question sent",
    "take_in": "Results taken in",
    "export": "Export",
    "send_update": "Model update sent",
    "train": "Training",
    "erase": "Erasure",
    "erase-confirmed": "Erasure confirmed",
    "relabel": "Label changed",
    "breakglass-close": "Closed an emergency",
    "breakglass-open": "Opened an emergency",
    "policy-install": "Installed rules",
    "remember": "Remembered",
    "terms": "Terms recorded",
    "scrub": "Bytes removed",
    "app-added": "Key made",
    "app-removed": "Key removed",
    "policy-proposed": "Rules proposed",
    "policy-approved": "Rules approved",
    "policy-withdrawn": "Proposal withdrawn",
}
_OUTCOMES: Mapping[str, str] = {
    "done": "Done",
    "partly_withheld": "Partly withheld",
    "denied": "Denied",
}


def form(name: str | None) -> str:
    """A form's name; ``None`` is nothing."""
    return FORMS.get(name or "nothing", str(name))


def act(name: str) -> str:
    """An act's name."""
    return _ACTS.get(name, name.replace("_", " ").replace("-", " ").capitalize())


def outcome(name: str) -> str:
    """An outcome's name."""
    return _OUTCOMES.get(name, name)


def moment(iso: str) -> str:
    """Day and minute, UTC."""
    at = datetime.fromisoformat(iso).astimezone(UTC)
    return f"{at.day} {at:%b %Y, %H:%M}"


def day(iso: str) -> str:
    """A day, UTC."""
    at = datetime.fromisoformat(iso).astimezone(UTC)
    return f"{at.day} {at:%b %Y}"


def short(digest: str) -> str:
    """The start of a long hexadecimal name."""
    return digest[:12]


def number(value: int) -> str:
    """With thin spaces between thousands."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def count(value: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{number(value)} {one if value == 1 else many or one + 's'}"


def listed(values: list[str], word: str = "and") -> str:
    """Words as a sentence lists them."""
    return f" {word} ".join(part for part in (", ".join(values[:-1]), *values[-1:]) if part)


def pretty(value: Mapping[str, Any]) -> str:
    """JSON for the eye."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)


FILTERS: Mapping[str, Callable[..., Any]] = {
    "form": form,
    "act": act,
    "outcome": outcome,
    "moment": moment,
    "day": day,
    "short": short,
    "number": number,
    "count": count,
    "listed": listed,
    "pretty": pretty,
}
"""By their names in templates."""
