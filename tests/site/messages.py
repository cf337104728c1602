"""Every text in the bot's code, to find out whether a message that a page quotes is still in it."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.site.pages import ROOT

_CODE = ("deploybot", "commands")


@functools.cache
def texts() -> Sequence[str]:
    """Return every text in the code except docstrings, in small letters. A value that is filled in is a NUL."""
    return tuple(
        text.lower()
        for folder in _CODE
        for path in sorted((ROOT / folder).rglob("*.py"))
        for text in _texts(ast.parse(path.read_text()))
    )


def quoted(message: str) -> bool:
    """Whether the code has a text with this message in it, where `…` stands for anything."""
    words = [re.escape(part) for part in re.split("…", message.lower())]
    wanted = re.compile(".*?".join(words), re.DOTALL)
    return any(wanted.search(text) for text in texts())


def _texts(tree: ast.Module) -> Iterator[str]:
    skipped = set(_docstrings(tree))
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(one.value) if isinstance(one, ast.Constant) else "\0" for one in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in skipped:
            yield node.value


def _docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Texts that stand alone: docstrings, and explanations below a constant."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value


def messages(path: Path) -> Iterator[str]:
    """Yield what a page quotes in the first column of a table that has a column `message`."""
    is_wanted = False
    for line in path.read_text().splitlines():
        if not line.startswith("|"):
            is_wanted = False
        elif line.startswith("| message |"):
            is_wanted = True
        elif is_wanted:
            yield from re.findall(r"“([^”]+)”", line.split("|")[1])
