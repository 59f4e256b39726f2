"""``docs/reference/errors.md`` lists every code that can be raised, as it is raised."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import memory_fabric_api.problems  # noqa: F401  (defines kinds of errors)

import memory_fabric.gate.permits  # noqa: F401  (defines kinds of errors)
from memory_fabric.core.errors import MemoryFabricError

ROOT = Path(__file__).parents[3]
CODE = re.compile(r"[a-z]+(-[a-z0-9]+)+")
ROW = re.compile(r"^\| `([a-z0-9-]+)` \| (\d{3}) \| (\d) \|", re.MULTILINE)

Raised = set[tuple[str, int, int]]


def kinds(base: type[MemoryFabricError] = MemoryFabricError) -> dict[str, type[MemoryFabricError]]:
    found = {base.__name__: base}
    for kind in base.__subclasses__():
        found |= kinds(kind)
    return found


def modules() -> Iterator[ast.Module]:
    for room in ("memory_fabric", "api", "federation"):
        for path in sorted((ROOT / room).rglob("*.py")):
            yield ast.parse(path.read_text())


def called(call: ast.Call) -> str:
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def raised(
    module: ast.Module, known: dict[str, type[MemoryFabricError]], calls: list[ast.Call]
) -> Raised:
    """Codes given to constructors, straight or through a parameter of the function around them."""
    found: Raised = set()

    def note(kind: type[MemoryFabricError], *nodes: ast.AST) -> None:
        for node in nodes:
            if isinstance(node, ast.Constant) and CODE.fullmatch(str(node.value)):
                found.add((str(node.value), kind.http_status, kind.exit_code))

    def classify(call: ast.Call, around: ast.FunctionDef | None, owner: str) -> None:
        kind = known.get(owner if called(call) == "cls" else called(call))
        if kind is None or not call.args:
            return
        match call.args[0]:
            case ast.IfExp(body=one, orelse=other):
                note(kind, one, other)
            case ast.Name() if around is not None:
                for use in calls:
                    if called(use) == around.name:
                        note(kind, *use.args)
            case first:
                note(kind, first)

    def walk(node: ast.AST, around: ast.FunctionDef | None, owner: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Call):
                classify(child, around, owner)
            inner = child if isinstance(child, ast.FunctionDef) else around
            walk(child, inner, child.name if isinstance(child, ast.ClassDef) else owner)

    walk(module, None, "")
    return found


def test_every_code_is_listed_with_its_status_and_exit_code() -> None:
    known = kinds()
    sources = list(modules())
    calls = [node for one in sources for node in ast.walk(one) if isinstance(node, ast.Call)]
    codes = set().union(*(raised(module, known, calls) for module in sources))
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    listed = {(code, int(status), int(code_)) for code, status, code_ in ROW.findall(page)}
    assert len(codes) > 90
    assert codes - listed == set(), "raised, and not listed"
    assert listed - codes == set(), "listed, and never raised"
