"""Many hosts, each with an Engine of its own, and the figures of all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.histories.hosts.checkout import CheckoutHost, HostDraw, draw_host
from tests.histories.hosts.takeover import HostReport, Takeover
from tests.histories.server import HandServer
from tests.lab import Lab

DISK = 200_000_000


@dataclass(slots=True)
class HostFigures:
    """The sums over all hosts."""

    seed: str
    taken_over: int = 0
    restarted: int = 0
    moved: int = 0
    found: int = 0

    def add(self, report: HostReport) -> None:
        """Take a host in."""
        self.taken_over += report.taken_over
        self.restarted += report.restarted
        self.moved += report.moved
        self.found += len(report.findings)

    @property
    def good(self) -> bool:
        """Whether nothing was found."""
        return not self.found

    def __str__(self) -> str:
        return (
            f"hosts: taken_over={self.taken_over} restarted={self.restarted} moved={self.moved} "
            f"found={self.found} seed={self.seed}"
        )


async def hosts(
    lab: Lab, folder: Path, *, runs: int, seed: str, lanes: int, only: int = 0, say: Callable[[str], None]
) -> HostFigures:
    """So many hosts, or `only` the one of a number; `say` gets a line a host, and last the figures."""
    figures = HostFigures(seed)
    waiting = iter([only] if only else range(1, runs + 1))
    # The laboratory makes one machine at a time.
    making = asyncio.Lock()

    async def lane() -> None:
        for number in waiting:
            draw = draw_host(seed, number)
            report = await _host(lab, draw, folder / draw.project, making)
            figures.add(report)
            say(f"{number}: {draw}: {'taken over' if report.taken_over else 'not taken over'}")
            for finding in report.findings:
                say(f"    {finding}")

    async with asyncio.TaskGroup() as group:
        for _ in range(lanes):
            group.create_task(lane())
    say(str(figures))
    return figures


async def _host(lab: Lab, draw: HostDraw, folder: Path, making: asyncio.Lock) -> HostReport:
    async with making:
        server = await asyncio.to_thread(HandServer, lab, draw.compose, disk=DISK)
    try:
        return await Takeover(CheckoutHost(server, draw, folder)).play()
    finally:
        await asyncio.to_thread(lab.discard, server.engine.box)
