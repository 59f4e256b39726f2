"""``passphrase``: a root key that lives in somebody's head.

Argon2id (RFC 9106) makes two keys of the passphrase: one wraps, one authenticates the header that
says how they were made. ``keys/root.passphrase`` holds that header, and no key:

    id (8) | length (2) | header (canonical JSON) | HMAC-SHA256(second key, id | header)
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from memory_fabric.adapters.rootkeys.files import RootFiles
from memory_fabric.adapters.rootkeys.wrapping import KEY_BYTES, HeldRootKey
from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import HomeError, InputError
from memory_fabric.core.key_ports import KeyPlace

SHORTEST = 12
"""Characters of a passphrase at least."""

# RFC 9106, section 4: the second recommended option, for where memory is scarce.
_ITERATIONS, _LANES, _MEMORY_KIB = 3, 4, 64 * 1024
_SALT_BYTES = 16
_LENGTH_BYTES = 2
_FORMAT = "memory-fabric/passphrase/1"
_MOST_KIB, _MOST_ITERATIONS, _MOST_LANES = 1 << 20, 16, 16
"""What a header may ask for at most: a forged one must not stop the machine."""


class PassphraseRootKeys:
    """The passphrase comes from the file that ``site.toml`` names, or from whoever can be asked."""

    closes_copies = False

    def __init__(self, place: KeyPlace) -> None:
        place.check_settings("passphrase", ("file",))
        self._place = place
        self._files = RootFiles(place.folder, "passphrase")

    def create(self, root_id: str) -> None:
        """A new header with a fresh salt, durable before this returns.

        Raises:
            InputError: ``passphrase-weak``.
        """
        passphrase = self._passphrase()
        check_passphrase(passphrase)
        header = canonical(
            {
                "format": _FORMAT,
                "iterations": _ITERATIONS,
                "lanes": _LANES,
                "memory_kib": _MEMORY_KIB,
                "salt": secrets.token_hex(_SALT_BYTES),
            }
        )
        _, mac_key = _derived(passphrase, header)
        mac = hmac.digest(mac_key, bytes.fromhex(root_id) + header, "sha256")
        self._files.create(root_id, len(header).to_bytes(_LENGTH_BYTES, "big") + header + mac)

    def open(self, root_id: str) -> HeldRootKey:
        """The root key of that id.

        Raises:
            HomeError: ``passphrase-wrong``, ``passphrase-missing``.
        """
        content = self._files.read(root_id)
        end = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "big")
        header, mac = content[_LENGTH_BYTES:end], content[end:]
        key, mac_key = _derived(self._passphrase(), header)
        if not hmac.compare_digest(
            hmac.digest(mac_key, bytes.fromhex(root_id) + header, "sha256"), mac
        ):
            raise _wrong()
        return HeldRootKey(key)

    def destroy(self, root_id: str) -> None:
        """Overwrite and remove the header: without its salt the passphrase opens nothing."""
        self._files.destroy(root_id)

    def _passphrase(self) -> str:
        if self._place.passphrase is not None:
            return self._place.passphrase
        if named := self._place.settings.get("file"):
            return read_secret(Path(named), "passphrase")
        return self._place.ask(f"Passphrase of site {self._place.site_id}")


def read_secret(path: Path, what: str) -> str:
    """The first line of a file that only its owner can read.

    Raises:
        HomeError: ``passphrase-missing``, ``passphrase-readable``.
    """
    try:
        descriptor = os.open(path.expanduser(), os.O_RDONLY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "r", encoding="utf-8") as file:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
                raise HomeError(
                    "passphrase-readable",
                    f"Others than its owner can read {path}.",
                    f"Run `chmod 600 {path}`, and ask who may have read it.",
                )
            return file.readline().rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise HomeError(
            "passphrase-missing",
            f"The file {path}, which site.toml names for the {what}, cannot be read.",
            "Bring it back, or name another.",
        ) from None


def check_passphrase(passphrase: str) -> None:
    """Refuse a new passphrase that is too short.

    Raises:
        InputError: ``passphrase-weak``.
    """
    if len(passphrase) < SHORTEST:
        raise InputError(
            "passphrase-weak",
            f"The passphrase has fewer than {SHORTEST} characters.",
            "Take several words that nobody would put together.",
        )


def stretched(passphrase: str, salt: bytes) -> bytes:
    """32 bytes that take time and memory to guess, by Argon2id as for root keys.

    Raises:
        HomeError: ``passphrase-unsupported``.
    """
    try:
        argon = Argon2id(
            salt=salt,
            length=KEY_BYTES,
            iterations=_ITERATIONS,
            lanes=_LANES,
            memory_cost=_MEMORY_KIB,
        )
    except UnsupportedAlgorithm:
        raise _unsupported() from None
    return argon.derive(passphrase.encode())


def _derived(passphrase: str, header: bytes) -> tuple[bytes, bytes]:
    """The wrapping key, and the one that authenticates the header."""
    try:
        told = json.loads(header)
        iterations, lanes, memory = told["iterations"], told["lanes"], told["memory_kib"]
        bounded = (
            told["format"] == _FORMAT
            and 1 <= iterations <= _MOST_ITERATIONS
            and 1 <= lanes <= _MOST_LANES
            and memory <= _MOST_KIB
        )
        if not bounded:
            raise _wrong()
        argon = Argon2id(
            salt=bytes.fromhex(told["salt"]),
            length=2 * KEY_BYTES,
            iterations=iterations,
            lanes=lanes,
            memory_cost=memory,
        )
        both = argon.derive(passphrase.encode())
    except (ValueError, KeyError, TypeError):
        raise _wrong() from None
    except UnsupportedAlgorithm:
        raise _unsupported() from None
    return both[:KEY_BYTES], both[KEY_BYTES:]


def _unsupported() -> HomeError:
    return HomeError(
        "passphrase-unsupported",
        "The cryptographic library of this machine has no Argon2id.",
        "Install the `cryptography` package as it comes from its makers.",
    )


def _wrong() -> HomeError:
    return HomeError(
        "passphrase-wrong",
        "The passphrase is not the one of this home, or keys/root.passphrase was changed.",
        "Try again; without the right passphrase the home cannot be opened.",
    )
