"""A peer of the roster that does not keep to the protocol: it is left out, nothing else suffers.

Its letters are sealed and signed by its real keys, so that only what stands in them is wrong.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from memory_fabric.core.access import Requester, Role
from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import IntegrityViolated, Unavailable
from memory_fabric.core.places import Site
from memory_fabric.flows.answer import answer
from memory_fabric.flows.asking import Gathered, Outgoing, Query, ask_others
from memory_fabric.vault.binding import bind
from memory_fabric.vault.identity import SIGNING_SECRET, Signer, seal_to
from memory_fabric.vault.letters import Letter, SealedLetter
from memory_fabric.wiring import Home
from tests.system.homes import TENANT, ask, recalled, remember, reopened, site

CLASS = {
    "home": "GB", "tenant": TENANT, "data_class": "public", "personal": False, "special": [],
    "purposes": ["care"], "consent": "none", "legal_hold": False,
}  # fmt: skip
ITEM = {
    "id": "x", "form": "full", "class": CLASS, "memory": "tea", "vector": None, "embedder": "e",
    "score": 0.5, "rules": ["home-use"], "facts": {"memory_type": "semantic"},
}  # fmt: skip
RULE = {"id": "some-rule", "title": "Some rule", "basis": "Some law"}
ANSWER = {
    "kind": "answer", "items": [ITEM], "offered": [CLASS], "withheld": [RULE],
    "receipt": "5f0c2a9e4b7d1836a0c4e2f1",
}  # fmt: skip
LOW_SURROGATE = "\udc80"


class Liar:
    """In the place of the transport: a peer that answers what a test says."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.body: dict[str, Any] = ANSWER

    def exchange(self, site: Site, letter: bytes) -> bytes:
        asked = self.home.node.letters.open(letter)
        return self.sealed(self.body, asked, secrets.token_hex(16))

    def sealed(
        self, body: dict[str, Any], reply_to: Letter | None = None, name: str = "0" * 32
    ) -> bytes:
        """A letter as this site's program would never write it."""
        node = self.home.node
        envelope = canonical(
            {
                "from": "lon-1", "to": "fra-1", "id": name,
                "sent_at": node.clock.now().isoformat(),
                "in_reply_to": reply_to.id if reply_to else None,
            }
        )  # fmt: skip
        info = bind("memory-fabric/letter/1", envelope)
        sealed = seal_to(node.roster["fra-1"].sealing_key, json.dumps(body).encode(), info)
        signed = b"MFL1" + len(envelope).to_bytes(4, "big") + envelope + sealed
        return signed + Signer(node.keyring.secret(SIGNING_SECRET)).sign(signed)


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Home]]:
    folder = tmp_path_factory.mktemp("liars")
    paths = [site(folder, "fra-1", "DE"), site(folder, "lon-1", "GB")]
    with reopened(paths[0]) as fra:
        ask(fra, "link", address=str(paths[1]))
        remember(fra, "The kettle in Frankfurt is green.", "Anna")
        with reopened(paths[1]) as lon:
            yield fra, lon


@pytest.fixture
def liar(homes: tuple[Home, Home], monkeypatch: pytest.MonkeyPatch) -> Liar:
    liar = Liar(homes[1])
    monkeypatch.setattr(homes[0].node, "transport", liar)
    return liar


def grid(home: Home) -> dict[str, Any]:
    found = recalled(home, "Which colour is the kettle?", reach="grid")
    json.dumps(found, allow_nan=False).encode()
    return found


def with_item(**fields: Any) -> dict[str, Any]:
    return {**ANSWER, "items": [{**ITEM, **fields}]}


def with_class(**fields: Any) -> dict[str, Any]:
    return with_item(**{"class": {**CLASS, **fields}})


BAD_ANSWERS: dict[str, dict[str, Any]] = {
    "a class with an object for a flag": with_class(personal={}),
    "a class with a number for a flag": with_class(personal=1.5),
    "a class with a list for a tenant": with_class(tenant=[]),
    "a class with a text for a tenant": with_class(tenant="Anna takes warfarin. " * 50),
    "a class with half a character": with_class(purposes=[LOW_SURROGATE]),
    "a class with numbers for purposes": with_class(purposes=["care", 7]),
    "an offer with a text for a tenant": {**ANSWER, "offered": [{**CLASS, "tenant": "No Name"}]},
    "more offers than a site has classes": {**ANSWER, "offered": [CLASS] * 4097},
    "more items than were asked for": {**ANSWER, "items": [ITEM] * 11},
    "a torn vector": with_item(vector="AAA="),
    "a score that is no number": with_item(score=float("nan")),
    "facts that are no numbers": with_item(facts={"metadata": {"x": float("inf")}}),
    "facts that name a type that is none": with_item(facts={"memory_type": "\x1b[2J"}),
    "an id with a control": with_item(id="\x1b]52;c;eA==\x07"),
    "half a character in a text": with_item(memory="a" + LOW_SURROGATE),
    "a text for a receipt": {**ANSWER, "receipt": "Anna Schmidt takes warfarin"},
    "half a character for a receipt": {**ANSWER, "receipt": LOW_SURROGATE},
    "an object for a rule's id": {**ANSWER, "withheld": [{**RULE, "id": {}}]},
    "a number for a rule's id": {**ANSWER, "withheld": [RULE, {**RULE, "id": 7}]},
    "no objects": {**ANSWER, "items": [7], "offered": [7], "withheld": [7]},
}  # fmt: skip


