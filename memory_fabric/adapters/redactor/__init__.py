"""Masking what identifies people: known names in any spelling, and identifiers by pattern."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from memory_fabric.adapters.redactor.names import name_spans
from memory_fabric.adapters.redactor.normal import normal
from memory_fabric.adapters.redactor.patterns import identifier_spans
from memory_fabric.adapters.redactor.spans import masked

__all__ = ["REGIONS", "PatternRedactor"]

REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "CH", "AT", "IN", "JP", "BR")
"""Whose national way of writing telephone numbers is known, besides the international one."""


class PatternRedactor:
    """The port ``Redactor``: masks such as ``[PERSON]``, ``[EMAIL]``, ``[PHONE]``, ``[DATE]``.

    It masks the names it is given, and identifiers that have a form. It cannot know a name that
    nobody gave it, a nickname, another script's spelling of a name, or a person whom only the
    circumstances name. When in doubt it masks. Redacting twice changes nothing.

    Args:
        regions: ISO 3166-1 codes for telephone numbers written without a country.
    """

    def __init__(self, regions: Sequence[str] = REGIONS) -> None:
        self._regions = tuple(regions)

    def redact(self, text: str, names: Sequence[str]) -> str:
        """The text in normal form (see ``normal``) with identifiers and names masked.

        Raises:
            Unavailable: ``redaction-impossible``: the text, or a name, holds characters that
                cannot be read (controls, private use, unassigned, U+FFFD), behind which a name
                could hide.
        """
        plain = normal(text)
        finders: list[Callable[[str], list[tuple[int, int, str]]]] = [
            lambda part: identifier_spans(part, self._regions),
            name_spans([normal(name) for name in names]),
        ]
        while (less := masked(plain, finders)) != plain:
            plain = less  # a mask is a boundary, and may lay bare a name that had none
        return plain
