"""What was asked for moves around its approvals: nothing that nobody approved is ever deployed; `N` raises the sizes.

Between asking, approving and beginning, the branch or the tag moves (and sometimes back), bot.toml changes, another
release comes to a server, and the bot is started anew. A judge of its own compares what there was when somebody
looked at the card with what there is when a server switches.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from deploybot.card import Card
from deploybot.domain import RequestVerdict, State
from deploybot.masking import Redactor
from deploybot.settings import Settings
from deploybot.sources.git_source import GitSource
from deploybot.testing import FakeHost, Outcome
from tests.approvals.conftest import open_approval_bot
from tests.kit.bot import BotUnderTest, shop_settings, switched
from tests.lab.repos import Repo
from tests.store.examples import seeded

IN_MEMORY = int(os.environ.get("N", "60"))
IN_GIT = int(os.environ.get("N", "25"))
WEBS = ("web1", "web2")
RESTARTS = ("./restart", "./restart --hard")
WORDS = ("main", "stable", "", "commit")


@dataclass(slots=True)
class Schedule:
    """A bot whose refs a schedule moves, and the judge that sees every switch."""

    bot: BotUnderTest
    chance: random.Random
    point: Callable[[str, str], Awaitable[None]]
    commits: list[str]
    refs: dict[str, str]
    config: str = RESTARTS[0]
    word: str = ""
    seen: tuple[object, ...] = ()
    switched: list[tuple[object, ...]] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    unapproved: int = 0

    def looks(self) -> tuple[object, ...]:
        """All that an approval is about, as it is now."""
        ref = self.refs["main" if not self.word else self.word] if self.word in {"main", "stable", ""} else self.word
        there = tuple(self.bot.hosts[name].server_facts.current for name in WEBS)
        return ref, self.config, there

    def switch(self, host: FakeHost, env: Mapping[str, str]) -> None:
        """What the script on a server does; the first one of a deployment is judged."""
        if env["DEPLOYBOT_RESTORE"] == "no" and not self.switched:
            self.switched.append((env["DEPLOYBOT_RELEASE"], *self.looks()[1:], self.looks()[0]))
        switched(host, env)

    async def move(self) -> None:
        """Something changes, or seems to."""
        match self.chance.randrange(6):
            case 0 | 1:
                ref = self.chance.choice(("main", "stable"))
                await self.point_to(ref, self.chance.choice(self.commits))
            case 2:
                self.config = self.chance.choice(RESTARTS)
                await self.bot.restart(self.settings())
            case 3:
                host = self.bot.hosts[self.chance.choice(WEBS)]
                host.server_facts = replace(host.server_facts, current=self.chance.choice(self.commits))
            case 4:
                await self.bot.restart(self.settings())
            case _:
                """Nothing happens."""

    async def point_to(self, ref: str, commit: str) -> None:
        """Have a ref mean another commit."""
        await self.point(ref, commit)
        self.refs[ref] = commit

    def settings(self) -> Settings:
        """bot.toml as it is now."""
        repo = self.bot.settings.apps["shop"].repo
        made = shop_settings(self.bot.settings.bot.data, approvals=1)
        made.apps["shop"].__dict__.update(repo=repo, restart=self.config)
        return made

    async def run(self) -> None:
        """One schedule, from asking to its end."""
        self.word = self.chance.choice(WORDS)
        if self.word == "commit":
            self.word = self.chance.choice(self.commits)
        text = f"deploy shop{f'@{self.word}' if self.word else ''} to production"
        number, self.seen, self.switched = await self.bot.ask(text), self.looks(), []
        for _ in range(self.chance.randrange(3)):
            await self.move()
        # A move while it waits for its turn is a move between the approval and the first step.
        async with self.bot.busy():
            card = await self.bot.say(f"approve #{number}", self.chance.choice(("ben", "cem")))
            same_then = self.looks() == self.seen
            assert card.ok is same_then, (card, self.seen, self.looks())
            if card.ok and self.chance.random() < 0.5:
                await self.change_while_it_waits()
        await self.end(number, card)

    async def change_while_it_waits(self) -> None:
        """A move that does not start the bot anew: that would end the busy turn."""
        ref = self.chance.choice(("main", "stable"))
        await self.point_to(ref, self.chance.choice(self.commits))
        if self.chance.random() < 0.3:
            host = self.bot.hosts[self.chance.choice(WEBS)]
            host.server_facts = replace(host.server_facts, current=self.chance.choice(self.commits))

    async def end(self, number: int, card: Card) -> None:
        """Compare how it ended with what it should have."""
        same = card.ok and self.looks() == self.seen
        if card.ok and self.chance.random() < 0.2:
            await self.bot.restart(self.settings())
        ended = await self.bot.end_of(number)
        assert (ended.state is State.SUCCEEDED) is same, ended
        if not same:
            assert (await self.bot.request_of(number)).verdict is RequestVerdict.VOID
        self.ends["deployed" if same else "void"] += 1
        for release, config, there, ref in self.switched:
            self.unapproved += (release, config, there) != self.seen or ref != self.seen[0]


async def schedules(schedule: Schedule, count: int) -> None:
    """Run so many, and say what came of them."""
    for name in WEBS:
        schedule.bot.hosts[name].script("switch", Outcome(effect=schedule.switch))
    for _ in range(count):
        await schedule.run()
    assert schedule.ends["deployed"] > count // 10
    assert schedule.ends["void"] > count // 10
    assert schedule.unapproved == 0


@pytest.mark.timeout(120 + IN_MEMORY)
async def test_schedules(tmp_path: Path, figure: Callable[[str], None]) -> None:
    commits = [digit * 40 for digit in "12345"]

    async def point(ref: str, commit: str) -> None:
        await asyncio.sleep(0)
        known = bot.refs.known
        known[ref] = commit
        known[""] = known["main"]

    async with open_approval_bot(tmp_path) as bot:
        bot.refs.known = {"main": commits[0], "stable": commits[0], "": commits[0]} | {c: c for c in commits}
        schedule = Schedule(bot, seeded(), point, commits, dict.fromkeys(("main", "stable"), commits[0]))
        await schedules(schedule, IN_MEMORY)
    _told(figure, schedule, IN_MEMORY, "in memory")


@pytest.mark.timeout(120 + IN_GIT)
async def test_schedules_in_git(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """The same with a real repository: `main` is a branch that is moved, also backwards, `stable` a tag."""
    repo = Repo(tmp_path / "shop.git")
    commits = [repo.commit({"index.html": str(number)}, f"Change {number}") for number in range(5)]
    repo.branch("main", commits[0])
    repo.branch("keep", commits[-1])
    repo.tag("stable", commits[0])

    async def point(ref: str, commit: str) -> None:
        await asyncio.to_thread(repo.branch if ref == "main" else repo.tag, ref, commit)

    async with open_approval_bot(tmp_path, GitSource(tmp_path / "git", Redactor())) as bot:
        bot.settings.apps["shop"].__dict__["repo"] = repo.url
        schedule = Schedule(bot, seeded(), point, commits, dict.fromkeys(("main", "stable"), commits[0]))
        await schedules(schedule, IN_GIT)
    _told(figure, schedule, IN_GIT, "in git")


def _told(figure: Callable[[str], None], schedule: Schedule, count: int, where: str) -> None:
    ends = ", ".join(f"{number} {what}" for what, number in sorted(schedule.ends.items()))
    figure(f"{where}: {schedule.unapproved} of {count} deployed unapproved ({ends})")
