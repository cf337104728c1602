"""Libraries without their docstrings: left out where they were compiled so, and nothing else is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = '''"""What it is."""


class Tree:
    """A tree."""


def grow(height: int) -> int:
    """Make it higher."""
    assert height >= 0, "asserts stay"
    """Not a docstring."""
    return height + 1
'''
USE = """
import sys
import deploybot.lean as lean
lean.LIBRARIES = ("leafy",)
if "compile" in sys.argv:
    print(*lean.compile_without_docs(["leafy"]))
if "lean" in sys.argv:
    lean.leave_out_docs()
    lean.leave_out_docs()
import leafy
from leafy import wood
print(leafy.__doc__, leafy.Tree.__doc__, leafy.grow.__doc__, wood.__doc__)
print(leafy.grow(1), leafy.grow.__code__.co_firstlineno)
try:
    leafy.grow(-1)
except AssertionError as error:
    print(error, error.__traceback__.tb_next.tb_lineno)
"""


@pytest.fixture
def library(tmp_path: Path) -> Path:
    package = tmp_path / "leafy"
    package.mkdir()
    (package / "__init__.py").write_text(LIBRARY)
    (package / "wood.py").write_text('"""Wood."""\n')
    return package


def _use(library: Path, *words: str) -> list[str]:
    env = {**os.environ, "PYTHONPATH": str(library.parent)}
    done = subprocess.run(
        [sys.executable, "-c", USE, *words], capture_output=True, check=True, timeout=60, text=True, env=env
    )
    return done.stdout.splitlines()


def test_docstrings_are_left_out_and_nothing_else(library: Path) -> None:
    made, *rest = _use(library, "compile", "lean")
    assert len(made.split()) == len([*library.rglob("*.opt-nodocs.pyc")]) == 2
    assert rest == ["None None None None", "2 8", "asserts stay 10"]


def test_who_does_not_ask_for_it_has_the_docstrings(library: Path) -> None:
    _use(library, "compile")
    assert _use(library)[0] == "What it is. A tree. Make it higher. Wood."


def test_what_was_not_compiled_so_is_imported_as_usual(library: Path) -> None:
    assert _use(library, "lean")[0] == "What it is. A tree. Make it higher. Wood."


def test_a_library_that_was_changed_is_not_taken_from_what_was_compiled_before(library: Path) -> None:
    _use(library, "compile")
    (library / "__init__.py").write_text(LIBRARY.replace("height + 1", "height + 22"))
    assert _use(library, "lean")[:2] == ["None None None None", "23 8"]


def test_the_libraries_work_without_their_docstrings(tmp_path: Path) -> None:
    words = """
import deploybot.lean as lean
made = sum(1 for _ in lean.compile_without_docs(["httpx", "slack_bolt"]))
lean.leave_out_docs()
import httpx
from slack_bolt.async_app import AsyncApp
print(made > 100, httpx.AsyncClient.__doc__, AsyncApp.__init__.__doc__, httpx.URL("http://127.0.0.1/x").path)
"""
    env = {**os.environ, "PYTHONPYCACHEPREFIX": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", words], capture_output=True, check=True, timeout=120, text=True, env=env
    )
    assert done.stdout.split() == ["True", "None", "None", "/x"]
