"""`python -m tests.chaos`: a line a run, and last the figures; exit code 1 unless nothing was found.

First the bot is killed in mid-deployment, then while a forge calls it; each has its line of figures.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from tests.chaos.dice import by_chance, point_by_point
from tests.chaos.figures import chaos
from tests.chaos.hooks.figures import chaos as chaos_of_hooks
from tests.lab import Lab
from tests.lab.parts import missing

RUNS = 50


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description="Kills the bot in mid-deployment.")
    parser.add_argument("--of", choices=("deployments", "webhooks"), help="only this one (both)")
    parser.add_argument("--runs", type=int, help="how many runs of each (50; with --every all of them)")
    parser.add_argument("--every", action="store_true", help="kill it once at every failpoint, instead of by chance")
    parser.add_argument("--seed", default="", help="what decides everything that is left to chance")
    parser.add_argument("--lanes", type=int, default=2, help="how many bots at the same time (2)")
    parser.add_argument("--folder", type=Path, help="where the bots' data and logs are to stay; left out: they go")
    wanted = parser.parse_args()
    if lack := missing():
        sys.stderr.write(f"{lack}\n")
        return 2
    seed = wanted.seed or secrets.token_hex(4)
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="deploybot-chaos-") as passing:
        folder = wanted.folder or Path(passing)
        choose = point_by_point(seed) if wanted.every else by_chance(seed)
        runs = wanted.runs or (sys.maxsize if wanted.every else RUNS)
        good = True
        if wanted.of != "webhooks":
            good &= asyncio.run(chaos(lab, folder, choose, runs=runs, seed=seed, lanes=wanted.lanes, say=_say)).good
        if wanted.of != "deployments" and not wanted.every:
            good &= asyncio.run(chaos_of_hooks(lab, folder, runs=runs, seed=seed, lanes=wanted.lanes, say=_say)).good
    return 0 if good else 1


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what it is for


if __name__ == "__main__":
    sys.exit(main())
