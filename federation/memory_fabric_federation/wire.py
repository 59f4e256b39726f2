"""Letters inside Flower's messages: sealed bytes, and the name of the site on a node."""

from __future__ import annotations

from flwr.app import ConfigRecord, Message, RecordDict

_RECORD, _SEALED, _SITE = "letter", "sealed", "site"


def with_letter(sealed: bytes) -> RecordDict:
    """A message's content that carries a letter."""
    return RecordDict({_RECORD: ConfigRecord({_SEALED: sealed})})


def letter_in(message: Message) -> bytes:
    """The letter in a message; empty where there is none."""
    value = _value(message, _SEALED)
    return value if isinstance(value, bytes) else b""


def with_site(name: str) -> RecordDict:
    """The content of an answer to who is there."""
    return RecordDict({_RECORD: ConfigRecord({_SITE: name})})


def site_in(message: Message) -> str:
    """What a node says whose it is. Nothing rests on it: only that site can open its letters."""
    value = _value(message, _SITE)
    return value if isinstance(value, str) else ""


def _value(message: Message, name: str) -> object:
    if not message.has_content() or _RECORD not in message.content.config_records:
        return None
    value: object = message.content.config_records[_RECORD].get(name)
    return value
