"""`python -m tests.mutants.work`, in the folder of a group: mutmut, with operators of ours and a choice of mutants.

It is a process of its own, because mutmut works in its current folder and forks after it has imported the tests.
"""

from __future__ import annotations

import argparse
import fnmatch
import random
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from mutmut import __main__ as mutmut
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.utils import file_utils

from tests.mutants import operators

PROCESSES = 2
_KILLED = frozenset({1, 3})


def main() -> None:
    """Make the mutants of this folder, and test those that are wanted."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--modules", nargs="*", default=[])
    parser.add_argument("--number", type=int, default=0)
    parser.add_argument("--seed", default="")
    parser.add_argument("--again", action="store_true")
    wanted = parser.parse_args()
    operators.add()
    _make()
    names: list[str] = []
    for path in file_utils.walk_mutatable_files():
        if not wanted.modules or any(fnmatch.fnmatch(str(path), glob) for glob in wanted.modules):
            names += _some(_mutants(path, again=wanted.again), wanted.number, f"{wanted.seed}{path}")
    if names:
        _test(names)


def _make() -> None:
    """Write the mutated files, where a source is newer than they are."""
    set_mutant_under_test("mutant_generation")
    Path("mutants").mkdir(exist_ok=True)
    file_utils.copy_src_dir()
    file_utils.copy_also_copy_files()
    mutmut.create_mutants(PROCESSES)


def _mutants(path: Path, *, again: bool) -> Sequence[str]:
    """The mutants of a module; `again` leaves out those that a test has killed."""
    data = SourceFileMutationData(path=path)
    data.load()
    return [name for name, code in data.exit_code_by_key.items() if not (again and code in _KILLED)]


def _some(names: Sequence[str], number: int, seed: str) -> Iterable[str]:
    return random.Random(seed).sample(names, number) if 0 < number < len(names) else names


def _test(names: Sequence[str]) -> None:
    """Run mutmut. The tests import the mutated copies, and so nothing of ours may be imported already."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    mutmut._run(tuple(names), PROCESSES)


if __name__ == "__main__":
    main()
