"""What an answer to a training task may hold."""

from __future__ import annotations

import base64
import re
from typing import Any

from safetensors.numpy import load


def assert_holds_only_an_update(body: dict[str, Any], run: str) -> None:
    """Arrays of an adapter, counts, losses, digests and label classes: no words of anybody."""
    assert set(body) == {"kind", "receipt", "classes", "update"}
    assert set(body["update"]) == {"facts", "arrays"}
    words = [value for value in body["update"]["facts"].values() if isinstance(value, str)]
    assert set(words) == {run, body["update"]["facts"]["digest"]}
    assert all("subjects" not in item["class"] for item in body["classes"])
    arrays = load(base64.b64decode(body["update"]["arrays"]))
    assert all(re.fullmatch(r"[\w.]+\.lora_[AB]\.[\w.]*weight", name) for name in arrays)
