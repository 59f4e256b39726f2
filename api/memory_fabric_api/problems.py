"""Every error as an RFC 9457 problem document with a stable code, and nothing of the request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from memory_fabric.core.errors import InputError, MemoryFabricError, NotFound, Unauthenticated

MEDIA_TYPE = "application/problem+json"
TOO_LARGE = int(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
_MAX_FIELDS = 20
"""Wrong fields that one problem names at most."""


class BodyTooLarge(InputError):
    """A request's body is longer than the server reads."""

    http_status = TOO_LARGE


class MethodUnknown(InputError):
    """The path is known, and not with this method."""

    http_status = int(HTTPStatus.METHOD_NOT_ALLOWED)


class Rule(BaseModel):
    """A rule of the policy bundle, as its readers know it."""

    id: str = Field(examples=["special-needs-consent"])
    title: str
    basis: str = Field(description="The law or contract that it stands on.")


class WrongField(BaseModel):
    """Where a request is wrong. Its value is never repeated."""

    path: str = Field(examples=["body.memories.0.label.consent"])
    reason: str = Field(examples=["enum"], description="What kind of error, as pydantic names it.")


class Problem(BaseModel):
    """RFC 9457. Decide by `code`: `docs/reference/errors.md` lists them all."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:memory-fabric:error:scope-missing"])
    title: str = Field(description="What happened.")
    status: int
    detail: str = Field(description="What to do about it.")
    code: str = Field(examples=["scope-missing"])
    exit_code: int = Field(description="What the command line would exit with.")
    receipt: str | None = Field(None, description="The receipt that records the refusal.")
    rules: list[Rule] | None = Field(None, description="The rules that refused.")
    fields: list[WrongField] | None = Field(None, description="What is wrong with the request.")
    row: int | None = Field(None, description="Which of several memories is meant, from 0.")


_MEANING = {
    401: "No key, or a key that is not known here",
    403: "The key is not bound to this, or policy refuses it: `rules` says by which rules",
    404: "There is no such thing within the caller's scope",
    409: "It stands against what is stored: a duplicate id, another embedder",
    413: "The body is too long",
    422: "The request cannot be taken as it is",
    500: "Something failed inside, or a sealed file or the ledger was changed",
    503: "A part of the site is out of reach, or its policy bundle cannot be used",
}


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a call may answer with, for its OpenAPI description."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {"description": _MEANING[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in sorted(statuses)
    }


def schemas() -> dict[str, Any]:
    """JSON schemas of the problem document and its parts, for OpenAPI's components."""
    _, definitions = models_json_schema(
        [(Problem, "serialization")], ref_template="#/components/schemas/{model}"
    )
    return dict(definitions["$defs"])


def respond(error: MemoryFabricError) -> JSONResponse:
    """An error as its problem document."""
    headers = {}
    if isinstance(error, Unauthenticated):
        hint = "" if error.code == "api-key-missing" else ', error="invalid_token"'
        headers["www-authenticate"] = f'Bearer realm="memory-fabric"{hint}'
    return JSONResponse(error.problem(), error.http_status, headers, media_type=MEDIA_TYPE)


def invalid(fields: Sequence[Mapping[str, str]] = ()) -> InputError:
    """A request that is not of the described shape.

    Args:
        fields: path and reason of each wrong field.
    """
    return InputError(
        "request-invalid",
        "The request is not of the shape that this call takes.",
        "Compare the named fields with the API's description."
        if fields
        else "Send valid JSON with content-type application/json.",
        {"fields": [dict(field) for field in fields]} if fields else None,
    )


def install(app: FastAPI) -> None:
    """Let an app answer every error with a problem document."""

    @app.exception_handler(MemoryFabricError)
    async def known(_: Request, error: MemoryFabricError) -> JSONResponse:
        return respond(error)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> JSONResponse:
        found = [
            {"path": ".".join(_shown(part) for part in item["loc"]), "reason": item["type"]}
            for item in error.errors()[:_MAX_FIELDS]
        ]
        return respond(invalid(found))

    @app.exception_handler(HTTPException)
    async def protocol(_: Request, error: HTTPException) -> JSONResponse:
        return respond(_by_status(error.status_code))


def _shown(part: object) -> str:
    """One step of a path, if it looks like a field's name.

    A client's mistake may have put a memory where a name belongs.
    """
    text = str(part)
    known = isinstance(part, int) or (text.isidentifier() and text.isascii() and len(text) <= 30)
    return text if known else "?"


def _by_status(status: int) -> MemoryFabricError:
    match status:
        case HTTPStatus.NOT_FOUND:
            return NotFound(
                "path-unknown", "There is no such call.", "See /openapi.json for what there is."
            )
        case HTTPStatus.METHOD_NOT_ALLOWED:
            return MethodUnknown(
                "method-unknown",
                "This path has no such method.",
                "See /openapi.json for what there is.",
            )
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return BodyTooLarge(
                "body-too-large",
                "The body is longer than this server reads.",
                "Send it in several requests.",
            )
        case _:
            return invalid()
