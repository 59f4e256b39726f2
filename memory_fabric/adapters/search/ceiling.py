"""How much memory the search copies of a site may take together."""

from __future__ import annotations

from collections.abc import Callable

from memory_fabric.core.errors import Unavailable

_MIB = 1 << 20
_ROW = 300
"""Bytes of a row besides vector, codes and text: columns with their room to grow."""


class Ceiling:
    """A limit that several search copies share.

    Args:
        mib: the limit in MiB; 0 for none.
    """

    def __init__(self, mib: int = 0) -> None:
        self._limit = mib * _MIB
        self._taken: list[Callable[[], int]] = []

    def join(self, taken: Callable[[], int]) -> None:
        """Count what another copy takes, too; ``taken`` says how many bytes it is now."""
        self._taken.append(taken)

    def check(self, rows: int, dim: int, characters: int, again: bool) -> None:
        """Raise where so many more rows and characters of text may not fit.

        Args:
            again: they were held before. How much room to grow columns have depends on how they
                grew, and what was taken in shall not be shut out for that: a tenth more passes.

        Raises:
            Unavailable: ``search-memory-full``.
        """
        if not self._limit:
            return
        needed = rows * (4 * dim + dim // 8 + _ROW) + characters
        limit = self._limit + (self._limit // 10 if again else 0)
        if sum(taken() for taken in self._taken) + needed > limit:
            raise Unavailable(
                "search-memory-full",
                f"The searchable copy may take {self._limit // _MIB:,} MiB of memory, and what is "
                "to be held needs more.",
                "Raise [search] memory_limit_mb in site.toml and open the site again, or erase "
                "memories.",
            )
