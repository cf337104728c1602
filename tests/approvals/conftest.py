"""A bot whose shop runs v1 and whose production wants approvals, and a team in three chats."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploybot.deployments.approvals import Approvals
from deploybot.deployments.timeouts import Timeouts
from deploybot.domain import Role, State
from deploybot.errors import UserError
from deploybot.ports import RefSource
from tests.kit.bot import CHATS, BotUnderTest, Team, open_as, shop_settings

TEAM: Team = {
    "ana": [(Role.DEPLOYER, "*", "*")],
    "ben": [(Role.APPROVER, "shop", "*")],
    "cem": [(Role.APPROVER, "shop", "production")],
    "dia": [(Role.ADMIN, "*", "*")],
    "eve": [(Role.DEPLOYER, "shop", "*")],
    "fay": [(Role.APPROVER, "shop", "staging")],
}
STRANGER = "stranger"
OFTEN = Timeouts(clock_check=0.005)
"""A clock that is moved is noticed soon."""


@asynccontextmanager
async def open_approval_bot(
    folder: Path, refs: RefSource | None = None, /, **environment: object
) -> AsyncIterator[BotUnderTest]:
    """A bot with the team; `environment` are keys of production, which wants one approval by default."""
    settings = shop_settings(folder / "data", **({"approvals": 1} | environment))
    async with open_as(BotUnderTest, folder, settings, team=TEAM, chats=CHATS, refs=refs, timeouts=OFTEN) as bot:
        yield bot


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[BotUnderTest]:
    async with open_approval_bot(tmp_path) as made:
        yield made


async def refused(bot: BotUnderTest, token: str, who: str, message: str) -> str:
    """Why a press was refused; an empty text where it was taken."""
    try:
        card = await bot.press(token, who, message)
    except UserError as problem:
        return str(problem)
    return "" if card.ok else card.title


async def lay_v1(bot: BotUnderTest) -> None:
    """Have v1 run in production."""
    number = await bot.ask("deploy shop@v1 to production")
    assert (await bot.say(f"approve #{number}", "ben")).title == f"#{number} is approved."
    assert (await bot.end_of(number)).state is State.SUCCEEDED


def engine(bot: BotUnderTest) -> Approvals:
    return bot.deployments._approvals
