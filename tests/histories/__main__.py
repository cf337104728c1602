"""`python -m tests.histories world|broken|hosts`: a line each, last the figures; exit code 1 for a finding."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Protocol

from tests.histories.broken.play import broken
from tests.histories.hosts.play import hosts
from tests.histories.world.play import world
from tests.lab import Lab
from tests.lab.parts import missing


class Sums(Protocol):
    """The figures of all runs."""

    @property
    def good(self) -> bool:
        """Whether nothing was found."""


Play = Callable[..., Coroutine[Any, Any, Sums]]
_RUNS = {"world": 300, "broken": 200, "hosts": 30}
_PLAYS: dict[str, Play] = {"world": world, "broken": broken, "hosts": hosts}


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.histories", description=__doc__)
    parser.add_argument("of", choices=_PLAYS, help="what is played")
    parser.add_argument("--runs", type=int, default=0, help="how many (world 300, broken 200, hosts 30)")
    parser.add_argument("--only", type=int, default=0, help="only this one, by its number")
    parser.add_argument("--seed", default="", help="what decides everything that is left to chance")
    parser.add_argument("--lanes", type=int, default=4, help="how many at the same time (4)")
    wanted = parser.parse_args()
    if lack := missing():
        sys.stderr.write(f"{lack}\n")
        return 2
    seed = wanted.seed or secrets.token_hex(4)
    _say(f"seed={seed}")
    os.environ |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="deploybot-histories-") as folder:
        runs = wanted.runs or _RUNS[wanted.of]
        figures = asyncio.run(
            _PLAYS[wanted.of](lab, Path(folder), runs=runs, seed=seed, lanes=wanted.lanes, only=wanted.only, say=_say)
        )
    return 0 if figures.good else 1


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what it is for


if __name__ == "__main__":
    sys.exit(main())
