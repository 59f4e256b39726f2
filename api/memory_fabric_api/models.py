"""The shapes that several calls share. What a word means is checked by the site, not here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from memory_fabric.core.access import Form
from memory_fabric.core.labels import Consent, DataClass
from memory_fabric.core.memory import MemoryType
from memory_fabric_api.problems import Rule

Moment = Annotated[
    str,
    Field(
        description="With its time zone.",
        examples=["2027-01-31T00:00:00Z"],
        json_schema_extra={"format": "date-time"},
    ),
]
Purpose = Annotated[
    str,
    Field(
        description="What for; a key that is bound to one purpose need not name it.",
        examples=["care"],
    ),
]
Subject = Annotated[str, Field(description="Whom it is about.", examples=["patient-7"])]
Named = Annotated[str, Path(alias="id", description="Its id.")]
Receipt = Annotated[
    str, Field(description="The receipt's id.", examples=["5f0c2a9e4b7d1836a0c4e2f1"])
]


def _no_null_defaults(schema: dict[str, Any]) -> None:
    for field in schema.get("properties", {}).values():
        if field.get("default", ...) is None:
            del field["default"]


class Shape(BaseModel):
    """What goes in or comes out."""

    model_config = ConfigDict(json_schema_extra=_no_null_defaults)


class Strict(Shape):
    """What a request holds: a field that is not known is refused, not ignored."""

    model_config = ConfigDict(extra="forbid")

    def given(self) -> dict[str, Any]:
        """The fields that the request set, as operations take them."""
        return self.model_dump(mode="json", exclude_unset=True)


def optional(**told: Any) -> Any:
    """A field that may be left out, and is not null when it is there."""
    return Field(default=None, **told)


class LabelFields(Strict):
    """What an app says about how a memory may be used; what is left out is decided strictly."""

    data_class: DataClass = optional(description="How confidential.")
    personal: bool = optional(description="Whether it is about people.")
    special: list[str] = optional(description="Special categories.", examples=[["health"]])
    purposes: list[str] = optional(description="What it may be used for.", examples=[["care"]])
    consent: Consent = optional(description="What the subjects said.")
    legal_hold: bool = optional(description="Whether it must be kept.")
    expires_at: Moment = optional()


class LabelClass(Shape):
    """A label without subjects and dates: what policy decides on."""

    home: str = Field(examples=["DE"])
    tenant: str
    data_class: DataClass
    personal: bool
    special: list[str]
    purposes: list[str]
    consent: Consent
    legal_hold: bool


class Result(Shape):
    """A memory in the form that policy lets out. The last four fields come with `full`."""

    id: str = Field(description="The memory's id; outside form `full` a pseudonym.")
    memory: str | None = Field(description="Null where the form carries no text.")
    score: float | None = Field(description="0 to 1, higher is better; 0 in lists.")
    form: Form
    site: str = Field(examples=["fra-1"])
    region: str = Field(examples=["DE"])
    rules: list[str] = Field(description="The rules that let it out.")
    embedding: list[float] | None = Field(description="Null where the form carries no vector.")
    embedder: str | None
    memory_type: MemoryType
    subjects: list[str] = optional()
    metadata: Mapping[str, JsonValue] = optional()
    created_at: Moment = optional()
    valid_at: Moment | None = None
    expires_at: Moment | None = None


class Withheld(Shape):
    """What a site keeps back, computed from policy alone: the same whatever is stored there."""

    site: str
    region: str
    rules: list[Rule]


class Unreachable(Shape):
    """A site that did not answer."""

    site: str
    code: str = Field(examples=["site-unreachable"])
