"""The sealed stack, through what an app or an operator can call: nothing here skips the gate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from corpus import CLASSES, TOP, Corpus
from side import Side, seconds

from memory_fabric import operations
from memory_fabric.core.drafts import Draft
from memory_fabric.core.labels import ClassState, Consent, DataClass, LabelClass
from memory_fabric.core.memory import Vector
from memory_fabric.core.places import Region
from memory_fabric.core.records import Scope
from memory_fabric.flows.remember import remember
from memory_fabric.wiring import Home, create_home, open_home

TENANT = "bench"
REGION = "DE"
WHO = {"os_user": "bench"}
STEADY = 1.2
"""At full speed, searches take no longer than this many times what they take in the end."""
UPKEEP = 300.0
"""Seconds that upkeep may go on after a bulk ingest."""
WINDOW = 0.25
"""Seconds over which that is looked at."""


class GivenVectors:
    """An embedder that knows the queries' vectors: embedding is not what is measured."""

    id = "benchmark"
    name = "given vectors"

    def __init__(self, corpus: Corpus) -> None:
        self.dim = corpus.dim
        self._known = {
            text: vector.tobytes()
            for text, vector in zip(corpus.questions, corpus.asked, strict=True)
        }

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        return [self._known[text] for text in texts]


def label_class(number: int) -> LabelClass:
    """One of the thousand. All serve care; every second one research; every hundredth fraud."""
    rest = number // 2
    also = ("support", "operations", "training")
    special = ("", "health", "genetic", "biometric", "ethnicity", "politics", "religion", "union")
    purposes = {"care", *(word for bit, word in enumerate(also) if rest >> bit & 1)}
    purposes |= {"research"} if number % 2 == 0 else set()
    purposes |= {"fraud"} if number % 100 == 0 else set()
    return LabelClass(
        home=Region(REGION),
        tenant=TENANT,
        data_class=list(DataClass)[rest >> 3 & 3],
        personal=True,
        special=frozenset({special[rest >> 6]} - {""}),
        purposes=frozenset(purposes),
        consent=Consent.GIVEN if rest >> 5 & 1 else Consent.NONE,
    )


LABEL_CLASSES = [label_class(number) for number in range(CLASSES)]
PURPOSES = {1.0: "care", 0.5: "research", 0.01: "fraud"}
"""What to ask for so that policy permits this share of the classes."""
STATES = {
    share: frozenset(ClassState(item) for item in LABEL_CLASSES[:: round(1 / share)])
    for share in PURPOSES
}
"""The same classes as the search copy is handed them: one set, kept with the cached decisions."""


