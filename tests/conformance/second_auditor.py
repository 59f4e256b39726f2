"""A second auditor of logs, written from C2SP's texts and RFC 6962's definitions alone.

It imports nothing of the program. The texts are signed-note, tlog-checkpoint, tlog-proof and, for
the lines of a consistency proof, tlog-witness. Paths are followed by the recursive definitions of
RFC 6962 (2.1.1, 2.1.2), not by the loops of RFC 9162 that the program uses.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def key_of(vkey: str) -> tuple[str, bytes, Ed25519PublicKey]:
    """Name, id and key of a verifier key."""
    name, told, encoded = vkey.split("+", 2)
    raw = b64decode(encoded)
    known = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
    assert raw[0] == 1, "Ed25519"
    assert known.hex() == told
    return name, known, Ed25519PublicKey.from_public_bytes(raw[1:])


def text_of(note: str, vkey: str) -> str:
    """A note's text, once a line of its signatures is that key's; the signature is checked."""
    name, known, key = key_of(vkey)
    cut = note.rindex("\n\n") + 1
    text, signatures = note[:cut], note[cut + 1 :].splitlines()
    for line in signatures:
        dash, signer, encoded = line.split(" ")
        signed = b64decode(encoded)
        if (dash, signer, signed[:4]) == ("\u2014", name, known):
            key.verify(signed[4:], text.encode())
            return text
    raise AssertionError("no signature of that key")


def checkpoint_of(note: str, vkey: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a signed checkpoint."""
    origin, size, root = text_of(note, vkey).splitlines()[:3]
    return origin, int(size), b64decode(root)


def entry_of(proof: str, vkey: str) -> bytes:
    """The entry of a log proof, once it stands under the signed root."""
    head, note = proof.split("\n\n", 1)
    version, extra, index, *hashes = head.split("\n")
    assert version == "c2sp.org/tlog-proof@v1"
    entry = b64decode(extra.removeprefix("extra "))
    _, size, root = checkpoint_of(note, vkey)
    leaf = hashlib.sha256(b"\0" + entry).digest()
    path = [b64decode(line) for line in hashes]
    assert _climbed(leaf, int(index.removeprefix("index ")), size, path) == root
    assert not path
    return entry


def grown_from(proof: str, old_root: bytes, vkey: str) -> tuple[int, int]:
    """Sizes between which a log went on, once the path shows it."""
    head, note = proof.split("\n\n", 1)
    first, *hashes = head.split("\n")
    old = int(first.removeprefix("old "))
    _, size, root = checkpoint_of(note, vkey)
    path = [b64decode(line) for line in hashes]
    if old:
        assert _both(old, size, path, old_root) == (old_root, root)
    assert not path
    return old, size


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def _split(size: int) -> int:
    split = 1
    while split * 2 < size:
        split *= 2
    return split


def _climbed(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """PATH(m, D[n]) read backwards: its last hash is the outermost."""
    if size == 1:
        return leaf
    split, outer = _split(size), path.pop()
    if index < split:
        return _node(_climbed(leaf, index, split, path), outer)
    return _node(outer, _climbed(leaf, index - split, size - split, path))


def _both(old: int, size: int, path: list[bytes], known: bytes | None) -> tuple[bytes, bytes]:
    """SUBPROOF(m, D[n], b) read backwards: old and new root of this part of the tree."""
    if old == size:
        root = path.pop() if known is None else known
        return root, root
    split, outer = _split(size), path.pop()
    if old <= split:
        before, after = _both(old, split, path, known)
        return before, _node(after, outer)
    before, after = _both(old - split, size - split, path, None)
    return _node(outer, before), _node(outer, after)
