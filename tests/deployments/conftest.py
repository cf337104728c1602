"""A bot whose shop runs on two servers in memory, with the real database, strategy and deployment engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploybot.deployments.cancellation import CancellationWatch
from deploybot.testing import FakeClock
from tests.kit.bot import BotUnderTest, open_bot

NO_RIGHT = "`deploy` needs the role deployer on shop/production; you have no role there."


class PausingStop(CancellationWatch):
    """A watch whose pauses pass on the clock; `pauses` are their seconds."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.pauses: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.pauses.append(seconds)


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[BotUnderTest]:
    async with open_bot(tmp_path) as made:
        yield made
