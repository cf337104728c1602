"""Many runs, and the figures of all of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.findings import Findings
from tests.chaos.hooks.hook_lab import HookLab
from tests.chaos.hooks.run import HookRun, Report
from tests.lab import Lab


@dataclass(slots=True)
class Figures:
    """The sums over all runs."""

    seed: str
    runs: int = 0
    kills: int = 0
    deliveries: int = 0
    deployments: int = 0
    findings: Findings = field(default_factory=Findings)

    def add(self, report: Report) -> None:
        """Take a run in."""
        self.runs += 1
        self.kills += report.kills
        self.deliveries += len(report.deliveries)
        self.deployments += report.deployments
        self.findings.add(report.findings)

    @property
    def good(self) -> bool:
        """Whether all that is promised was kept."""
        return not self.findings

    def __str__(self) -> str:
        found = self.findings
        return (
            f"hooks: runs={self.runs} kills={self.kills} deliveries={self.deliveries} deployments={self.deployments} "
            f"lost={len(found.lost)} doubled={len(found.doubled)} untrue={len(found.untrue)} seed={self.seed}"
        )


async def chaos(lab: Lab, folder: Path, *, runs: int, seed: str, lanes: int, say: Callable[[str], None]) -> Figures:
    """So many runs in so many worlds side by side; `say` gets a line a run, and last the figures."""
    figures, numbers = Figures(seed), iter(range(1, runs + 1))

    async def lane(number: int) -> None:
        async with HookLab(lab, folder / f"hooks-{number}") as chaos_lab:
            for run in numbers:
                report = await HookRun(chaos_lab, random.Random(f"{seed}/{run}")).play()
                figures.add(report)
                told = f"{len(report.deliveries)} deliveries, {report.deployments} deployments, {report.kills} kills"
                say(f"{run}: {report.words} → {told}, {report.seconds:.1f} s")
                for finding in report.findings:
                    say(f"    {finding}")

    async with asyncio.TaskGroup() as group:
        for number in range(min(lanes, runs)):
            group.create_task(lane(number))
    say(str(figures))
    return figures
