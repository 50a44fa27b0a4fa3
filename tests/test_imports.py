"""Imports point one way: retriever <- prompts <- agent <- eval; retriever, prompts <- finetune."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "retriever": {"retriever"},
    "prompts": {"prompts", "retriever"},
    "agent": {"agent", "prompts", "retriever"},
    "eval": {"eval", "agent", "prompts", "retriever"},
    "finetune": {"finetune", "prompts", "retriever"},
}
FILES = sorted(path for room in ALLOWED for path in (ROOT / room).rglob("*.py"))


def rooms_imported(source: str) -> list[tuple[int, str]]:
    """Line and room of every import of one of our rooms, at the top or inside a function."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names = [node.module]
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "import_module":
            names = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        found += [(node.lineno, name.split(".")[0]) for name in names if name.split(".")[0] in ALLOWED]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_imports_against_the_direction(path: Path) -> None:
    room = path.relative_to(ROOT).parts[0]
    wrong = [
        f"line {n}: {name}" for n, name in rooms_imported(path.read_text(encoding="utf-8")) if name not in ALLOWED[room]
    ]
    assert not wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_room_that_shares_a_builtins_name_is_never_imported_whole(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bare = [
        a.asname or a.name
        for n in ast.walk(tree)
        if isinstance(n, ast.Import)
        for a in n.names
        if a.name.split(".")[0] == "eval"
    ]
    assert not bare


def test_every_room_has_files() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in FILES} == set(ALLOWED)


def test_an_import_is_found_wherever_it_hides() -> None:
    lines = ("def f():", "    from agent.x import y", "import eval.metrics", "importlib.import_module('finetune.z')")
    assert sorted(rooms_imported("\n".join(lines))) == [(2, "agent"), (3, "eval"), (4, "finetune")]
