"""What leaves masked is scored as it leaves: a score tells nothing of what the mask covers."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from memory_fabric.core.access import Act, Requester, Role
from memory_fabric.flows import reading
from memory_fabric.flows.asking import Outgoing, Query
from memory_fabric.flows.mentioned import mentioned
from memory_fabric.flows.reading import Filters
from memory_fabric.gate.gate import Ask
from memory_fabric.gate.permits import Shown
from memory_fabric.wiring import Home
from tests.system.homes import TENANT, ask, remember, reopened, site

ANNA = "Anna Schmidt rang about her knee."
DORA = "Dora Brown rang about her knee."


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("scores")
    paths = [site(folder, "fra-1", "DE"), site(folder, "lon-1", "GB")]
    with reopened(paths[0]) as fra:
        ask(fra, "link", address=str(paths[1]))
        remember(fra, ANNA, "Anna Schmidt")
        remember(fra, DORA, "Dora Brown")
        yield fra


def answered(
    home: Home, text: str | None, vector: bytes, threshold: float = 0.0
) -> tuple[Shown, ...]:
    """What a question from London gets from Frankfurt: redacted memories."""
    node = home.node
    asked = Requester("site:lon-1", TENANT, Role.APP)
    way = Ask(Act.RECALL, asked, "care", node.me, node.roster["lon-1"])
    found = reading.search(node, way, None, text, vector, Filters(threshold=threshold), 10)
    return tuple(found.data.items)


def test_a_masked_name_cannot_be_tested_by_the_scores(home: Home) -> None:
    query = "Anna Schmidt knee"
    items = answered(home, query, home.node.embedder.embed([query])[0])
    assert {item.memory for item in items} == {"[PERSON] rang about her knee."}
    assert len({item.score for item in items}) == 1


def test_nor_by_a_threshold(home: Home) -> None:
    query = "Anna Schmidt knee"
    vector = home.node.embedder.embed([query])[0]
    found = {len(answered(home, query, vector, threshold / 20)) for threshold in range(20)}
    assert found <= {0, 2}


def test_the_vector_of_an_unmasked_text_cannot_be_put_together_from_scores(home: Home) -> None:
    dim, embedder = home.node.embedder.dim, home.node.embedder

    def floats(vector: bytes) -> tuple[float, ...]:
        return struct.unpack(f"<{dim}f", vector)

    unmasked = [floats(vector)[:24] for vector in embedder.embed([ANNA, DORA])]
    masked = floats(embedder.embed(["[PERSON] rang about her knee."])[0])[:24]
    first = answered(home, None, embedder.embed(["knee"])[0])[0].id
    stolen = []
    for place in range(24):
        both = []
        for sign in (1.0, -1.0):
            axis = [sign * (at == place) for at in range(dim)]
            items = answered(home, None, struct.pack(f"<{dim}f", *axis))
            both.append(next(item.score or 0.0 for item in items if item.id == first))
        stolen.append(both[0] - both[1])
    assert not any(stolen == pytest.approx(vector, abs=1e-4) for vector in unmasked)
    assert stolen == pytest.approx(masked, abs=1e-4)


@pytest.mark.parametrize(
    "query",
    ["What does Anna Schmidt want?", "Is SCHMIDT better?", "anna's knee?", "Frau Schmi-\ndt?"],
)
def test_a_question_across_subjects_leaves_without_their_names(home: Home, query: str) -> None:
    node, said = home.node, []
    asker = Requester("os:tester", TENANT, Role.OPERATOR, all_subjects=True)
    vector = node.embedder.embed([query])[0]
    memory = Outgoing(asker, "care", None, query, vector, Query(query, "care")).memory(node)
    for there in ("lon-1",):
        way = Ask(Act.QUERY, asker, "care", node.me, node.roster[there])
        decisions = node.gate.decide(way, [memory.label.state(node.clock.now())])
        permit = node.gate.permit(way, decisions, None)
        data = node.duties.discharge(node.vault.vouch(permit, memory, node.clock.now()))
        said += [item.memory or "" for item in data.items]
    assert said
    assert all("[PERSON]" in text for text in said)
    assert not any(name in text.lower() for text in said for name in ("anna", "schmi"))


def test_many_subjects_that_share_a_word_are_no_burden() -> None:
    names = [f"patient-{number}" for number in range(10_000)]
    assert mentioned("Which patient drinks tea?", names) == ("patient",)
    assert "patient-7" in mentioned("How is Patient 7?", names)
    assert mentioned("Wie geht es Frau Mueller?", ["Eva Müller"]) == ("Müller",)
