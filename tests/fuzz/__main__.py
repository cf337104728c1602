"""`python -m tests.fuzz`: what was found, and a line of figures; exit code 1 unless all is as promised."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import tempfile
from pathlib import Path

from tests.fuzz.run import fuzz
from tests.lab import Lab
from tests.lab.parts import missing


def main() -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Lies to the bot in a server's place.")
    parser.add_argument("--answers", type=int, default=5000, help="how many answers are changed (5000)")
    parser.add_argument("--seed", default="", help="what decides everything that is left to chance")
    wanted = parser.parse_args()
    if lack := missing():
        sys.stderr.write(f"{lack}\n")
        return 2
    seed = wanted.seed or secrets.token_hex(4)
    with Lab() as lab, tempfile.TemporaryDirectory(prefix="deploybot-fuzz-") as folder:
        figures = asyncio.run(fuzz(lab, Path(folder), answers=wanted.answers, seed=seed, say=_say))
    return 0 if figures.good else 1


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - what it is for


if __name__ == "__main__":
    sys.exit(main())
