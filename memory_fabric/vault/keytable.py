"""Keys of tenants and subjects in columns: a million of them open fast and take little memory.

A key's place in the table never changes. A stretch of places is packed into one row of the store:

    pack  = count (4) | kinds (1 each) | ids (16 each) | keys (32 each) | tags (8 each)
          | ends of the names within the pack (8 each) | names
    name  = bind(tenant, subject)
    tag   = first 8 bytes of SHA-256(kind | name)

A destroyed key leaves a tombstone in its place: its id, and zeros for all else.
"""

from __future__ import annotations

import hashlib
import secrets
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from memory_fabric.vault.binding import KEY_BYTES, bind
from memory_fabric.vault.epoch import ID_BYTES, keyring_damaged

Owner = tuple[str, str | None]
"""Tenant and subject; no subject for the tenant's own key."""

_WORD = 8
_LENGTH_BYTES = 4
_LOOSE = 4096
"""So many new keys at least are looked up in dictionaries before they are sorted in."""
_AT_HAND = 16_384
"""So many keys at most stay at hand as objects."""


class Kind(IntEnum):
    """What a key is for; readable only inside a sealed row."""

    TENANT = 1
    SUBJECT = 2
    DESTROYED = 3


@dataclass(frozen=True, repr=False, slots=True)
class HeldKey:
    """A key in use. Its repr names neither key nor subject.

    Attributes:
        id: random, 16 bytes; what record headers call it.
        kind: what it is for.
        tenant: whose it is.
        name: the subject; empty for the tenant's own key.
        key: the secret bytes.
    """

    id: bytes
    kind: Kind
    tenant: str
    name: str
    key: bytes

    @classmethod
    def new(cls, kind: Kind, tenant: str = "", name: str = "") -> HeldKey:
        """A fresh one."""
        fresh = secrets.token_bytes(ID_BYTES + KEY_BYTES)
        return cls(fresh[:ID_BYTES], kind, tenant, name, fresh[ID_BYTES:])

    @property
    def owner(self) -> Owner:
        """Tenant and subject that the key belongs to."""
        return self.tenant, self.name if self.kind is Kind.SUBJECT else None

    def __repr__(self) -> str:
        return f"HeldKey({self.id.hex()})"


