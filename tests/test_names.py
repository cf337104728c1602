"""One word for one thing: names of classes and modules are unique, and files stay short."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(path for top in ("deploybot", "commands") for path in (ROOT / top).rglob("*.py"))
LONGEST_FILE = 400
LONGEST_FUNCTION = 60


def twice(names: list[tuple[str, Path]]) -> dict[str, list[str]]:
    """The names that exist more than once, each with its files."""
    found: dict[str, list[str]] = defaultdict(list)
    for name, path in names:
        found[name].append(path.relative_to(ROOT).as_posix())
    return {name: paths for name, paths in found.items() if len(paths) > 1}


def test_every_class_has_a_name_of_its_own() -> None:
    trees = [(path, ast.parse(path.read_text())) for path in FILES]
    names = [(node.name, path) for path, tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    assert len(names) > 500
    assert twice(names) == {}


def test_every_module_has_a_name_of_its_own() -> None:
    names = [(path.stem, path) for path in FILES if path.stem != "__init__"]
    assert len(names) > 400
    assert twice(names) == {}


@pytest.mark.parametrize("top", ["deploybot", "commands"])
def test_files_and_functions_are_short(top: str) -> None:
    long = []
    for path in (one for one in FILES if one.is_relative_to(ROOT / top)):
        text = path.read_text()
        if text.count("\n") > LONGEST_FILE:
            long.append(path.relative_to(ROOT).as_posix())
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > LONGEST_FUNCTION:
                    long.append(f"{path.relative_to(ROOT).as_posix()}: {node.name} has {lines} lines")
    assert long == []
