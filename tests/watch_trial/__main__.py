"""Try the watch: `python -m tests.watch_trial [--good 500] [--faults 200] [--seed N]`. Fails if it misses its aim."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from random import Random

from tests.kit.seeds import new_seed
from tests.watch_trial.simulated_servers import FAULTS, WatchTrial, run_trial

AIM = 0.85
WRONG = 1 / 500
"""The share of good releases that may be rolled back."""


def good_releases(random: Random, count: int) -> list[WatchTrial]:
    """Return the good releases that were rolled back."""
    return [one for one in (run_trial(random) for _ in range(count)) if one.found]


def faulty_releases(random: Random, count: int) -> list[WatchTrial]:
    """Watch faulty releases, each fault as often as the others."""
    names = [*FAULTS]
    return [run_trial(random, names[at % len(names)]) for at in range(count)]


def table(trials: list[WatchTrial]) -> list[str]:
    """Return a row for each fault: how many were found within a minute after the evidence, and how fast."""
    rows = [
        "| fault | releases | found within 60 s | found in the watch | seconds, median |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name in FAULTS:
        mine = [one for one in trials if one.name == name]
        times = sorted(one.at - (one.evidence_at or 0.0) for one in mine if one.at >= 0)
        middle = f"{max(times[len(times) // 2], 0.0):.0f}" if times else "none"
        found = sum(one.in_time for one in mine)
        rows.append(f"| {name} | {len(mine)} | {found} | {len(times)} | {middle} |")
    return rows


def out(text: str) -> None:
    """Write a line to the terminal."""
    sys.stdout.write(f"{text}\n")


def main() -> int:
    """Run both parts; return 0 if next to no good release was rolled back and most faults were found."""
    parser = argparse.ArgumentParser(prog="python -m tests.watch_trial")
    parser.add_argument("--good", type=int, default=500)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = new_seed() if options.seed is None else options.seed
    out(f"seed {seed}")
    random = Random(seed)
    wrong, trials = good_releases(random, options.good), faulty_releases(random, options.faults)
    out("\n".join(table(trials)))
    why = Counter(finding.signal.value for one in wrong for finding in one.found)
    found = sum(one.in_time for one in trials)
    out(f"{len(wrong)} of {options.good} good releases rolled back {dict(why) or ''}".rstrip())
    out(f"{found} of {options.faults} faults found within 60 s after the evidence")
    return int(len(wrong) > WRONG * options.good or found < AIM * options.faults)


if __name__ == "__main__":
    sys.exit(main())
