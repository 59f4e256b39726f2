"""Finding identifiers by their form, checked by their check digits where they have any.

What fails a check is not let through: a run of seven digits or more is masked as a number.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence

import phonenumbers

from memory_fabric.adapters.redactor.spans import Span

_MONTH = (
    r"(?:jan(?:uary|uar|vier|eiro)?|j\u00e4n(?:ner)?|ene(?:ro)?|gen(?:naio)?|"
    r"feb(?:ruary|ruar|rero|braio)?|f\u00e9v(?:rier)?|fevereiro|"
    r"mar(?:ch|s|zo|\u00e7o)?|m\u00e4rz|apr(?:il|ile)?|avr(?:il)?|abr(?:il)?|"
    r"may|mai|mayo|maggio|maio|june?|juni|juin|junio|giugno|junho|"
    r"july?|juli|juillet|julio|luglio|julho|aug(?:ust)?|ao\u00fbt|ago(?:sto)?|"
    r"sept?(?:ember|embre)?|set(?:tembre|embro)?|okt(?:ober)?|oct(?:ober|obre|ubre)?|"
    r"ott(?:obre)?|out(?:ubro)?|nov(?:ember|embre|iembre|embro)?|"
    r"de[czs](?:ember|embre|embro)?|d\u00e9c(?:embre)?|dic(?:iembre|embre)?)\b\.?"
)
_DAY = r"(?:0?[1-9]|[12]\d|3[01])(?:st|nd|rd|th|er|\.|\u00ba)?"
_ATOM = r"[^\s@<>()\[\],;:\"]"
_YEAR = r"(?:'\d{2}|\d{4})"

_SIMPLE: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (kind, re.compile(pattern, re.IGNORECASE | re.VERBOSE))
    for kind, pattern in (
        ("URL", r"\b(?:https?|ftp|file|mailto):\S+ | \bwww\.\S+"),
        ("URL", r"(?<![\w.-]) [\w-]+ (?:\.[\w-]+)* \. [a-z]{2,} / \S+"),
        ("EMAIL", rf"(?<!{_ATOM}) {_ATOM}+ [ ]? @ [ ]? {_ATOM}+ [ ]? \. [ ]? [\w-]{{2,}}"),
        ("EMAIL", r"(?<![\w.+-]) [\w.+-]+ \s? [\[({] \s? at \s? [\])}] \s? [\w.-]+"
                  r"(?: \s? [\[({] \s? (?:dot|punkt) \s? [\])}] \s? [\w-]+ )*"),
        ("HANDLE", r"(?<!\w) @ \w{2,}"),
        ("DATE", r"(?<!\d) \d{4} ([-/.]) \d{1,2} \1 \d{1,2} (?!\d)"),
        ("DATE", r"(?<!\d) \d{1,2} ([-/.]) [ ]? \d{1,2} \1 [ ]? (?:\d{4} | \d{2}) (?!\d)"),
        ("DATE", rf"(?<!\d) {_DAY} [\s-] (?:(?:of|de)\s)? {_MONTH} (?:[\s,-]+ (?:de\s)? {_YEAR})?"),
        ("DATE", rf"\b {_MONTH} [\s-]? {_DAY} \b (?:,? \s {_YEAR})?"),
        ("DATE", rf"\b {_MONTH} \s? {_YEAR} \b"),
        ("DATE", r"\d{1,4} \s? [\u5e74\ub144] \s? \d{1,2} \s? [\u6708\uc6d4]"
                 r"(?: \s? \d{1,2} \s? [\u65e5\u53f7\uc77c])?"),
        ("NATIONAL_ID", r"(?<!\d) \d{3} [ .-] \d{2} [ .-] \d{4} (?!\d)"),
        ("NATIONAL_ID", r"\b [a-ceghj-prtw-z] [a-ceghj-nprtw-z] (?:[ -]? \d{2}){3} [ -]? [a-d] \b"),
        ("DOCUMENT", r"\b (?=(?:[a-z]*\d){4}) (?=\w*[a-z]) [a-z0-9]{8,14} \b"),
        ("DOCUMENT", r"\b [a-z]{1,3} -? \d{6,10} \b"),
        ("NUMBER", r"\d (?: [ ./()-]{0,2} \d ){6,}"),
    )
)  # fmt: skip
_DIGITS = re.compile(r"(?<![\d+])\d(?:[ .-]?\d){9,18}(?!\d)")
_IBAN = re.compile(r"\b[a-z]{2}\d{2}(?:[ -]?[a-z0-9]){11,30}", re.IGNORECASE)
_PHONE = re.compile(r"(?<!\d)(?:\+ ?)?\(?\d(?:[ ()./-]{0,3}\d){5,16}(?!\d)")
_IP = re.compile(r"(?<![\w:.])[0-9a-f]{0,4}(?:[:.][0-9a-f]{0,4}){2,14}(?!\w)", re.IGNORECASE)


def identifier_spans(text: str, regions: Sequence[str]) -> list[Span]:
    """Everything in a text in normal form that has the form of an identifier."""
    found = [(match.start(), match.end(), kind)
             for kind, pattern in _SIMPLE for match in pattern.finditer(text)]  # fmt: skip
    found += _checked(text)
    found += _ibans(text)
    found += _addresses(text)
    found += _phones(text, regions)
    return found


def _checked(text: str) -> Iterator[Span]:
    for match in _DIGITS.finditer(text):
        digits = [int(char) for char in match[0] if char.isdigit()]
        for kind, lengths, holds in _CHECKS:
            if len(digits) in lengths and holds(digits):
                yield match.start(), match.end(), kind
                break


def _luhn(digits: Sequence[int]) -> bool:
    """ISO/IEC 7812-1."""
    doubled = (2 * digit - 9 * (digit > 4) for digit in digits[-2::-2])
    return (sum(digits[::-2]) + sum(doubled)) % 10 == 0


def _nhs(digits: Sequence[int]) -> bool:
    """UK NHS number: weights 10 to 2, modulus 11."""
    total = sum(weight * digit for weight, digit in zip(range(10, 1, -1), digits, strict=False))
    return -total % 11 == digits[9]


def _german_tax(digits: Sequence[int]) -> bool:
    """German tax identification number: ISO 7064, mod 11,10."""
    product = 10
    for digit in digits[:10]:
        product = ((digit + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == digits[10]


_CHECKS: tuple[tuple[str, range, Callable[[Sequence[int]], bool]], ...] = (
    ("CARD", range(13, 20), _luhn),
    ("NATIONAL_ID", range(10, 11), _nhs),
    ("NATIONAL_ID", range(11, 12), _german_tax),
)


def _ibans(text: str) -> Iterator[Span]:
    """ISO 13616: the longest beginning of the candidate whose remainder modulo 97 is 1."""
    for match in _IBAN.finditer(text):
        for end in range(match.end(), match.start() + 14, -1):
            if not text[end - 1].isalnum() or text[end : end + 1].isalnum():
                continue
            bare = re.sub("[ -]", "", text[match.start() : end]).upper()
            if len(bare) < 15:
                break
            if bare.isascii() and _modulo_97(bare[4:] + bare[:4]) == 1:
                yield match.start(), end, "IBAN"
                break


def _modulo_97(alphanumeric: str) -> int:
    return int("".join(str(int(char, 36)) for char in alphanumeric)) % 97


def _addresses(text: str) -> Iterator[Span]:
    for match in _IP.finditer(text):
        candidate = match[0].rstrip(".")
        for text_form in (candidate, candidate.rstrip(":")):
            try:
                ipaddress.ip_address(text_form)
            except ValueError:
                continue
            yield match.start(), match.start() + len(text_form), "IP"
            break


def _phones(text: str, regions: Sequence[str]) -> Iterator[Span]:
    for match in _PHONE.finditer(text):
        if any(_dialable(match[0], region) for region in regions):
            yield match.start(), match.end(), "PHONE"


def _dialable(candidate: str, region: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(candidate, region))
    except phonenumbers.NumberParseException:
        return False
