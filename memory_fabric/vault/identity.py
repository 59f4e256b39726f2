"""A site's identity: an Ed25519 key to sign with, a hybrid HPKE key to be written to under.

HPKE (RFC 9180) runs with ML-KEM-768 and X25519 together, so that letters recorded today stay
closed to a quantum computer and to a flaw in either one. Keys are kept raw: a signing key is a
32 byte seed and a 32 byte public key; a sealing key is seed (64) and scalar (32), public
ML-KEM (1,184) and X25519 (32).
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from memory_fabric.core.errors import InputError

SIGNATURE_BYTES = 64
"""Length of an Ed25519 signature."""
SIGNING_SECRET, SEALING_SECRET = "signing", "sealing"
"""Names of an identity's two secrets in the keyring."""

_SUITE = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
_MLKEM_SEED = 64
_MLKEM_PUBLIC = 1184


class Signer:
    """Signs with a site's (or a grid's) Ed25519 key. ``public`` is the raw public key."""

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self._key.public_key().public_bytes_raw()

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        return self._key.sign(message)


class Unsealer:
    """Opens what was sealed to a site. ``public`` is the raw public key."""

    def __init__(self, secret: bytes) -> None:
        mlkem = MLKEM768PrivateKey.from_seed_bytes(secret[:_MLKEM_SEED])
        x25519 = X25519PrivateKey.from_private_bytes(secret[_MLKEM_SEED:])
        self._key = hpke.MLKEM768X25519PrivateKey(mlkem, x25519)
        self.public = mlkem.public_key().public_bytes_raw() + x25519.public_key().public_bytes_raw()

    def unseal(self, sealed: bytes, info: bytes) -> bytes:
        """The plaintext.

        Raises:
            cryptography.exceptions.InvalidTag: sealed to another key or bound to other ``info``.
        """
        return _SUITE.decrypt(sealed, self._key, info=info)


@dataclass(frozen=True, repr=False)
class Identity:
    """A new identity.

    Attributes:
        signing_secret, sealing_secret: for the keyring, under ``SIGNING_SECRET`` and
            ``SEALING_SECRET``; for ``Signer`` and ``Unsealer``.
        signing_key, sealing_key: public, for the roster.
    """

    signing_secret: bytes
    sealing_secret: bytes
    signing_key: bytes
    sealing_key: bytes


def new_signing_secret() -> bytes:
    """A fresh seed for ``Signer``."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def new_identity() -> Identity:
    """Fresh keys for a site."""
    signing = new_signing_secret()
    sealing = (
        MLKEM768PrivateKey.generate().private_bytes_raw()
        + X25519PrivateKey.generate().private_bytes_raw()
    )
    return Identity(signing, sealing, Signer(signing).public, Unsealer(sealing).public)


def verify_signature(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the signature is that key's over that message; a malformed key is no key."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def seal_to(public: bytes, plain: bytes, info: bytes) -> bytes:
    """Seal bytes so that only the holder of ``public``'s secret opens them, with this ``info``.

    Raises:
        InputError: ``sealing-key-invalid``, ``public`` is no sealing key.
    """
    try:
        mlkem = MLKEM768PublicKey.from_public_bytes(public[:_MLKEM_PUBLIC])
        x25519 = X25519PublicKey.from_public_bytes(public[_MLKEM_PUBLIC:])
    except ValueError:
        raise InputError(
            "sealing-key-invalid",
            "The roster's sealing key of a site is no key; nothing was sent to it.",
            "Link the site anew.",
        ) from None
    return _SUITE.encrypt(plain, hpke.MLKEM768X25519PublicKey(mlkem, x25519), info=info)
