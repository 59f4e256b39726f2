"""The sealed stack, through what an app or an operator can call: nothing here skips the gate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from corpus import CLASSES, TOP, Corpus, Floats

from memory_fabric import operations
from memory_fabric.core.access import Requester
from memory_fabric.core.drafts import Draft
from memory_fabric.core.labels import ClassState, Consent, DataClass, LabelClass
from memory_fabric.core.memory import Vector
from memory_fabric.core.model_ports import Embedder
from memory_fabric.core.places import Region
from memory_fabric.core.records import Scope
from memory_fabric.flows.remember import remember
from memory_fabric.wiring import create_home, open_home

TENANT = "bench"
REGION = "DE"


class GivenVectors:
    """An embedder that knows the queries' vectors: embedding is not what is measured."""

    id = "benchmark"
    name = "given vectors"

    def __init__(self, corpus: Corpus) -> None:
        self.dim = corpus.asked.shape[1]
        self._known = {
            text: vector.tobytes()
            for text, vector in zip(corpus.questions, corpus.asked, strict=True)
        }

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        return [self._known[text] for text in texts]


def label_class(number: int) -> LabelClass:
    """One of the hundred. All serve care; every second one research; the first alone fraud."""
    rest = number // 2
    also = ("support", "operations", "training")
    purposes = {"care", *(word for bit, word in enumerate(also) if rest >> bit & 1)}
    if number % 2 == 0:
        purposes.add("research")
    if number == 0:
        purposes.add("fraud")
    return LabelClass(
        home=Region(REGION),
        tenant=TENANT,
        data_class=list(DataClass)[rest >> 3 & 3],
        personal=True,
        special=frozenset(),
        purposes=frozenset(purposes),
        consent=Consent.GIVEN if rest >> 5 & 1 else Consent.NONE,
    )


LABEL_CLASSES = [label_class(number) for number in range(CLASSES)]


class Sealed:
    """One site's home."""

    def __init__(self, path: Path, corpus: Corpus, embedder: Embedder) -> None:
        self._path = path
        self._corpus = corpus
        self._embedder = embedder
        self._numbers: dict[bytes, int] = {}
        create_home(path, site_id="bench-1", region=REGION, tenants=[TENANT], embedder=embedder)
        self.home = open_home(path, embedder=embedder)
        self.home.declare(LABEL_CLASSES)

    @property
    def requester(self) -> Requester:
        return operations.operator(self.home, "bench", TENANT)

    def drafts(self, start: int, stop: int, *, named: bool = True) -> list[Draft]:
        """Rows as an app hands them over, each with its vector and, if named, its number as id."""
        corpus = self._corpus
        labels = [LABEL_CLASSES[number] for number in corpus.classes[start:stop]]
        return [
            Draft(
                text=corpus.texts[row],
                id=str(row) if named else None,
                subjects=(f"person-{corpus.subjects[row]}",),
                data_class=label.data_class,
                personal=label.personal,
                purposes=label.purposes,
                consent=label.consent,
                vector=corpus.vectors[row].tobytes(),
                embedder=self._embedder.id,
            )
            for row, label in zip(range(start, stop), labels, strict=True)
        ]

    def ingest(self, drafts: Sequence[Draft]) -> None:
        remember(self.home.node, self.requester, drafts)

    def open_and_answer(self) -> None:
        """Open the home and answer a first recall."""
        self.home.close()
        self.home = open_home(self._path, embedder=self._embedder)
        self.recall(0)

    def close(self) -> None:
        self.home.close()

    def vector_search(self, number: int, share: float = 1.0) -> list[bytes]:
        return self._search(None, self._corpus.asked[number], share)

    def rows(self, rids: Sequence[bytes]) -> list[int]:
        """The numbers of the rows with these record ids."""
        if not self._numbers:
            find = self.home.node.copy.find
            found = ((find(TENANT, str(number)), number) for number in range(len(self._corpus)))
            self._numbers = {row.rid: number for row, number in found if row}
        return [self._numbers[rid] for rid in rids]

    def text_search(self, number: int) -> list[bytes]:
        return self._search(self._corpus.questions[number], None)

    def hybrid_search(self, number: int, share: float = 1.0) -> list[bytes]:
        return self._search(self._corpus.questions[number], self._corpus.asked[number], share)

    def recall(self, number: int, purpose: str = "care") -> list[int]:
        """A whole recall: gate, search, opening, duties, receipt, answer."""
        found = operations.run(
            self.home,
            "search",
            {"os_user": "bench"},
            {"query": self._corpus.questions[number], "purpose": purpose, "all_subjects": True},
        )
        return [int(result["id"]) for result in found["results"]]

    def recall_about(self, number: int) -> None:
        """A whole recall about one subject."""
        operations.run(
            self.home,
            "search",
            {"os_user": "bench"},
            {
                "query": self._corpus.questions[number],
                "purpose": "care",
                "subject": f"person-{self._corpus.subjects[number]}",
            },
        )

    def _search(self, text: str | None, vector: Floats | None, share: float = 1.0) -> list[bytes]:
        """The search copy alone; of the classes every second one for a half, the first for 1%."""
        node = self.home.node
        permitted = LABEL_CLASSES[:: round(1 / share)]
        scope = Scope(
            TENANT, frozenset(ClassState(item) for item in permitted), None, node.clock.now()
        )
        raw = None if vector is None else vector.tobytes()
        return [hit.rid for hit in node.copy.search(text, raw, scope, TOP)]
