"""The bot is killed before and after each of its writes, from asking to the first step, and starts anew each time.

Whatever was answered, the rows decide: one approval is one approval, card and audit say the same as the state, and
nothing begins that lacks approvals.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

import pytest

from deploybot.domain import State
from deploybot.ports import Store, Tables
from tests.approvals.conftest import open_approval_bot
from tests.kit.bot import V2, BotUnderTest

T = TypeVar("T")


class Mortal:
    """A store that dies at one of its writes, before or after it is committed: from then on it answers nobody."""

    def __init__(self, store: Store, at: int, *, after: bool) -> None:
        self._store = store
        self._left = at
        self._after = after
        self._unheard: set[asyncio.Task[object]] = set()
        self.dead = asyncio.Event()
        self.problem = ""

    async def read(self, work: Callable[[Tables], T]) -> T:
        await self._live()
        return await self._store.read(work)

    async def write(self, work: Callable[[Tables], T]) -> T:
        await self._live()
        self._left -= 1
        last = self._left == 0
        if last and not self._after:
            self.dead.set()
        await self._live()
        done = await self._store.write(work)
        if last:
            self.dead.set()
        await self._live()
        return done

    async def _live(self) -> None:
        """Nobody hears anything of a process that is dead."""
        if self.dead.is_set():
            self._unheard.add(cast("asyncio.Task[object]", asyncio.current_task()))
            await asyncio.Event().wait()

    async def bury(self) -> None:
        """End what the dead process had under way, as its end does."""
        while self._unheard:
            ended, self._unheard = self._unheard, set()
            for task in ended:
                task.cancel()
            await asyncio.gather(*ended, return_exceptions=True)


async def die(bot: BotUnderTest, mortal: Mortal, work: asyncio.Task[None]) -> bool:
    """Let the work go on until it has ended or the bot is dead; whether it is."""
    dead = asyncio.ensure_future(mortal.dead.wait())
    await asyncio.wait({work, dead}, return_when=asyncio.FIRST_COMPLETED)
    for task in (work, dead):
        task.cancel()
    await asyncio.gather(work, dead, return_exceptions=True)
    await bot.deployments.queue.close()
    await mortal.bury()
    return mortal.dead.is_set()


@pytest.mark.parametrize("after", [False, True])
async def test_killed_at_every_write(tmp_path: Path, *, after: bool, figure: Callable[[str], None]) -> None:
    for at in itertools.count(1):
        folder = tmp_path / str(at)
        folder.mkdir()
        async with open_approval_bot(folder, approvals=2) as bot:
            real = bot.store
            mortal = Mortal(real, at, after=after)
            bot.store = mortal  # type: ignore[assignment]
            await bot.restart()

            async def live(bot: BotUnderTest = bot) -> None:
                number = await bot.ask()
                for who in ("ben", "cem"):
                    await bot.say(f"approve #{number}", who)
                await bot.end_of(number)

            killed = await die(bot, mortal, asyncio.ensure_future(live()))
            bot.store = real
            await bot.restart()
            await bring_to_its_end(bot)
        if not killed:
            break
    figure(f"{'after' if after else 'before'} each of {at - 1} writes: 0 lost, 0 untrue")
    assert at > 10


async def bring_to_its_end(bot: BotUnderTest) -> None:
    """Whoever was not answered presses again; then everything has to be true."""
    rows = await bot.store.read(lambda tables: tables.deployments.recent("shop", "production", 9))
    assert len(rows) <= 1
    number = rows[0].number if rows else await bot.ask()
    approved = [row.actor for row in await bot.audit() if row.action == "approve"]
    request = await bot.request_of(number)
    assert sorted(approved) == sorted(one.name for one in request.approvals)
    if (await bot.deployment(number)).state is State.WAITING and len(approved) < 2:
        assert not bot.hosts["web1"].started
        assert f"waiting for {2 - len(approved)} approval" in (await bot.card(number)).title
    for who in {"ben", "cem"} - set(approved):
        assert (await bot.say(f"approve #{number}", who)).ok
    assert (await bot.end_of(number)).state is State.SUCCEEDED
    assert bot.current() == {V2.id}
    assert [row.action for row in await bot.audit()].count("approve") == 2
    jobs = [one.job for name in ("web1", "web2") for one in bot.hosts[name].started]
    assert len(jobs) == len(set(jobs)) == 4
