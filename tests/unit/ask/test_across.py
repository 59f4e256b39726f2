"""Asking across a border: the model reads what came in, in the form that it came in."""

from __future__ import annotations

from pathlib import Path

from memory_fabric.core.access import Form
from memory_fabric.core.labels import Consent, DataClass, LabelClass
from memory_fabric.core.places import Region
from memory_fabric.flows.notes import notes_of
from memory_fabric.gate.permits import Shown
from memory_fabric.wiring import open_home
from tests.fakes.generator import ScriptedGenerator
from tests.system.homes import ask, remember, site


def test_masked_texts_stay_masked_and_name_their_site(tmp_path: Path) -> None:
    berlin, london = site(tmp_path, "ber-1", "DE"), site(tmp_path, "lon-1", "GB")
    with open_home(london) as home:
        remember(home, "Anna Muster prefers calls before nine.", "Anna Muster", purposes=["care"])
    model = ScriptedGenerator()
    with open_home(berlin, generator=model) as home:
        ask(home, "link", address=str(london))
        answer = ask(
            home, "ask", question="Which calls are preferred?", subject="Anna Muster",
            purpose="care", reach="grid",
        )  # fmt: skip
    assert answer["known"]
    (source,) = answer["citations"]
    assert (source["site"], source["form"]) == ("lon-1", "redacted")
    (prompt,) = model.prompts
    assert "before nine" in prompt
    assert "Anna" not in prompt + answer["answer"]


def test_vectors_are_no_notes() -> None:
    care = frozenset({"care"})
    kind = LabelClass(
        Region("DE"), "acme", DataClass.INTERNAL, False, frozenset(), care, Consent.NONE
    )

    def shown(form: Form, text: str | None) -> Shown:
        return Shown("m", form, kind, text, None if text else b"1234", "e", 0.9, (), {})

    found = [("fra-1", shown(Form.VECTORS_ONLY, None)), ("fra-1", shown(Form.REDACTED, "tea"))]
    assert [note.text for note in notes_of(found)] == ["tea"]
