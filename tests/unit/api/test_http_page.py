"""``docs/reference/http.md``: every example is run, in order, and answered as shown."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from memory_fabric.wiring import Home
from tests.unit.api.conftest import DescribedClient, key_for

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "http.md"
EXAMPLE = re.compile(
    r"```http\n(?P<method>[A-Z]+) (?P<path>\S+)\n(?P<body>.*?)```\n\n"
    r"`(?P<status>\d+)`\n\n```json\n(?P<answer>.*?)```",
    re.DOTALL,
)
VARIES = re.compile(
    r"[0-9a-f]{12,}|\d{4}-\d\d-\d\dT.*|(old \d+|memory-fabric/fra-1|c2sp.org/tlog-proof@v1)[\n+].*",
    re.DOTALL,
)


def agree(shown: Any, given: Any, stands_for: dict[str, str], at: str) -> None:
    """The same answer; ids, hashes, times and scores differ from run to run, consistently."""
    match shown:
        case dict():
            assert set(shown) == set(given), at
            for name, value in shown.items():
                agree(value, given[name], stands_for, f"{at}.{name}")
        case list():
            assert len(shown) == len(given), at
            for number, value in enumerate(shown):
                agree(value, given[number], stands_for, f"{at}[{number}]")
        case float():
            assert isinstance(given, float), at
        case str() if VARIES.fullmatch(shown):
            assert stands_for.setdefault(shown, given) == given, at
        case str():
            for one, other in stands_for.items():
                shown = shown.replace(one, other)
            assert re.sub(r"[0-9a-f]{24}", "", shown) == re.sub(r"[0-9a-f]{24}", "", given), at
        case _:
            assert shown == given, at


def test_every_example_is_answered_as_shown(home: Home, app: FastAPI) -> None:
    home.served = True
    api = DescribedClient(app, key_for(home, "care-app"))
    stands_for: dict[str, str] = {}
    examples = list(EXAMPLE.finditer(PAGE.read_text()))
    assert len(examples) >= 15
    for example in examples:
        path = example["path"]
        for one, other in stands_for.items():
            path = path.replace(one, other)
        sent = {"json": json.loads(example["body"])} if example["body"].strip() else {}
        answer = api.request(example["method"], path, **sent)
        assert answer.status_code == int(example["status"]), answer.text
        agree(json.loads(example["answer"]), answer.json(), stands_for, example["path"])


def test_every_call_has_its_example(app: FastAPI) -> None:
    shown = {(found["method"], found["path"]) for found in EXAMPLE.finditer(PAGE.read_text())}
    for template, methods in app.openapi()["paths"].items():
        pattern = re.sub(r"\{\w+\}", r"[^/?]+", template) + r"(\?.*)?"
        for method in methods:
            assert any(
                method.upper() == verb and re.fullmatch(pattern, path) for verb, path in shown
            ), f"{method} {template} has no example"
