"""A copy of the bot with what a section of docs/extending.md adds: one file, and one entry in a table."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "extending.md").read_text()
TABLES = "deploybot/part_tables.py"


@dataclass(frozen=True)
class Example:
    """What a section adds: files by path, entries by table, and lines of bot.toml."""

    files: dict[str, str]
    entries: dict[str, str]
    bot_toml: str


def example(heading: str) -> Example:
    """Return the example of a section."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    files = re.findall(r"^`(deploybot/[\w/.]+)`:\n\n```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    entries = re.findall(r"^Entry in `(\w+)`:\n\n```python\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    (lines,) = re.findall(r"^In bot.toml:\n\n```text\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return Example(dict(files), dict(entries), lines)


def extended(made: Example, folder: Path) -> Path:
    """Copy the bot, add the example, and return the folder that has the copy."""
    for top in ("deploybot", "commands"):
        shutil.copytree(ROOT / top, folder / top, ignore=shutil.ignore_patterns("__pycache__"))
    for path, text in made.files.items():
        assert not (folder / path).exists()
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)
    tables = folder / TABLES
    for table, entry in made.entries.items():
        tables.write_text(_with_entry(tables.read_text(), table, entry))
    return folder


def _with_entry(text: str, table: str, entry: str) -> str:
    """Add an entry at the end of a table."""
    lines = text.splitlines(keepends=True)
    (end,) = (
        node.end_lineno
        for node in ast.parse(text).body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == table
    )
    assert end is not None
    assert lines[end - 1] == "}\n"
    return "".join((*lines[: end - 1], entry, *lines[end - 1 :]))


def lint(folder: Path, made: Example) -> str:
    """Return what ruff says about the files and the table of a copy, with the rules of the repository."""
    paths = [str(folder / path) for path in (*made.files, TABLES)]
    config = ("--config", str(ROOT / "pyproject.toml"), "--no-cache")
    said = [_run(sys.executable, "-m", "ruff", *words, *config, *paths) for words in (("check",), ("format", "--diff"))]
    return "".join(one.stdout for one in said if one.returncode)


def drive(folder: Path, driver: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a module of tests/extending with the copy of the bot. Its folder is `home`."""
    home.mkdir()
    path = os.pathsep.join((str(folder), str(ROOT)))
    module = f"tests.extending.{driver}"
    return _run(sys.executable, "-P", "-W", "error", "-m", module, str(home), PYTHONPATH=path)


def _run(*argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, check=False, capture_output=True, text=True, timeout=90, env={**os.environ, **environ}, cwd="/"
    )
