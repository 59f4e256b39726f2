"""Asking for passphrases and PINs: never by an argument or the environment, where others look."""

from __future__ import annotations

import getpass
import os
import sys

from memory_fabric.core.errors import HomeError, InputError

_LONGEST = 4096


class Asker:
    """Asks on the terminal, or reads once from a descriptor.

    Args:
        descriptor: gives the answer in its first line; the terminal where left out.
    """

    def __init__(self, descriptor: int | None = None) -> None:
        self._descriptor = descriptor
        self._read: str | None = None

    def __call__(self, what: str) -> str:
        """The answer to a question for ``what``.

        Raises:
            HomeError: ``passphrase-missing``: there is neither descriptor nor terminal.
        """
        if self._descriptor is not None:
            if self._read is None:
                self._read = _first_line(self._descriptor)
            return self._read
        if not sys.stdin.isatty():
            raise HomeError(
                "passphrase-missing",
                f"{what} is needed, and there is no terminal to ask on.",
                "Name a file for it in site.toml, or give a descriptor with --passphrase-fd.",
            )
        return getpass.getpass(f"{what}: ")

    def twice(self, what: str) -> str:
        """A new passphrase, asked for twice on a terminal, against typing errors.

        Raises:
            InputError: ``passphrase-differs``.
        """
        given = self(what)
        if self._descriptor is None and getpass.getpass(f"{what}, once more: ") != given:
            raise InputError(
                "passphrase-differs", "The two passphrases are not the same.", "Try again."
            )
        return given

    def new(self, descriptor: int | None) -> str:
        """The passphrase of a root key to be made, from a descriptor of its own or the terminal."""
        return Asker(descriptor).twice("New passphrase of the root key")


def _first_line(descriptor: int) -> str:
    try:
        with os.fdopen(os.dup(descriptor), "rb") as file:
            return file.readline(_LONGEST).rstrip(b"\r\n").decode()
    except (OSError, UnicodeDecodeError):
        raise InputError(
            "descriptor-unreadable",
            "Nothing can be read from the descriptor.",
            "Open it for this process, as in `--passphrase-fd 3 3< FILE`.",
        ) from None
