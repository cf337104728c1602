"""Many runs side by side, and the figures of all of them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.chaos_lab import ChaosLab
from tests.chaos.dice import Choose
from tests.chaos.findings import Findings
from tests.chaos.run import Report, Run
from tests.chaos.scenario import undisturbed
from tests.lab import Lab

REATTACHED_WITHIN = 10.0


@dataclass(slots=True)
class Figures:
    """The sums over all runs."""

    seed: str
    runs: int = 0
    kills: int = 0
    findings: Findings = field(default_factory=Findings)
    reattached: list[float] = field(default_factory=list)

    def add(self, report: Report) -> None:
        """Take a run in."""
        self.runs += 1
        self.kills += report.kills
        self.findings.add(report.findings)
        self.reattached += report.reattached

    @property
    def good(self) -> bool:
        """Whether all that is promised was kept."""
        return not self.findings and self.slowest <= REATTACHED_WITHIN

    @property
    def slowest(self) -> float:
        """The seconds within which 99 of 100 re-attachments were done; 0.0 where there was none."""
        times = sorted(self.reattached)
        return times[math.ceil(len(times) * 0.99) - 1] if times else 0.0

    def __str__(self) -> str:
        found = self.findings
        return (
            f"chaos: runs={self.runs} kills={self.kills} lost={len(found.lost)} doubled={len(found.doubled)} "
            f"untrue={len(found.untrue)} reattach_p99={self.slowest:.1f}s seed={self.seed}"
        )


async def chaos(
    lab: Lab, folder: Path, choose: Choose, *, runs: int, seed: str, lanes: int, say: Callable[[str], None]
) -> Figures:
    """So many runs at most, in so many worlds side by side; `say` gets a line a run, and last the figures."""
    figures = Figures(seed)
    numbers = iter(range(1, runs + 1))

    def tell(run: int, report: Report) -> None:
        figures.add(report)
        took = f", back in {', '.join(f'{taken:.1f}' for taken in report.reattached)} s" if report.reattached else ""
        say(f"{run}: {report.scenario} → {report.end}, {report.kills} kills{took}, {report.seconds:.1f} s")
        for finding in report.findings:
            say(f"    {finding}")

    async def lane(number: int) -> None:
        async with ChaosLab(lab, folder / f"world-{number}") as chaos_lab:
            for site in chaos_lab.sites:
                # So that there is something to go back to.
                report = await Run(chaos_lab, undisturbed(site)).play()
                figures.findings.add(report.findings)
            for run in numbers:
                scenario = choose(run, chaos_lab.sites)
                if scenario is None:
                    return
                tell(run, await Run(chaos_lab, scenario).play())

    async with asyncio.TaskGroup() as group:
        for number in range(min(lanes, runs)):
            group.create_task(lane(number))
    if figures.slowest > REATTACHED_WITHIN:
        say(f"re-attaching took {figures.slowest:.1f} s, and {REATTACHED_WITHIN:.0f} s are promised")
    say(str(figures))
    return figures
