"""The groups of table.toml, each with a folder in which mutmut works."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).parent / "table.toml"
WORK = ROOT / "build" / "mutants"
SHARED = ("deploybot", "commands", "tests", "docs", "bot.example.toml", "README.md")
TEST_WITHIN = "30"
"""Seconds after which a single test has failed, for pytest-timeout. The variable overrides it, on a busy machine."""
SLACK, START = 4.0, 10.0
"""How many times as long as usual the tests of a mutant may take; the seconds that starting them counts as."""


@dataclass(frozen=True, slots=True)
class MutantGroup:
    """Modules that the same tests are about; paths from the root."""

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]
    without: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where mutmut works."""
        return WORK / self.name

    def prepare(self) -> None:
        """Make the folder: links to what is tested, and mutmut's settings beside those of pytest."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in SHARED:
            link = self.folder / name
            if not link.is_symlink():
                link.symlink_to(ROOT / name)
        settings = (ROOT / "pyproject.toml").read_text() + "".join(self._settings())
        (self.folder / "pyproject.toml").write_text(settings)

    def _settings(self) -> Iterator[str]:
        leave_out = [f"--{'deselect' if '::' in one else 'ignore'}={one}" for one in self.without]
        values = {
            "source_paths": ["deploybot", "commands"],
            "only_mutate": self.modules,
            "do_not_mutate_patterns": [r"^\s*log\.\w+\("],
            "also_copy": [name for name in SHARED if name not in {"deploybot", "commands", "tests"}],
            "pytest_add_cli_args_test_selection": self.tests,
            "pytest_add_cli_args": leave_out,
            "timeout_multiplier": SLACK,
            "timeout_constant": START,
            "use_git_change_detection": False,
            "on_dependency_change": "ignore",
        }
        yield "\n[tool.mutmut]\n"
        for key, value in values.items():
            yield f"{key} = {json.dumps(value)}\n"

    def work(self, *arguments: str) -> int:
        """Make the mutants and test those that are wanted; the exit code."""
        command = [sys.executable, "-m", "tests.mutants.work", "--modules", *self.modules, *arguments]
        environment = {"PYTEST_TIMEOUT": TEST_WITHIN} | os.environ
        with (self.folder / "log").open("wb") as log:
            done = subprocess.run(command, cwd=self.folder, stdout=log, stderr=log, env=environment, check=False)
        return done.returncode


def groups(wanted: Sequence[str] = ()) -> list[MutantGroup]:
    """What table.toml says, as far as it exists; with words, only modules whose paths have one of them in it."""
    table = tomllib.loads(TABLE.read_text())
    made = (
        MutantGroup(
            name,
            tuple(one for one in _there(row["modules"]) if not wanted or any(word in one for word in wanted)),
            _there(row["tests"]),
            tuple(row["without"]),
        )
        for name, row in table.items()
    )
    return [group for group in made if group.modules and group.tests]


def _there(globs: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({path.relative_to(ROOT).as_posix() for glob in globs for path in ROOT.glob(glob)}))
