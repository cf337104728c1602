"""`python -m tests.mutants`: a line a module, the total, and every change that no test notices.

The exit code is 1 where a module's score is below 95 %, or a survivor is not in survivors.toml.
"""

from __future__ import annotations

import argparse
import shutil
import sys

from tests.mutants.group import WORK, MutantGroup, groups
from tests.mutants.report import AT_LEAST, Survivor, Tally, listed, tally


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description="Changes modules, and runs their tests."
    )
    parser.add_argument("words", nargs="*", help="only modules whose paths have one of these in it")
    parser.add_argument("--number", type=int, default=0, help="only so many mutants of each module")
    parser.add_argument("--seed", default="", help="which of them")
    parser.add_argument(
        "--again", action="store_true", help="only those that no test has killed the last time, and new ones"
    )
    wanted = parser.parse_args()
    if not wanted.again:
        shutil.rmtree(WORK, ignore_errors=True)
    chosen = groups(wanted.words)
    rest = ["--number", str(wanted.number), "--seed", wanted.seed]
    for group in chosen:
        group.prepare()
        # mutmut forgets results when its settings change, and says so only by that: hence a second look.
        code = group.work("--again", *rest) or group.work("--again", *rest) if wanted.again else group.work(*rest)
        if code:
            _say((group.folder / "log").read_text(errors="replace")[-5000:])
            _say(f"mutants: group={group.name} could not be tested, exit code {code}")
            return 2
    return 0 if _report(chosen) else 1


def _report(chosen: list[MutantGroup]) -> bool:
    """Print what came of it; whether it is good enough."""
    reasons, total, good = listed(), Tally(), True
    survivors: list[Survivor] = []
    for group in chosen:
        for module in group.modules:
            counts, alive = tally(group, module)
            survivors += alive
            total += counts
            good &= counts.score >= AT_LEAST
            _say(counts.line(f"module={module}"))
    for one in survivors:
        why = reasons.get(one.key)
        good &= why is not None
        _say(f"\n{one.module}:{one.line} {one.function}: {why or 'not listed'}")
        if why is None:
            _say(one.diff)
    _say(f"\n{total.line('total')} unlisted={sum(one.key not in reasons for one in survivors)}")
    return good


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  what it is for


if __name__ == "__main__":
    sys.exit(main())
