"""What came of the mutants: counted for each module, and those that no test has noticed."""

from __future__ import annotations

import ast
import os
import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.stats import status_by_exit_code

from tests.mutants.group import ROOT, MutantGroup

LISTED = Path(__file__).parent / "survivors.toml"
AT_LEAST = 95.0
_HUNK = re.compile(r"@@ -(\d+)")


@dataclass(frozen=True, slots=True)
class Survivor:
    """A change that no test notices: where it is, and which lines of the module it replaces by which."""

    module: str
    line: int
    function: str
    old: str
    new: str
    diff: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is listed by; lines move."""
        return self.module, self.function, self.old, self.new


@dataclass(frozen=True, slots=True)
class Tally:
    """How many mutants of a module, or of all, ended in which way."""

    killed: int = 0
    survived: int = 0
    timeout: int = 0

    @property
    def score(self) -> float:
        """How many of a hundred were noticed."""
        noticed = self.killed + self.timeout
        return 100 * noticed / (noticed + self.survived) if noticed + self.survived else 100.0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.killed + other.killed, self.survived + other.survived, self.timeout + other.timeout)

    def line(self, name: str) -> str:
        """The line that people read."""
        counts = f"killed={self.killed} survived={self.survived} timeout={self.timeout}"
        return f"mutants: {name} {counts} score={int(self.score * 10) / 10}%"


def tally(group: MutantGroup, module: str) -> tuple[Tally, list[Survivor]]:
    """Count what came of the mutants of a module, and find those that survived."""
    os.chdir(group.folder)  # mutmut reads its notes from there
    data = SourceFileMutationData(path=module)
    data.load()
    codes = {name: status_by_exit_code[code] for name, code in data.exit_code_by_key.items() if code is not None}
    counts = Counter(codes.values())
    timeout, killed = counts["timeout"], counts["killed"]
    alive = [name for name, status in codes.items() if status not in {"killed", "timeout"}]
    return Tally(killed, len(alive), timeout), [_survivor(module, name) for name in alive]


def _survivor(module: str, name: str) -> Survivor:
    diff = get_diff_for_mutant(name, path=module)
    function = _function(name)
    lines = diff.splitlines()[2:]
    old, new = ("\n".join(line[1:].strip() for line in lines if line[0] == sign) for sign in "-+")
    return Survivor(module, _first_line(module, function, lines), function, old, new, diff)


def _function(name: str) -> str:
    """`Approvals.void` of mutmut's `deploybot.deployments.approvals.xǁApprovalsǁvoid__mutmut_7`."""
    mangled = name.rpartition(".")[2].rpartition("__mutmut_")[0]
    return mangled.removeprefix("xǁ").replace("ǁ", ".") if "ǁ" in mangled else mangled.removeprefix("x_")


def _first_line(module: str, function: str, diff: list[str]) -> int:
    """The line of a module in which a mutant begins to differ; its diff counts from the function's first."""
    at = next((int(found[1]) for line in diff if (found := _HUNK.match(line))), 1)
    shared = next((number for number, line in enumerate(diff[1:]) if line[0] in "-+"), 0)
    return starts((ROOT / module).read_text())[function] + at - 1 + shared


def starts(source: str) -> dict[str, int]:
    """The functions and methods of a module, each with its first line."""

    def walk(body: Iterable[ast.stmt], prefix: str) -> Iterator[tuple[str, int]]:
        for node in body:
            if isinstance(node, ast.ClassDef):
                yield from walk(node.body, f"{prefix}{node.name}.")
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{prefix}{node.name}", (node.decorator_list[0] if node.decorator_list else node).lineno

    return dict(walk(ast.parse(source).body, ""))


def listed() -> dict[tuple[str, str, str, str], str]:
    """The survivors that survivors.toml names, with their reasons."""
    rows = tomllib.loads(LISTED.read_text()).get("survivor", [])
    return {(row["module"], row["function"], row["old"], row["new"]): row["why"] for row in rows}
