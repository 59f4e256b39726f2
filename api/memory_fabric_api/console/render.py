"""Templates to pages."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastapi import Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from memory_fabric import operations
from memory_fabric_api.console import words
from memory_fabric_api.console.sessions import Session

STATIC = Path(__file__).parent / "static"
VERSIONS = {
    path.name: hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    for path in STATIC.iterdir()
    if path.is_file()
}
"""The files that pages load, each with a word that changes with its content."""

_NAVIGATION: Sequence[tuple[str, str, str]] = (
    ("overview", "Overview", "/console/"),
    ("rules", "Rules", "/console/rules"),
    ("explain", "Explain", "/console/explain"),
    ("matrix", "Matrix", "/console/matrix"),
    ("changes", "Changes", "/console/changes"),
    ("receipts", "Receipts", "/console/receipts"),
    ("erasures", "Erasures", "/console/erasures"),
    ("expiry", "What expires", "/console/expiry"),
)


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("memory_fabric_api.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= words.FILTERS
    made.globals |= {
        "navigation": _NAVIGATION,
        "asset": lambda name: f"/console/static/{name}?v={VERSIONS[name]}",
    }
    return made


_TEMPLATES = _environment()


def page(request: Request, template: str, status: int = 200, **told: Any) -> HTMLResponse:
    """A page of the console, or an error's."""
    session: Session | None = getattr(request.state, "session", None)
    home = request.app.state.home
    node = home.node
    text = _TEMPLATES.get_template(template).render(
        session=session,
        standing=operations.standing(home) if session else None,
        site={"id": node.me.site_id, "region": str(node.me.region)},
        **told,
    )
    return HTMLResponse(text, status)
