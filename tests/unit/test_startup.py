"""What a command loads: no engine before it needs one."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from memory_fabric import wiring

ENGINES = "lancedb lance pyarrow numpy faiss cedarpy sqlalchemy fastapi cryptography phonenumbers"
HELP = f"""
import sys
from memory_fabric.cli.main import main
try:
    main({{words}})
except SystemExit as ended:
    assert ended.code in (0, 2), ended.code
loaded = [name for name in {ENGINES.split()} if name in sys.modules]
assert not loaded, loaded
"""
OPENED = """
import sys
from pathlib import Path
from memory_fabric.cli.main import main
try:
    main(["--home", sys.argv[1], "recall", "tea", "--purpose", "care", "--subject", "anna"])
except SystemExit as ended:
    assert not ended.code, ended.code
assert "lance" in sys.modules
assert "lancedb" not in sys.modules and "fastapi" not in sys.modules
"""


def run(code: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True)


@pytest.mark.parametrize("words", [["--help"], ["recall", "--help"], ["recall", "--nonsense"]])
def test_help_and_mistyped_words_load_no_engine(words: list[str]) -> None:
    run(HELP.replace("{words}", repr(words)))


def test_reading_loads_neither_what_writes_nor_what_serves(tmp_path: Path) -> None:
    home = tmp_path / "home"
    wiring.create_home(home, site_id="fra-1", region="DE", tenants=["acme"])
    run(OPENED, str(home))


def test_each_part_of_wiring_is_where_type_checkers_look_for_it() -> None:
    tree = ast.parse(Path(wiring.__file__).read_text(encoding="utf-8"))
    told = {
        alias.asname: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("memory_fabric.")
        for alias in node.names
    }
    assert told == {name: f"memory_fabric.{module}" for name, module in wiring._WHERE.items()}
    for name in told:
        assert getattr(wiring, name) is not None
    with pytest.raises(AttributeError):
        _ = wiring.nothing
