"""Keys of compliance officers: Ed25519, in files of their own, under a passphrase."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from securesystemslib.signer import CryptoSigner, SSlibKey

from memory_fabric.adapters.rootkeys.passphrase import check_passphrase, stretched
from memory_fabric.core.errors import InputError
from memory_fabric.core.mandate import Officer

NAME_FIELD = "x-memory-fabric-name"
"""Field of a TUF key that says whose it is; what is signed covers it."""
Ask = Callable[[str], str]
"""Asks an officer for a passphrase."""

_NAME = re.compile(r"[^\W_](?:[\w .'’-]{0,60}[\w.])?")
_LONGEST = 64_000
_SALT = "Argon2id: "
_SALT_BYTES = 16


class OfficerKey:
    """A signing key, and whose it is. Use ``create`` or ``load``."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._public = named(name, key.public_key())
        self.officer = officer_of(self._public)
        self.signer = CryptoSigner(key, self._public)

    @classmethod
    def create(cls, name: str) -> OfficerKey:
        """A new key.

        Raises:
            InputError: ``officer-name-invalid``.
        """
        return cls(checked_name(name), Ed25519PrivateKey.generate())

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(message)

    def save(self, folder: Path, passphrase: str) -> tuple[Path, Path]:
        """Write ``NAME.key``, sealed under the passphrase, and ``NAME.pub``; never over others.

        Raises:
            InputError: ``passphrase-weak``, ``file-exists``, ``file-unwritable``.
        """
        check_passphrase(passphrase)
        salt = secrets.token_bytes(_SALT_BYTES)
        private = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(_words(passphrase, salt)),
        )
        stem = self.officer.name.lower().replace(" ", "-")
        secret, public = folder / f"{stem}.key", folder / f"{stem}.pub"
        salted = f"{_SALT}{salt.hex()}\n".encode() + private
        _new_file(secret, _labelled(self.officer.name, salted), 0o600)
        _new_file(public, _labelled(self.officer.name, _pem(self._key.public_key())), 0o644)
        return secret, public

    @classmethod
    def load(cls, path: Path, passphrase: str) -> OfficerKey:
        """The key in a file.

        Raises:
            InputError: ``officer-key-invalid``; ``officer-passphrase-wrong``.
        """
        name, content = _read(path)
        first, _, pem = content.partition(b"\n")
        try:
            salt = bytes.fromhex(first.decode().removeprefix(_SALT))
        except ValueError:
            raise _invalid(path) from None
        if len(salt) != _SALT_BYTES:
            raise _invalid(path)
        try:
            key = serialization.load_pem_private_key(pem, _words(passphrase, salt))
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise InputError(
                "officer-passphrase-wrong",
                f"The passphrase does not open the key of {name}, or its file was changed.",
                "Try again, or name the right file.",
            ) from None
        if not isinstance(key, Ed25519PrivateKey):
            raise _invalid(path)
        return cls(name, key)


def open_key(path: Path, ask: Ask) -> OfficerKey:
    """An officer's key, for which the passphrase is asked.

    Raises:
        InputError: those of ``OfficerKey.load``.
    """
    return OfficerKey.load(path, ask(f"Passphrase of {path.name}"))


def signed_twice(key: OfficerKey) -> InputError:
    """The error of an officer who signs the same once more."""
    return InputError(
        "signed-twice",
        f"{key.officer.name} has signed already; a second signature of the same officer does not "
        "count.",
        "Have another officer sign.",
    )


def load_officer(path: Path) -> SSlibKey:
    """The public key in a ``.pub`` file, with its holder's name.

    Raises:
        InputError: ``officer-key-invalid``.
    """
    name, pem = _read(path)
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise _invalid(path) from None
    if not isinstance(key, Ed25519PublicKey):
        raise _invalid(path)
    return named(name, key)


def named(name: str, key: Ed25519PublicKey) -> SSlibKey:
    """A TUF key that says whose it is."""
    made = SSlibKey.from_crypto(key)
    made.unrecognized_fields[NAME_FIELD] = name
    return made


def officer_of(key: SSlibKey) -> Officer:
    """Who holds a key of a TUF root."""
    if key.keytype != "ed25519":
        raise ValueError("officers sign with Ed25519")
    name = str(key.unrecognized_fields.get(NAME_FIELD, key.keyid[:12]))
    return Officer(name, key.keyid, bytes.fromhex(key.keyval["public"]))


def checked_name(name: str) -> str:
    """The name of an officer.

    Raises:
        InputError: ``officer-name-invalid``.
    """
    if not _NAME.fullmatch(name):
        raise InputError(
            "officer-name-invalid",
            "This cannot be an officer's name.",
            "Use letters, digits, spaces, dots and hyphens; at most 62.",
        )
    return name


def _words(passphrase: str, salt: bytes) -> bytes:
    """What opens the PEM: PKCS #8 by itself stretches a passphrase too little."""
    return stretched(passphrase, salt).hex().encode()


def _pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _labelled(name: str, pem: bytes) -> bytes:
    """PEM allows text before its first line (RFC 7468, 5.2): whose key it is."""
    return f"Officer: {name}\n".encode() + pem


def _read(path: Path) -> tuple[str, bytes]:
    try:
        with path.open("rb") as file:
            first, pem = file.readline(_LONGEST), file.read(_LONGEST)
        label, _, name = first.decode().strip().partition(": ")
    except (OSError, UnicodeDecodeError):
        raise _invalid(path) from None
    if label != "Officer" or not _NAME.fullmatch(name):
        raise _invalid(path)
    return name, pem


def _invalid(path: Path) -> InputError:
    return InputError(
        "officer-key-invalid",
        f"{path} holds no officer's key.",
        "Name a file that `memory-fabric policy key` made: NAME.key to sign, NAME.pub to show.",
    )


def _new_file(path: Path, content: bytes, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(descriptor)
    except FileExistsError:
        raise InputError(
            "file-exists", f"{path} is there already.", "A key is never overwritten; move it away."
        ) from None
    except OSError as error:
        raise InputError(
            "file-unwritable",
            f"{path} cannot be written ({error.strerror}).",
            "Make its folder, or name another.",
        ) from None