def test_a_peer_that_keeps_to_the_protocol_is_heard(homes: tuple[Home, Home], liar: Liar) -> None:
    found = grid(homes[0])
    assert {item["site"] for item in found["results"]} == {"fra-1", "lon-1"}


@pytest.mark.parametrize("body", BAD_ANSWERS.values(), ids=BAD_ANSWERS.keys())
def test_a_bad_answer_leaves_out_its_peer_and_nothing_else(
    homes: tuple[Home, Home], liar: Liar, body: dict[str, Any]
) -> None:
    liar.body = body
    found = grid(homes[0])
    assert [item["site"] for item in found["results"]] == ["fra-1"]
    assert found["unreachable"] == [{"site": "lon-1", "code": "letter-malformed"}]
    receipt = json.dumps(ask(homes[0], "receipt_show", id=found["receipt"]))
    assert "warfarin" not in receipt
    assert "No Name" not in receipt


@pytest.mark.parametrize(
    "body",
    [{"kind": "erased", "memories": float("inf"), "keys": 1, "receipt": "x"}, {"kind": "what"}],
)
def test_an_erasure_is_told_even_where_a_peer_answers_nonsense(
    homes: tuple[Home, Home], liar: Liar, body: dict[str, Any]
) -> None:
    remember(homes[0], "Bert likes rye bread.", "Bert")
    liar.body = {"items": [], "withheld": [], **body}
    done = ask(homes[0], "forget", subject="Bert")
    assert done["erased"] == {"memories": 1, "keys": 1}
    assert done["unreachable"] == [{"site": "lon-1", "code": "letter-malformed"}]


# --- letters that ask ---------------------------------------------------------------------------


def question(**fields: Any) -> dict[str, Any]:
    query_class = {**CLASS, "data_class": "confidential", "personal": True}
    item = {**ITEM, "class": query_class, "memory": "kettle", "score": None, "facts": {}}
    return {
        "kind": "recall", "tenant": TENANT, "purpose": "care", "hint": None, "limit": 10,
        "memory_types": [], "created_after": None, "created_before": None, "threshold": "0.0",
        "items": [item], **fields,
    }  # fmt: skip


def replied(homes: tuple[Home, Home], liar: Liar, body: dict[str, Any]) -> dict[str, Any]:
    """What fra-1 answers to a question that lon-1 sends."""
    fra, lon = homes
    name = secrets.token_hex(16)
    reply = answer(fra.node, liar.sealed(body, name=name))
    return dict(lon.node.letters.open(reply, reply_to=SealedLetter(name, "fra-1", b"")).body)


BAD_QUESTIONS: dict[str, dict[str, Any]] = {
    "a salt of a megabyte": {"hint": ["00" * 2**20, "00" * 32]},
    "a mark that is none": {"hint": ["00" * 16, ""]},
    "a limit without end": {"limit": float("inf")},
    "a threshold that is none": {"threshold": "nan"},
    "a time without a zone": {"created_after": "2026-01-01T00:00:00"},
    "a query as long as a book": {"items": [{**ITEM, "memory": "kettle " * 10_000}]},
}


@pytest.mark.parametrize("fields", BAD_QUESTIONS.values(), ids=BAD_QUESTIONS.keys())
def test_a_bad_question_is_refused_as_malformed(
    homes: tuple[Home, Home], liar: Liar, fields: dict[str, Any]
) -> None:
    fra = homes[0]
    reply = replied(homes, liar, question(**fields))
    assert reply["items"] == []
    assert [rule["id"] for rule in reply["withheld"]] == ["undecidable"]
    receipt = ask(fra, "receipt_show", id=reply["receipt"])
    assert receipt["facts"]["error"] in {"letter-malformed", "text-too-long"}


def test_a_letter_s_name_is_no_place_for_text(homes: tuple[Home, Home], liar: Liar) -> None:
    with pytest.raises(IntegrityViolated, match="not from the site"):
        answer(homes[0].node, liar.sealed(question(), name="Anna Schmidt takes warfarin"))


def test_two_letters_about_one_subject_cannot_be_linked(
    homes: tuple[Home, Home], liar: Liar, monkeypatch: pytest.MonkeyPatch
) -> None:
    node, hints = homes[0].node, []
    asker = Requester("os:tester", TENANT, Role.OPERATOR)
    vector = node.embedder.embed(["tea"])[0]
    outgoing = Outgoing(asker, "care", "Anna", "tea", vector, Query("tea", "care", "Anna"))

    def heard(site: Site, letter: bytes) -> bytes:
        hints.append(homes[1].node.letters.open(letter).body["hint"])
        raise Unavailable("site-unreachable", "Nobody is there.")

    monkeypatch.setattr(liar, "exchange", heard)
    ask_others(node, outgoing, [node.roster["lon-1"]] * 2, Gathered())
    assert len(hints) == 2
    assert hints[0] != hints[1]
