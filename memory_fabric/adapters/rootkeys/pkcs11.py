"""``pkcs11``: a root key that never leaves a hardware module, or a software one such as SoftHSM2.

An AES-256 key of the token, sensitive and not extractable, called ``memory-fabric/SITE`` and known
by its id. It wraps as ``nonce (12) | CKM_AES_GCM with a tag of 16 bytes, aad = context``.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from memory_fabric.adapters.rootkeys.files import wrong
from memory_fabric.adapters.rootkeys.passphrase import read_secret
from memory_fabric.adapters.rootkeys.wrapping import NONCE_BYTES
from memory_fabric.core.errors import HomeError
from memory_fabric.core.key_ports import KeyPlace

_KEY_BITS, _TAG_BITS = 256, 128

# A process is logged in to a token once, not once a session: two homes may share one.
_one_session = threading.Lock()


class TokenRootKeys:
    """Settings: ``module`` (path of the PKCS#11 library), ``token`` (its label), ``pin_file``.

    Raises:
        HomeError: ``settings-invalid``, ``hsm-not-installed``; from acts ``hsm-module-missing``,
            ``hsm-token-missing``, ``hsm-pin-wrong``, ``hsm-locked``, ``hsm-failed``.
    """

    closes_copies = True

    def __init__(self, place: KeyPlace) -> None:
        place.check_settings("pkcs11", ("module", "token", "pin_file"))
        for name in ("module", "token"):
            if not place.settings.get(name):
                raise HomeError(
                    "settings-invalid",
                    f"site.toml: [keys.pkcs11] lacks {name!r}.",
                    "Name the module's library and the token's label.",
                )
        _library()
        self._place = place
        self._label = f"memory-fabric/{place.site_id}"
        self._pin: str | None = None

    def create(self, root_id: str) -> None:
        """A new key in the token."""
        with self.session() as session, _told():
            from pkcs11 import Attribute, KeyType

            if list(session.get_objects(self._named(root_id))):
                raise HomeError(
                    "root-key-exists",
                    "The token has a root key of this id already.",
                    "Keep it: whatever it wraps can be opened with nothing else.",
                )
            session.generate_key(
                KeyType.AES,
                _KEY_BITS,
                label=self._label,
                id=bytes.fromhex(root_id),
                store=True,
                template={
                    Attribute.SENSITIVE: True,
                    Attribute.EXTRACTABLE: False,
                    Attribute.MODIFIABLE: False,
                    Attribute.ENCRYPT: True,
                    Attribute.DECRYPT: True,
                    Attribute.WRAP: False,
                    Attribute.UNWRAP: False,
                    Attribute.SIGN: False,
                    Attribute.VERIFY: False,
                    Attribute.DERIVE: False,
                },
            )

    def open(self, root_id: str) -> TokenRootKey:
        """The root key of that id."""
        with self.session() as session, _told():
            self.key(session, root_id)
        return TokenRootKey(self, root_id)

    def destroy(self, root_id: str) -> None:
        """Destroy it in the token."""
        with self.session() as session, _told():
            for key in list(session.get_objects(self._named(root_id))):
                key.destroy()

    def key(self, session: Any, root_id: str) -> Any:
        """The key, in a session."""
        for key in session.get_objects(self._named(root_id)):
            return key
        raise HomeError(
            "root-key-missing",
            f"The token {self._place.settings['token']!r} does not have this home's root key.",
            "Put in the token that has it: without it the home cannot be opened.",
        )

    @contextmanager
    def session(self) -> Iterator[Any]:
        """A session with the token, logged in; one at a time."""
        pkcs11 = _library()
        module = str(self._place.settings["module"])
        if not Path(module).is_file():
            raise _failed("hsm-module-missing", f"There is no PKCS#11 module {module}.")
        with _one_session:
            try:
                found = pkcs11.lib(module).get_token(token_label=self._place.settings["token"])
                session = found.open(rw=True, user_pin=self._asked())
            except pkcs11.NoSuchToken:
                label = self._place.settings["token"]
                raise _failed("hsm-token-missing", f"There is no token called {label!r}.") from None
            except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange):
                self._pin = None
                raise _failed("hsm-pin-wrong", "The token refuses the PIN.") from None
            except pkcs11.PinLocked:
                raise _failed("hsm-locked", "The token is locked: too many wrong PINs.") from None
            except (pkcs11.PKCS11Error, RuntimeError) as error:
                raise _failed("hsm-failed", f"The token fails ({type(error).__name__}).") from None
            with session:
                yield session

    def _named(self, root_id: str) -> dict[Any, Any]:
        from pkcs11 import Attribute, ObjectClass

        return {
            Attribute.CLASS: ObjectClass.SECRET_KEY,
            Attribute.LABEL: self._label,
            Attribute.ID: bytes.fromhex(root_id),
        }

    def _asked(self) -> str:
        if self._pin is None:
            named = self._place.settings.get("pin_file")
            self._pin = (
                read_secret(Path(named), "PIN")
                if named
                else self._place.ask(f"PIN of the token {self._place.settings['token']!r}")
            )
        return self._pin


class TokenRootKey:
    """Port ``KeyProvider`` over a key of a token."""

    def __init__(self, token: TokenRootKeys, root_id: str) -> None:
        self._token = token
        self._root_id = root_id

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Seal a key in the token, bound to ``context``."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        with self._token.session() as session, _told():
            sealed: bytes = self._token.key(session, self._root_id).encrypt(
                key, **_gcm(nonce, context)
            )
        return nonce + sealed

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The inverse.

        Raises:
            HomeError: ``root-key-wrong``.
        """
        nonce, sealed = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
        if len(sealed) < _TAG_BITS // 8:
            raise wrong()
        with self._token.session() as session:
            with _told():
                held = self._token.key(session, self._root_id)
            pkcs11 = _library()
            try:
                plain: bytes = held.decrypt(sealed, **_gcm(nonce, context))
            except (pkcs11.EncryptedDataInvalid, pkcs11.EncryptedDataLenRange):
                raise wrong() from None
            except pkcs11.GeneralError:  # what SoftHSM2 says to a wrong tag
                raise wrong() from None
            except pkcs11.PKCS11Error as error:
                raise _failed("hsm-failed", f"The token fails ({type(error).__name__}).") from None
        return plain


def _gcm(nonce: bytes, context: bytes) -> dict[str, Any]:
    from pkcs11 import GCMParams, Mechanism

    return {
        "mechanism": Mechanism.AES_GCM,
        "mechanism_param": GCMParams(nonce=nonce, aad=context, tag_bits=_TAG_BITS),
    }


@contextmanager
def _told() -> Iterator[None]:
    """Tells what fails in the token by its name alone."""
    pkcs11 = _library()
    try:
        yield
    except pkcs11.PKCS11Error as error:
        raise _failed("hsm-failed", f"The token fails ({type(error).__name__}).") from None


def _library() -> Any:
    try:
        import pkcs11
    except ImportError:
        raise HomeError(
            "hsm-not-installed",
            "What talks to hardware modules is not installed.",
            "Install memory-fabric[hsm].",
        ) from None
    return pkcs11


def _failed(code: str, what: str) -> HomeError:
    return HomeError(code, what, "See to the token and to [keys.pkcs11] in site.toml.")