class Sealed(Side):
    """One site's home."""

    home: Home

    def __init__(self, place: Path, corpus: Corpus) -> None:
        super().__init__(place, corpus)
        self._embedder = GivenVectors(corpus)
        self._rows: dict[bytes, int] = {}
        self._written = 0

    def version(self) -> str:
        return f"memory-fabric {version('memory-fabric')}, faiss-cpu {version('faiss-cpu')}"

    def create(self) -> None:
        create_home(
            self.place, site_id="bench-1", region=REGION, tenants=[TENANT], embedder=self._embedder
        )
        self._open()
        self.home.declare(LABEL_CLASSES)

    def ingest(self, start: int, stop: int, synced: bool) -> float:
        """Rows in one batch, acknowledged when they are on stable storage; seconds."""
        drafts = [self._draft(row, str(row)) for row in range(start, stop)]
        requester = operations.operator(self.home, "bench", TENANT)
        return seconds(lambda: remember(self.home.node, requester, drafts))

    def index(self) -> float:
        """What was acknowledged is found already; seconds until all work behind that is done."""
        start = time.perf_counter()
        while any(state.due for state in self.home.upkeep.states()):
            if time.perf_counter() > start + UPKEEP:
                raise TimeoutError("upkeep does not come to rest")
            time.sleep(0.1)
        self.find("hybrid", 0, 1.0)
        return time.perf_counter() - start

    def find(self, kind: str, number: int, share: float) -> list[Any]:
        """The search copy alone, narrowed to a share of the classes as policy would."""
        corpus, node = self.corpus, self.home.node
        text = None if kind == "vector" else corpus.questions[number]
        vector = None if kind == "text" else corpus.asked[number].tobytes()
        scope = Scope(TENANT, STATES[share], None, node.clock.now())
        return [hit.rid for hit in node.copy.search(text, vector, scope, TOP)]

    def numbers(self, found: list[Any]) -> list[int]:
        for rid in found:
            if rid not in self._rows:
                row = self.home.node.copy.row(rid)
                self._rows[rid] = int(row.memory_id) if row else -1
        return [self._rows[rid] for rid in found]

    # --- whole recalls -----------------------------------------------------------------------

    def recall(self, share: float = 1.0) -> dict[str, float]:
        """One turn of whole recalls: gate, search, opening, duties, receipt, answer."""
        return self._recalls(partial(self._recall, share=share))

    def recall_about(self) -> dict[str, float]:
        """The same about one subject."""
        return self._recalls(self._recall_about)

    def recall_parts(self) -> dict[str, float]:
        """Where the time of a recall goes: ms in each port, median over the queries."""
        node = self.home.node
        watched = {
            "search": (node.copy, "search"),
            "decide": (node.gate, "decide"),
            "fetch": (node.stack, "fetch"),
            "open": (node.vault, "open"),
            "duties": (node.duties, "discharge"),
            "receipt": (node, "commit"),
        }
        parts: dict[str, list[float]] = {name: [] for name in ("whole", *watched)}
        with _watching(watched) as spent:
            for number in range(len(self.corpus.questions)):
                spent.update(dict.fromkeys(watched, 0.0))
                parts["whole"].append(1000 * seconds(partial(self._recall, number)))
                for name in watched:
                    parts[name].append(1000 * spent[name])
        return {name: median(values) for name, values in parts.items()}

    def _recalls(self, recall: Callable[[int], Any]) -> dict[str, float]:
        queries = range(len(self.corpus.questions))
        for number in queries[:10]:
            recall(number)
        return {"ms": 1000 * median(seconds(partial(recall, number)) for number in queries)}

    def _recall(self, number: int, share: float = 1.0) -> list[Any]:
        return self._asked(number, {"purpose": PURPOSES[share], "all_subjects": True})

    def _recall_about(self, number: int) -> list[Any]:
        subject = f"person-{self.corpus.subjects[number]}"
        return self._asked(number, {"purpose": "care", "subject": subject})

    def _asked(self, number: int, scope: dict[str, Any]) -> list[Any]:
        asked = {"query": self.corpus.questions[number], **scope}
        answer = operations.run(self.home, "search", WHO, asked)
        found: list[Any] = answer["results"]
        return found

    # --- writing -----------------------------------------------------------------------------

    def write(self, count: int) -> list[float]:
        """Single rows with their embedding, one at a time, each acknowledged; ms each."""
        fields = [self._fields() for _ in range(count)]
        return [1000 * seconds(partial(self._add, one)) for one in fields]

    def writers(self, threads: int, each: int, lasting: float) -> float:
        """Single rows by many at once, acknowledged a second; at most ``each`` by each of them."""
        fields = [[self._fields() for _ in range(each)] for _ in range(threads)]
        start = time.perf_counter()

        def work(rows: list[dict[str, Any]]) -> int:
            for done, row in enumerate(rows):
                if time.perf_counter() > start + lasting:
                    return done
                self._add(row)
            return len(rows)

        with ThreadPoolExecutor(threads) as pool:
            written = sum(pool.map(work, fields))
        return written / (time.perf_counter() - start)

    def _add(self, fields: dict[str, Any]) -> None:
        operations.run(self.home, "add", WHO, {"memories": [fields]})

    def _fields(self) -> dict[str, Any]:
        """A further row as an app sends it."""
        row = self._written % len(self.corpus)
        self._written += 1
        draft = self._draft(row, f"more-{self._written}")
        return {
            "memory": draft.text,
            "id": draft.id,
            "subjects": list(draft.subjects),
            "embedding": self.corpus.vectors[row].tolist(),
            "embedder": draft.embedder,
            "label": {
                "data_class": str(draft.data_class),
                "personal": draft.personal,
                "special": sorted(draft.special),
                "purposes": sorted(draft.purposes),
                "consent": str(draft.consent),
            },
        }

    def _draft(self, row: int, name: str) -> Draft:
        corpus = self.corpus
        label = LABEL_CLASSES[corpus.classes[row]]
        return Draft(
            text=corpus.texts[row],
            id=name,
            subjects=(f"person-{corpus.subjects[row]}",),
            data_class=label.data_class,
            personal=label.personal,
            special=label.special,
            purposes=label.purposes,
            consent=label.consent,
            vector=corpus.vectors[row].tobytes(),
            embedder=self._embedder.id,
        )

    # --- opening -----------------------------------------------------------------------------

    def open(self) -> dict[str, Any]:
        """Open the home in this process and answer a first whole recall; seconds."""
        start = time.perf_counter()
        self._open()
        opened = time.perf_counter() - start
        self._recall(0)
        answered = time.perf_counter() - start
        told = operations.run(self.home, "status", WHO, {})["snapshot"]
        by = "snapshot" if told["behind"] is not None else "records"
        return {"opened": opened, "first_answer": answered, "by": by}

    def settle(self, lasting: float) -> dict[str, float]:
        """Search without pause: seconds until searches are as fast as they are in the end."""
        start = time.perf_counter()
        windows: list[float] = []
        while time.perf_counter() < start + lasting:
            took = []
            while time.perf_counter() < start + WINDOW * (len(windows) + 1):
                number = len(took) % len(self.corpus.asked)
                took.append(seconds(partial(self.find, "vector", number, 1.0)))
            windows.append(median(took) if took else windows[-1])
        steady = median(windows[len(windows) // 2 :])
        first = next(at for at, one in enumerate(windows) if one <= STEADY * steady)
        return {"full_speed": WINDOW * first, "ms": 1000 * steady}

    def _open(self) -> None:
        """As a served home: its upkeep runs in the background."""
        self.home = open_home(self.place, embedder=self._embedder)
        self.home.served = True
        self.home.upkeep.start()

    # --- erasing -----------------------------------------------------------------------------

    def erase(self, numbers: list[int], patience: float) -> list[dict[str, Any]]:
        """Erase subjects: when each is closed, and when its bytes are gone from every file.

        Args:
            patience: seconds to wait for the bytes to go.
        """
        erasures = [self._erase(f"person-{number}") for number in numbers]
        while any(one["gone"] is None for one in erasures):
            for one in erasures:
                if one["gone"] is None and not _in_files(self.place, one["needles"]):
                    one["gone"] = time.perf_counter() - one["start"]
            if time.perf_counter() > erasures[0]["start"] + patience:
                break
            time.sleep(2)
        shown = ("memories", "closed", "gone", "remains")
        return [{name: one[name] for name in shown} for one in erasures]

    def _erase(self, subject: str) -> dict[str, Any]:
        """Erase one subject, and look whether anything of it can be found or opened."""
        node = self.home.node
        rows = node.copy.of_subject(TENANT, subject)
        records = node.stack.fetch([row.rid for row in rows])
        needles = [record.blob[-64:] for record in records[:: max(1, len(records) // 10)]]
        if not all(_in_files(self.place, [needle]) for needle in needles[:2]):
            raise ValueError("the sealed bytes are not found before the erasure either")
        start = time.perf_counter()
        answer = operations.run(self.home, "forget", WHO, {"subject": subject})
        closed = time.perf_counter() - start
        if node.copy.of_subject(TENANT, subject) or node.keyring.knows(TENANT, subject):
            raise ValueError("the subject is still there")
        asked = {"query": self.corpus.questions[0], "purpose": "care", "subject": subject}
        if operations.run(self.home, "search", WHO, asked)["results"]:
            raise ValueError("a memory of the erased subject was recalled")
        return {
            "memories": answer["erased"]["memories"], "remains": answer["remains"],
            "start": start, "closed": closed, "gone": None, "needles": needles,
        }  # fmt: skip

    # --- keys --------------------------------------------------------------------------------

    def subjects(self, count: int) -> float:
        """Make keys for so many subjects, as the first memory about each would; seconds."""
        ring = self.home.node.keyring
        step = 100_000

        def run() -> None:
            for start in range(0, count, step):
                names = range(start, min(start + step, count))
                ring.ensure((TENANT, f"subject-{number}") for number in names)

        return seconds(run)

    def renew_epoch(self) -> dict[str, Any]:
        """Renew the epoch key: by the operation if there is one, else by the keyring; seconds."""
        before = self.home.node.keyring.epoch
        if "keys_rotate" in operations.OPERATIONS:
            wanted = {"epoch": True}
            took = seconds(lambda: operations.run(self.home, "keys_rotate", WHO, wanted))
            way = "operation keys_rotate"
        else:
            took, way = seconds(self.home.node.keyring.renew_epoch), "keyring"
        if self.home.node.keyring.epoch <= before:
            raise ValueError("the epoch is the same as before")
        return {"seconds": took, "way": way}

    def close(self) -> None:
        if hasattr(self, "home"):
            self.home.served = False
            self.home.close()


@contextmanager
def _watching(watched: dict[str, tuple[Any, str]]) -> Iterator[dict[str, float]]:
    """Add up the time spent in methods of objects, by name."""
    spent: dict[str, float] = {}

    def timed(name: str, run: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            start = time.perf_counter()
            try:
                return run(*args, **named)
            finally:
                spent[name] += time.perf_counter() - start

        return call

    for name, (owner, method) in watched.items():
        setattr(owner, method, timed(name, getattr(owner, method)))
    try:
        yield spent
    finally:
        for owner, method in watched.values():
            delattr(owner, method)


def _in_files(folder: Path, needles: Sequence[bytes]) -> bool:
    """Whether any of these bytes stands in any file."""
    for file in folder.rglob("*"):
        try:
            held = file.read_bytes() if file.is_file() else b""
        except FileNotFoundError:  # just cleaned up
            continue
        if any(needle in held for needle in needles):
            return True
    return False


def side(place: Path, corpus: Corpus) -> Sealed:
    return Sealed(place, corpus)
