"""Many histories side by side on one Engine, and the figures of all of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.conftest import RunningBot, open_running_bot
from tests.histories.asking import bot_toml
from tests.histories.server import ComposeVersion, HandServer
from tests.histories.turns import EngineTurns
from tests.histories.world.dice import draw_acts, draw_style
from tests.histories.world.history import AppHistory, HistoryReport, lines_of
from tests.histories.world.shop import ShopApp
from tests.lab import Lab, Registry, Repo

APPS_OF_A_BOT = 24


@dataclass(slots=True)
class WorldFigures:
    """The sums over all histories."""

    seed: str
    histories: int = 0
    steps: int = 0
    untrue: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    restored: int = 0
    restorable: int = 0

    def add(self, report: HistoryReport) -> None:
        """Take a history in."""
        self.histories += 1
        self.steps += report.steps
        self.untrue += report.untrue
        self.lost += report.lost
        self.restored += report.restored
        self.restorable += report.restorable

    @property
    def good(self) -> bool:
        """Whether nothing was found."""
        return not self.untrue and not self.lost and self.restored == self.restorable

    def __str__(self) -> str:
        return (
            f"world: histories={self.histories} steps={self.steps} untrue={len(self.untrue)} "
            f"restored={self.restored}/{self.restorable} lost={len(self.lost)} seed={self.seed}"
        )


async def world(
    lab: Lab, folder: Path, *, runs: int, seed: str, lanes: int, only: int = 0, say: Callable[[str], None]
) -> WorldFigures:
    """So many histories, or `only` the one of a number; `say` gets a line a history, and last the figures."""
    figures = WorldFigures(seed)
    numbers = [only] if only else [*range(1, runs + 1)]
    server = HandServer(lab, ComposeVersion.TWO)
    registry = lab.registry()
    server.trust(registry)
    server.publish("lab/busybox:latest", registry)
    for at in range(0, len(numbers), APPS_OF_A_BOT):
        batch = _made(folder / f"batch-{at}")
        apps = [_app(batch, server, registry, seed, number) for number in numbers[at : at + APPS_OF_A_BOT]]
        house = f'[registries.house]\nhost = "{registry.address}"\nplain = true'
        async with open_running_bot(bot_toml(batch, server, [house, *(app.toml() for app in apps)])) as running:
            await _play(running, apps, figures, lanes, say)
    say(str(figures))
    return figures


async def _play(
    running: RunningBot, apps: list[ShopApp], figures: WorldFigures, lanes: int, say: Callable[[str], None]
) -> None:
    """Play the histories of some applications, so many at a time."""
    turns, waiting = EngineTurns(), iter(apps)

    async def lane() -> None:
        for app in waiting:
            report = await _history(running, app, figures.seed, turns)
            figures.add(report)
            say(f"{app.name} ({app.style}, {app.on_failure}): {'; '.join(report.told)}")
            for line in lines_of(report):
                say(f"    {line}")
            async with turns.turn(alone=False):
                await asyncio.to_thread(app.server.forget, [app.project])

    async with asyncio.TaskGroup() as group:
        for _ in range(lanes):
            group.create_task(lane())


async def _history(running: RunningBot, app: ShopApp, seed: str, turns: EngineTurns) -> HistoryReport:
    dice = random.Random(f"{seed}/{app.name}/acts")
    return await AppHistory(running, app, turns, dice).play(draw_acts(dice))


def _app(folder: Path, server: HandServer, registry: Registry, seed: str, number: int) -> ShopApp:
    """The application of one history, all of it drawn from the seed and the number."""
    name = f"app{number}"
    dice = random.Random(f"{seed}/{name}")
    return ShopApp(
        name=name,
        server=server,
        registry=registry,
        repo=Repo(folder / f"{name}.git"),
        style=draw_style(dice),
        port=server.port(),
        on_failure=dice.choice(("restore", "restore", "leave")),
        stable=dice.choice(("0s", "1s", "2s")),
        restart=dice.choice(("unless-stopped", "unless-stopped", "always", '"no"')),
        keep=dice.choice((2, 20, 20)),
    )


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
