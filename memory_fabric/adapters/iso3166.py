"""Whether a region exists: ISO 3166-1 countries and ISO 3166-2 subdivisions, by pycountry."""

from __future__ import annotations

import difflib
from functools import lru_cache

import pycountry

from memory_fabric.core.errors import InputError
from memory_fabric.core.places import Region

_OFTEN_MEANT = {"UK": "GB", "EL": "GR", "EN": "GB", "EU": "DE or another member state"}
_ELSEWHERE = {
    "FR-BL": "BL", "FR-NC": "NC", "FR-PF": "PF", "FR-PM": "PM", "FR-TF": "TF", "FR-WF": "WF",
    "NL-AW": "AW", "NL-BQ1": "BQ", "NL-BQ2": "BQ", "NL-BQ3": "BQ", "NL-CW": "CW", "NL-SX": "SX",
    "NO-21": "SJ", "NO-22": "SJ", "CN-HK": "HK", "CN-MO": "MO", "CN-TW": "TW",
}  # fmt: skip
"""Subdivisions that ISO 3166 lists as countries too, where the country's law (EU and EEA law above
all: TFEU Art. 355(2) and Annex II; EEA Agreement Art. 126 and Protocol 40) is not theirs. As parts
of their country they would be members of its blocs; so they go by their own code.
"""


@lru_cache(maxsize=4096)
def is_region(code: str) -> bool:
    """Whether ISO 3166 knows this country (``DE``) or subdivision (``US-CA``), in capitals."""
    if code in _ELSEWHERE:
        return False
    if code != code.upper():  # pycountry would take ``de`` too, and rules compare letter by letter
        return False
    if "-" in code:
        return pycountry.subdivisions.get(code=code) is not None
    return pycountry.countries.get(alpha_2=code) is not None


def region_name(code: str) -> str:
    """What people call it: ``Germany``, ``Virginia, United States``; else its code."""
    country = pycountry.countries.get(alpha_2=code[:2])
    part = pycountry.subdivisions.get(code=code) if "-" in code else None
    names = [part.name] if part else []
    names += [getattr(country, "common_name", country.name)] if country else []
    return ", ".join(names) or code


def check_region(code: str) -> Region:
    """The region with this code.

    Raises:
        InputError: ``region-unknown``, with the code that was probably meant.
    """
    if not is_region(code):
        meant = _suggest(code)
        raise InputError(
            "region-unknown",
            f"{code!r} is no ISO 3166 region.",
            f"Did you mean {meant}?" if meant else "Use a code such as DE or US-CA.",
        )
    return Region(code)


def _suggest(code: str) -> str:
    capital = code.strip().upper().replace("_", "-")
    if capital in _OFTEN_MEANT:
        return _OFTEN_MEANT[capital]
    if capital in _ELSEWHERE:
        return _ELSEWHERE[capital]
    if is_region(capital):
        return capital
    for country in pycountry.countries:
        names = {country.name.upper(), country.alpha_3, getattr(country, "common_name", "").upper()}
        if capital in names:
            return str(country.alpha_2)
    country_part = capital[:2]
    if "-" in capital and is_region(country_part):
        siblings = pycountry.subdivisions.get(country_code=country_part) or []
        close = difflib.get_close_matches(capital, [item.code for item in siblings], n=1)
        return close[0] if close else country_part
    return ""
