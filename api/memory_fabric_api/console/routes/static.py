"""Style and script, from the package and from nowhere else."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import FileResponse

from memory_fabric.core.errors import NotFound
from memory_fabric_api.console.render import STATIC, VERSIONS

router = APIRouter()

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


@router.get("/static/{name}")
async def static(name: str, v: str = "") -> FileResponse:
    """A file; whoever asks for this very content may keep it."""
    kind = _TYPES.get(f".{name.rpartition('.')[2]}")
    if name not in VERSIONS or kind is None:
        raise NotFound("path-unknown", "There is no such page.", "Start from the overview.")
    kept = "public, max-age=31536000, immutable" if v == VERSIONS[name] else "no-store"
    return FileResponse(STATIC / name, media_type=kind, headers={"cache-control": kept})
