"""Many cases side by side on three Engines, one for each Compose, and the figures of all of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.conftest import RunningBot, open_running_bot
from tests.histories.asking import bot_toml
from tests.histories.broken.case import BrokenCase, BrokenReport, BrokenRun, Stage
from tests.histories.broken.compose_file import Position
from tests.histories.broken.kinds import BREAKAGES
from tests.histories.server import ComposeVersion, HandServer
from tests.histories.turns import EngineTurns
from tests.lab import Lab

CASES_OF_A_BOT = 30
Runs = Iterator[BrokenRun]


@dataclass(slots=True)
class BrokenFigures:
    """The sums over all cases."""

    seed: str
    cases: int = 0
    silent: int = 0
    ports_lost: int = 0
    left_stopped: int = 0
    found: int = 0
    refused: int = 0
    longest: float = 0.0

    def add(self, report: BrokenReport) -> None:
        """Take a case in."""
        self.cases += 1
        self.silent += report.silent
        self.ports_lost += report.port_lost
        self.left_stopped += report.left_stopped
        self.found += len(report.findings)
        self.refused += report.end.startswith("refused")
        self.longest = max(self.longest, report.gap)

    @property
    def good(self) -> bool:
        """Whether nothing was found."""
        return not self.found and not self.silent

    def __str__(self) -> str:
        return (
            f"broken: cases={self.cases} nothing_serves={self.silent} ports_lost={self.ports_lost} "
            f"left_stopped={self.left_stopped} found={self.found} refused={self.refused} "
            f"longest_gap={self.longest:.1f}s seed={self.seed}"
        )


def draw(seed: str, runs: int) -> list[BrokenCase]:
    """So many cases: every breakage as often as the others, the rest by chance."""
    dice = random.Random(seed)
    kinds = [dice.sample(BREAKAGES, len(BREAKAGES)) for _ in range(runs // len(BREAKAGES) + 1)]
    return [
        BrokenCase(
            number=number,
            breakage=breakage,
            position=dice.choice([*Position]),
            stage=dice.choice([*Stage]),
            compose=dice.choice([*ComposeVersion]),
            chance=dice.random(),
        )
        for number, breakage in enumerate([one for some in kinds for one in some][:runs], 1)
    ]


async def broken(
    lab: Lab, folder: Path, *, runs: int, seed: str, lanes: int, only: int = 0, say: Callable[[str], None]
) -> BrokenFigures:
    """So many cases, or `only` the one of a number; `say` gets a line a case, and last the figures."""
    figures = BrokenFigures(seed)
    cases = [one for one in draw(seed, max(runs, only)) if only in {0, one.number}]

    def tell(report: BrokenReport) -> None:
        figures.add(report)
        say(f"{report.case.number}: {report.case}: {report.end}, gap {report.gap:.1f} s")
        for finding in report.findings:
            say(f"    {finding}")

    async with asyncio.TaskGroup() as group:
        for compose in ComposeVersion:
            mine = [one for one in cases if one.compose is compose]
            if mine:
                server = HandServer(lab, compose)
                group.create_task(_play(server, mine, folder / compose, max(lanes // 3, 1), tell))
    say(str(figures))
    return figures


async def _play(
    server: HandServer, cases: list[BrokenCase], folder: Path, lanes: int, tell: Callable[[BrokenReport], None]
) -> None:
    """Play the cases of one Compose: a bot for some of them, so many at a time."""
    for at in range(0, len(cases), CASES_OF_A_BOT):
        batch = _made(folder / f"batch-{at}")
        runs = [BrokenRun(server, one, batch) for one in cases[at : at + CASES_OF_A_BOT]]
        async with open_running_bot(bot_toml(batch, server, [run.toml for run in runs])) as running:
            waiting, turns = iter(runs), EngineTurns()

            async def lane(running: RunningBot = running, turns: EngineTurns = turns, waiting: Runs = waiting) -> None:
                for run in waiting:
                    tell(await run.play(running, turns))
                    async with turns.turn(alone=False):
                        await asyncio.to_thread(server.forget, [run.project])

            async with asyncio.TaskGroup() as group:
                for _ in range(lanes):
                    group.create_task(lane())


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
