"""A token of SoftHSM2, where that is installed (Debian: `make system-packages`)."""

from __future__ import annotations

import atexit
import importlib.util
import os
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import pytest

from memory_fabric.core.key_ports import KeyPlace

PIN, LABEL = "fabric-1234", "memory-fabric-tests"
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


def token(folder: Path, pin: str = PIN) -> KeyPlace:
    """How a token is reached; skips the test where there is no SoftHSM2. All tests share one token,
    for the module looks for tokens only once.
    """
    module = next((path for path in MODULES if Path(path).is_file()), None)
    if module is None or shutil.which("softhsm2-util") is None:
        pytest.skip("root keys in a token are NOT tested: softhsm2 is missing")
    if importlib.util.find_spec("pkcs11") is None:
        pytest.skip("root keys in a token are NOT tested: python-pkcs11 is missing")
    return KeyPlace("fra-1", folder, {"module": module, "token": _made()}, lambda _: pin)


@cache
def _made() -> str:
    """The label of a fresh token, in a folder that goes with the process."""
    store = Path(tempfile.mkdtemp(prefix="memory-fabric-tokens-"))
    atexit.register(shutil.rmtree, store, ignore_errors=True)
    (store / "tokens").mkdir()
    (store / "softhsm2.conf").write_text(f"directories.tokendir = {store}/tokens\n")
    os.environ["SOFTHSM2_CONF"] = str(store / "softhsm2.conf")
    words = ("--init-token", "--free", "--label", LABEL, "--so-pin", "00000000", "--pin", PIN)
    subprocess.run(["softhsm2-util", *words], check=True, capture_output=True)
    return LABEL
