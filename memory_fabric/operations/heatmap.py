"""A matrix as a picture: SVG, light enough for a page and sharp enough for paper."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import Environment

FORMS: Mapping[str, tuple[str, str]] = {
    "full": ("In full", "#12405c"),
    "redacted": ("Redacted", "#2d7a9c"),
    "vectors_only": ("Vectors only", "#5fa8c4"),
    "noised_vectors": ("Noised vectors", "#94c9da"),
    "aggregate": ("Statistics", "#c5e2ea"),
    "nothing": ("Nothing", "#f0eeea"),
}
"""What each form is called, and its colour, from the most to the least."""
_CELL, _LEFT, _TOP = 14, 480, 130

_PICTURE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{ width }} {{ height }}" \
width="{{ width }}" height="{{ height }}" font-family="sans-serif" font-size="10" role="img">
<title>{{ title }}</title>
<rect width="100%" height="100%" fill="#ffffff"/>
<text x="10" y="22" font-size="15">{{ title }}</text>
{% for name, (label, colour) in forms.items() %}
<rect x="{{ 10 + loop.index0 * 105 }}" y="34" width="12" height="12" fill="{{ colour }}"/>
<text x="{{ 26 + loop.index0 * 105 }}" y="44">{{ label }}</text>
{% endfor %}
{% for site in sites %}
{% set x = left + loop.index0 * cell + 10 %}
<text transform="translate({{ x }} {{ top - 5 }}) rotate(-60)">{{ site }}</text>
{% endfor %}
{% for row in rows %}
{% set y = top + loop.index0 * cell %}
<text x="{{ left - 6 }}" y="{{ y + 11 }}" text-anchor="end">{{ row }}</text>
{% for item in row.cells %}
<rect x="{{ left + loop.index0 * cell }}" y="{{ y }}" width="{{ cell - 1 }}" \
height="{{ cell - 1 }}" fill="{{ forms[item.form or "nothing"][1] }}">\
<title>{{ row }} to {{ sites[loop.index0] }}: {{ forms[item.form or "nothing"][0] }} \
({{ item.rules|join(", ") }})</title></rect>
{% endfor %}
{% endfor %}
</svg>
"""
)


@dataclass(frozen=True)
class Group:
    """Rows of a matrix that are answered alike: a home, purposes, and the classes in few words."""

    home: str
    purposes: tuple[str, ...]
    classes: str
    cells: Sequence[Mapping[str, Any]]

    def __str__(self) -> str:
        return f"{self.home}, {', '.join(self.purposes)}: {self.classes}"


def picture(told: Mapping[str, Any], title: str) -> str:
    """The SVG of a matrix as ``policy_matrix`` tells it. Classes that are answered alike share a
    row, and each cell says its rules when it is pointed at.
    """
    sites = [site["label"] for site in told["sites"]]
    rows = [group for block in grouped(told) for group in block]
    return _PICTURE.render(
        title=title, forms=FORMS, sites=sites, rows=rows, cell=_CELL, left=_LEFT, top=_TOP,
        width=max(_LEFT + len(sites) * _CELL + _TOP, 700),
        height=_TOP + len(rows) * _CELL + 20,
    )  # fmt: skip


def grouped(told: Mapping[str, Any]) -> list[list[Group]]:
    """A matrix in blocks, one for each home and those purposes that are answered alike in it."""
    by_purpose: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in told["rows"]:
        by_purpose.setdefault((row["class"]["home"], row["purpose"]), []).append(row)
    blocks: dict[tuple[Any, ...], tuple[list[str], list[Group]]] = {}
    for (home, purpose), rows in by_purpose.items():
        answers = [[cell["form"] for cell in row["cells"]] for row in rows]
        groups = [
            Group(home, (), _classes([rows[n]["class"] for n in same]), rows[same[0]]["cells"])
            for same in alike(answers)
        ]
        key = (home, *((group.classes, tuple(c["form"] for c in group.cells)) for group in groups))
        blocks.setdefault(key, ([], groups))[0].append(purpose)
    return [
        [replace(group, purposes=tuple(purposes)) for group in groups]
        for purposes, groups in blocks.values()
    ]


def alike(answers: Iterable[Sequence[Any]]) -> list[list[int]]:
    """The positions of equal answers, in the order of each one's first."""
    groups: dict[tuple[Any, ...], list[int]] = {}
    for position, answer in enumerate(answers):
        groups.setdefault(tuple(answer), []).append(position)
    return list(groups.values())


def _classes(labels: list[Mapping[str, Any]]) -> str:
    """Classes that are answered alike, in few words; of consent only where it matters."""
    kinds: dict[str, list[str]] = {}
    for label in labels:
        about = ", ".join(label["special"]) or ("people" if label["personal"] else "nobody")
        words = kinds.setdefault(about, [])
        if label["data_class"] not in words:
            words.append(label["data_class"])
    told = "; ".join(f"about {about}: {', '.join(words)}" for about, words in kinds.items())
    consents = {label["consent"] for label in labels}
    return told if len(consents) > 1 else f"{told} (consent {consents.pop()})"
