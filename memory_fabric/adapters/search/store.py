"""Rows, texts and vectors under the same slot numbers."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from memory_fabric.adapters.search.columns import Floats, Slots
from memory_fabric.adapters.search.frozen import chosen, frozen, thawed, vector_parts
from memory_fabric.adapters.search.fulltext import FullText
from memory_fabric.adapters.search.rows import Rows
from memory_fabric.adapters.search.scopes import Scopes
from memory_fabric.adapters.search.vectors import Vectors
from memory_fabric.core.records import IndexRow


class Store:
    """One writer at a time may add and remove, while nobody reads.

    Args:
        dim: length of the vectors.
        rows, text, vectors: of as many slots each.
    """

    def __init__(
        self, dim: int,
        rows: Rows | None = None, text: FullText | None = None, vectors: Vectors | None = None,
    ) -> None:  # fmt: skip
        self._dim = dim
        self.rows = rows or Rows()
        self.text = text or FullText()
        self.vectors = vectors or Vectors(dim)
        self.scopes = Scopes(self.rows)
        self.readers: weakref.WeakSet[_Reader] = weakref.WeakSet()
        """Who still takes parts of the store, or of one whose blocks of vectors it shares."""
        self._unerased: list[Slots] = []

    def add(self, rows: Sequence[IndexRow], vectors: Floats) -> None:
        """Append rows with different ids, replacing those that have one of them already."""
        replaced = self.rows.add(rows)
        self.text.add([row.text for row in rows])
        self.vectors.add(vectors)
        self.scopes.added()
        self._emptied(replaced)

    def remove(self, rids: Sequence[bytes]) -> None:
        """Forget rows; unknown ids are ignored."""
        self._emptied(self.rows.remove(rids))

    def memory(self) -> dict[str, int]:
        """Bytes of memory taken, by part."""
        return {
            "vectors": self.vectors.nbytes,
            "codes": self.vectors.code_bytes,
            "text": self.text.nbytes,
            "rows": self.rows.nbytes + self.scopes.nbytes,
        }

    def freeze(self) -> Iterator[tuple[str, memoryview]]:
        """The rows that are held now. Called while nobody writes; taken while others do."""
        reader = _Reader()
        self.readers.add(reader)
        held, blocks = self.rows.held.view.copy(), self.vectors.blocks()
        rows_of, text_of = self.rows.frozen(), self.text.frozen()

        def parts(_: _Reader) -> Iterator[tuple[str, memoryview]]:
            kept = np.flatnonzero(held)
            arrays = {f"rows-{name}": array for name, array in rows_of(kept).items()}
            arrays |= {f"text-{name}": array for name, array in text_of(kept).items()}
            yield from frozen(self._dim, arrays)
            yield from vector_parts(blocks, held)

        return parts(reader)  # as long as it is there, no vector that it may come to is erased

    @classmethod
    def thaw(
        cls, dim: int, parts: Iterable[tuple[str, bytes | bytearray | memoryview]],
        reserve: Callable[[int, int], object] = lambda rows, characters: None,
    ) -> Store:  # fmt: skip
        """A store of what ``freeze`` gave.

        Args:
            reserve: called with the number of rows and the size of their text's lists, before
                most of the memory is taken.

        Raises:
            ValueError: the parts do not fit together.
        """
        left = iter(parts)
        try:
            arrays = thawed(dim, left)
            reserve(len(arrays["rows-rids"]), sum(
                array.nbytes for name, array in arrays.items() if name.startswith("text-")
            ))  # fmt: skip
            rows = Rows.thawed(chosen(arrays, "rows-"))
            text = FullText.thawed(chosen(arrays, "text-"))
        except (KeyError, TypeError, IndexError) as error:
            raise ValueError("parts of a frozen search copy do not fit together") from error
        vectors = Vectors(dim)
        for _, block in left:
            vectors.adopt(np.frombuffer(block, "<f4").reshape(-1, dim))
        if not rows.slots == len(text) == len(vectors):
            raise ValueError("parts of a frozen search copy are about different rows")
        return cls(dim, rows, text, vectors)

    def _emptied(self, slots: Slots) -> None:
        self.scopes.removed(slots)
        self._unerased.append(slots)
        if not self.readers:
            for some in self._unerased:
                self.vectors.erase(some)
            self._unerased.clear()


class _Reader:
    """Stands for one who still takes parts of a frozen store."""