class KeyTable:
    """Keys by id and by owner. Its owner sees to it that one thread at a time is in it.

    Args:
        packs: of an earlier table; their keys come to stand in this order.

    Raises:
        IntegrityViolated: ``keyring-damaged``: an id or an owner is there twice.
    """

    def __init__(self, packs: Iterable[bytes] = ()) -> None:
        self._kinds, self._ids, self._keys = bytearray(), bytearray(), bytearray()
        self._tags, self._names, self._ends = bytearray(), bytearray(), array("Q", [0])
        self._new_ids: dict[bytes, int] = {}
        self._new_owners: dict[Owner, int] = {}
        self._at_hand: dict[int, HeldKey] = {}
        for pack in packs:
            self._append(pack)
        self._sort_in()
        self._check()

    def __len__(self) -> int:
        """All places, those of tombstones among them."""
        return len(self._kinds)

    def counts(self) -> dict[Kind, int]:
        """How many of each kind there are."""
        return {kind: self._kinds.count(kind) for kind in Kind}

    def place_of(self, key_id: bytes) -> int | None:
        """Where the key with this id, or its tombstone, stands."""
        if (new := self._new_ids.get(key_id)) is not None:
            return new
        for place in self._by_id.find(int.from_bytes(key_id[:_WORD], "big")):
            if self._id(place) == key_id:
                return place
        return None

    def find(self, owner: Owner) -> HeldKey | None:
        """The key of a tenant or a subject."""
        if (new := self._new_owners.get(owner)) is not None:
            return self.at(new)
        tenant, subject = owner
        kind = Kind.TENANT if subject is None else Kind.SUBJECT
        name = _named(tenant, subject or "")
        for place in self._by_tag.find(int.from_bytes(_tag(kind, name), "big")):
            if self._kinds[place] == kind and self._name(place) == name:
                return self.at(place)
        return None

    def at(self, place: int) -> HeldKey | None:
        """The key in a place; ``None`` for a tombstone."""
        if self._kinds[place] == Kind.DESTROYED:
            return None
        key = self._at_hand.get(place)
        if key is None:
            tenant, name = _parted(self._name(place))
            secret = bytes(self._keys[place * KEY_BYTES : (place + 1) * KEY_BYTES])
            key = HeldKey(self._id(place), Kind(self._kinds[place]), tenant, name, secret)
            if len(self._at_hand) >= _AT_HAND:
                self._at_hand.clear()
            self._at_hand[place] = key
        return key

    def subjects(self, tenant: str) -> Iterator[str]:
        """The subjects of a tenant that have a key."""
        wanted = bind(tenant)
        for place, kind in enumerate(self._kinds):
            if kind == Kind.SUBJECT and (name := self._name(place)).startswith(wanted):
                yield name[len(wanted) + _LENGTH_BYTES :].decode()

    def add(self, keys: Sequence[HeldKey]) -> None:
        """Add keys at the end."""
        for place, key in enumerate(keys, len(self)):
            self._new_ids[key.id] = self._new_owners[key.owner] = place
        self._append(packed(keys))
        if len(self._new_ids) > max(_LOOSE, len(self) // 8):
            self._sort_in()

    def bury(self, places: Iterable[int]) -> None:
        """Turn keys into tombstones."""
        for place in places:
            key = self.at(place)
            if key is not None:
                self._new_owners.pop(key.owner, None)
                self._at_hand.pop(place, None)
                self._kinds[place] = Kind.DESTROYED
                self._keys[place * KEY_BYTES : (place + 1) * KEY_BYTES] = bytes(KEY_BYTES)
                self._tags[place * _WORD : (place + 1) * _WORD] = bytes(_WORD)
                start, end = self._ends[place : place + 2]
                self._names[start:end] = bytes(end - start)

    def pack(self, start: int, stop: int, without: Collection[int] = ()) -> bytes:
        """The bytes of a stretch of places, those of ``without`` as tombstones already."""
        kinds, buried = self._kinds[start:stop], {place - start for place in without}
        if Kind.DESTROYED in kinds:
            buried |= {at for at, kind in enumerate(kinds) if kind == Kind.DESTROYED}
        ends = np.array(self._ends[start : stop + 1], np.uint64)
        names = self._names[ends[0] : ends[-1]]
        ids = self._ids[start * ID_BYTES : stop * ID_BYTES]
        keys = self._keys[start * KEY_BYTES : stop * KEY_BYTES]
        tags = self._tags[start * _WORD : stop * _WORD]
        if buried:
            for at in buried:
                kinds[at] = Kind.DESTROYED
                keys[at * KEY_BYTES : (at + 1) * KEY_BYTES] = bytes(KEY_BYTES)
                tags[at * _WORD : (at + 1) * _WORD] = bytes(_WORD)
            lengths = np.diff(ends)
            lengths[list(buried)] = 0
            kept = [
                self._name(place) for place in range(start, stop) if place - start not in buried
            ]
            names, ends = bytearray().join(kept), np.cumsum([0, *lengths.tolist()], dtype=np.uint64)
        told = (ends[1:] - ends[0]).astype(">u8").tobytes()
        return b"".join((_count(stop - start), kinds, ids, keys, tags, told, names))

    def _append(self, pack: bytes) -> None:
        columns = _columns(pack)
        if not _sound(columns):  # whoever holds the keys sealed no pack
            raise keyring_damaged("a pack of keys")
        self._kinds += columns[0]
        self._ids += columns[1]
        self._keys += columns[2]
        self._tags += columns[3]
        ends = np.frombuffer(columns[4], ">u8") + np.uint64(self._ends[-1])
        self._ends.frombytes(ends.astype(np.uint64).tobytes())
        self._names += columns[5]

    def _sort_in(self) -> None:
        """Make every key findable by the sorted arrays alone."""
        self._by_id = _Sorted(np.frombuffer(bytes(self._ids), ">u8")[::2])
        self._by_tag = _Sorted(np.frombuffer(bytes(self._tags), ">u8"))
        self._new_ids.clear()
        self._new_owners.clear()

    def _check(self) -> None:
        """Refuse a second key of the same id, or for the same owner."""
        for group in self._by_id.repeated():
            if len({self._id(place) for place in group}) < len(group):
                raise keyring_damaged("a key is there twice")
        for group in self._by_tag.repeated():
            owners = [key.owner for place in group if (key := self.at(place)) is not None]
            if len(set(owners)) < len(owners):
                raise keyring_damaged("somebody has two keys")

    def _id(self, place: int) -> bytes:
        return bytes(self._ids[place * ID_BYTES : (place + 1) * ID_BYTES])

    def _name(self, place: int) -> bytes:
        start, end = self._ends[place : place + 2]
        return bytes(self._names[start:end])


class _Sorted:
    """Numbers in order, each with its place: found by bisection, in little memory."""

    def __init__(self, numbers: NDArray[np.uint64]) -> None:
        order = np.argsort(numbers, kind="stable")
        # Bisecting an array of Python's is several times faster than one of numpy's.
        self._numbers = array("Q", numbers[order].astype(np.uint64).tobytes())
        self._places = array("I", order.astype(np.uint32).tobytes())

    def find(self, number: int) -> Iterator[int]:
        """The places of a number."""
        at = bisect_left(self._numbers, number)
        while at < len(self._numbers) and self._numbers[at] == number:
            yield self._places[at]
            at += 1

    def repeated(self) -> Iterator[list[int]]:
        """The places of each number but 0 that is there more than once."""
        numbers = np.frombuffer(self._numbers, np.uint64)
        for number in np.unique(numbers[1:][numbers[1:] == numbers[:-1]]).tolist():
            if number:
                yield list(self.find(number))


def packed(keys: Sequence[HeldKey]) -> bytes:
    """A pack of these keys."""
    names = [_named(key.tenant, key.name) for key in keys]
    ends = np.cumsum([len(name) for name in names], dtype=np.uint64).astype(">u8")
    return b"".join(
        (
            _count(len(keys)),
            bytes(key.kind for key in keys),
            *(key.id for key in keys),
            *(key.key for key in keys),
            *(_tag(key.kind, name) for key, name in zip(keys, names, strict=True)),
            ends.tobytes(),
            *names,
        )
    )


def size_of(pack: bytes) -> int:
    """How many places a pack has."""
    return int.from_bytes(pack[:_LENGTH_BYTES], "big")


def _sound(columns: Sequence[memoryview]) -> bool:
    """Whether the columns of a pack are of one length, and their kinds and names can be."""
    kinds = np.frombuffer(columns[0], np.uint8)
    if len(columns[4]) != _WORD * len(kinds):
        return False
    ends = np.frombuffer(columns[4], ">u8").astype(np.int64)
    last = int(ends[-1]) if len(ends) else 0
    known = (kinds >= Kind.TENANT) & (kinds <= Kind.DESTROYED)
    return bool(known.all() and (np.diff(ends, prepend=0) >= 0).all()) and last == len(columns[5])


def _columns(pack: bytes) -> list[memoryview]:
    """Kinds, ids, keys, tags, ends and names."""
    view, count, at = memoryview(pack), size_of(pack), _LENGTH_BYTES
    columns = []
    for width in (1, ID_BYTES, KEY_BYTES, _WORD, _WORD):
        columns.append(view[at : at + count * width])
        at += count * width
    return [*columns, view[at:]]


def _count(number: int) -> bytes:
    return number.to_bytes(_LENGTH_BYTES, "big")


_tenant = lru_cache(maxsize=256)(bind)


def _named(tenant: str, subject: str) -> bytes:
    """``bind(tenant, subject)``; a million names have few tenants."""
    raw = subject.encode()
    return _tenant(tenant) + len(raw).to_bytes(_LENGTH_BYTES, "big") + raw


def _tag(kind: int, name: bytes) -> bytes:
    return hashlib.sha256(bytes((kind,)) + name).digest()[:_WORD]


def _parted(name: bytes) -> tuple[str, str]:
    """Tenant and subject."""
    end = _LENGTH_BYTES + int.from_bytes(name[:_LENGTH_BYTES], "big")
    return name[_LENGTH_BYTES:end].decode(), name[end + _LENGTH_BYTES :].decode()
