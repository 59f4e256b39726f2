"""Making very many objects at once."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_cycle_search() -> Iterator[None]:
    """Keep Python from looking for reference cycles meanwhile; a decorator as well.

    While a site's records become rows there are none to be found, and looking through all that
    was made so far, again and again, took a third of the time. Nested or in several threads, the
    search goes on when the first of them ends.
    """
    searching = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searching:
            gc.enable()
