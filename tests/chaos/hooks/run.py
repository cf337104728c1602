"""One run: pushes and their builds are told to a bot that keeps dying, and what came of them is held to the truth."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field

from deploybot.deployments.deployment_card import key
from tests.chaos.check import newest
from tests.chaos.findings import Findings
from tests.chaos.hooks.forge import Commit, Delivery, Moment
from tests.chaos.hooks.hook_lab import HookLab
from tests.chaos.hooks.judge import judge, settled
from tests.chaos.judge import Judge, remember
from tests.chaos.points import Failpoint
from tests.chaos.process import Life
from tests.chaos.run import BACK_WITHIN, END_WITHIN
from tests.chaos.scenario import undisturbed

_PUSHES = (1, 1, 2, 3)
_DEATHS = (1, 2, 2, 3, 4)
_GREEN = 0.6
_LATEST_SECONDS = 3.0
_QUIET_SECONDS = 0.3
_CALLS = {"store.write": 30, "store.read": 20, "refs.heads": 2, "refs.resolve": 1, "host.start": 3, "host.wait": 3}
_MOMENTS = ("before", "within", "after")


@dataclass(slots=True)
class Report:
    """A run, told: what was pushed, how the bot died, what was told, and what was found."""

    words: str = ""
    kills: int = 0
    seconds: float = 0.0
    commits: list[Commit] = field(default_factory=list)
    deliveries: list[Delivery] = field(default_factory=list)
    deployments: int = 0
    findings: Findings = field(default_factory=Findings)


@dataclass(frozen=True, slots=True)
class Death:
    """How a life of the bot ends: at a failpoint, at a moment of the forge's calls, or `after` so many seconds."""

    point: Failpoint | None = None
    moment: tuple[Moment, int] | None = None
    after: float = 0.0

    def __str__(self) -> str:
        if self.point:
            return str(self.point)
        return f"call {self.moment[1]} {self.moment[0]}" if self.moment else f"at {self.after:.2f} s"


class HookRun:
    """Plays one run in a world; `play` once. Everything left to chance is decided by `dice`."""

    def __init__(self, chaos_lab: HookLab, dice: random.Random) -> None:
        self._chaos_lab = chaos_lab
        self._dice = dice
        self._deaths = [_death(dice) for _ in range(dice.choice(_DEATHS))]
        self._report = Report()
        self._since: dict[Moment, int] = {}
        self._moment: tuple[Moment, int] | None = None

    async def play(self) -> Report:
        """Play it, and tell."""
        began, chaos_lab, report = time.monotonic(), self._chaos_lab, self._report
        site = chaos_lab.sites[0]
        if not chaos_lab.bot.alive:
            await chaos_lab.bot.start()
            # What is there when `auto` looks for the first time is not deployed.
            await chaos_lab.bot.quiet(for_seconds=_QUIET_SECONDS)
        before, told = await remember(chaos_lab, site), len(chaos_lab.forge.deliveries)
        chaos_lab.person.shows.clear()
        chaos_lab.forge.reached = self._reached
        keeper = asyncio.create_task(self._keep())
        try:
            async with asyncio.timeout(END_WITHIN):
                await self._push()
                await self._settle()
        except TimeoutError:
            report.findings.lost.append(f"no end within {END_WITHIN:.0f} s: {chaos_lab.bot.last_words()}")
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        report.deliveries = chaos_lab.forge.deliveries[told:]
        if not report.findings:
            numbers = [*range(before.newest + 1, newest(chaos_lab.data) + 1)]
            await self._see_ends(numbers)
            received = Judge(chaos_lab, undisturbed(site), before)
            await received.hear(numbers)
            report.deployments = len(numbers)
            report.findings.add(received.findings)
            report.findings.add(judge(chaos_lab.data, report.commits, report.deliveries, await chaos_lab.look(site)))
        pushed = ", ".join(f"{'green' if one.green else 'red'} {one.sha[:7]}" for one in report.commits)
        report.words = f"{pushed}; killed {', '.join(map(str, self._deaths))}"
        report.seconds = time.monotonic() - began
        return report

    async def _push(self) -> None:
        """Push and tell; what is pushed last is green, so that it is known what has to be there in the end."""
        dice, forge = self._dice, self._chaos_lab.forge
        count, telling = dice.choice(_PUSHES), []
        for number in range(1, count + 1):
            commit = await asyncio.to_thread(forge.push, green=number == count or dice.random() < _GREEN)
            self._report.commits.append(commit)
            telling.append(asyncio.create_task(forge.tell(dice, commit)))
            await asyncio.sleep(dice.uniform(0, 1.0))
        await asyncio.gather(*telling)

    async def _settle(self) -> None:
        """Wait until all deaths were died, and the bot has done and told everything."""
        bot, head = self._chaos_lab.bot, self._report.commits[-1].sha
        while True:
            if not bot.alive or not bot.life.ready:
                await bot.back(within=BACK_WITHIN)
            elif life := self._doomed:
                # It may have come to the end already of what there was to do, and never come to its failpoint.
                if await bot.quiet(for_seconds=_QUIET_SECONDS) and bot.life is life:
                    bot.kill()
                await bot.until(lambda now, life=life: now is not life or now.code is not None, within=_QUIET_SECONDS)  # type: ignore[misc]
            elif await bot.quiet(for_seconds=_QUIET_SECONDS):
                if settled(self._chaos_lab.data, head):
                    return
                await bot.until(lambda _: False, within=_QUIET_SECONDS)

    @property
    def _doomed(self) -> Life | None:
        """The bot's life, where it is one that is to end."""
        return self._chaos_lab.bot.life if self._report.kills < len(self._deaths) else None

    async def _keep(self) -> None:
        """Let each life of the bot end as was decided, start the next one, and look after the last."""
        bot = self._chaos_lab.bot
        for number, death in enumerate([*self._deaths, None]):
            timer = self._arm(death)
            if number:
                await bot.start(death.point if death else None)
            else:
                bot.arm(death.point if death else None)
            code = await bot.ended()
            if timer is not None:
                timer.cancel()
            self._report.kills += 1
            if death is None or code != -9:
                self._report.findings.lost.append(f"the bot died by itself, with {code}: {bot.last_words()}")

    def _arm(self, death: Death | None) -> asyncio.TimerHandle | None:
        self._since.clear()
        self._moment = death.moment if death else None
        if death is None or not death.after:
            return None
        return asyncio.get_running_loop().call_later(death.after, self._chaos_lab.bot.kill)

    def _reached(self, moment: Moment) -> None:
        """A call has come to a moment: that may be the end of this life."""
        self._since[moment] = self._since.get(moment, 0) + 1
        if self._moment == (moment, self._since[moment]):
            self._chaos_lab.bot.kill()

    async def _see_ends(self, numbers: list[int]) -> None:
        """A person looks at the console, and sees how every deployment ended."""
        try:
            async with asyncio.timeout(BACK_WITHIN):
                for number in numbers:
                    await self._chaos_lab.person.follow(key(number))
        except TimeoutError:
            self._report.findings.lost.append(f"nobody is shown the end of {numbers}")


def _death(dice: random.Random) -> Death:
    how = dice.random()
    if how < 0.5:
        name = dice.choices([*_CALLS], [*_CALLS.values()])[0]
        moments = _MOMENTS if name == "store.write" else ("before", "after")
        return Death(point=Failpoint(name, dice.choice(moments), dice.randint(1, _CALLS[name])))
    if how < 0.75:
        return Death(moment=(dice.choice([*Moment]), dice.randint(1, 3)))
    return Death(after=dice.uniform(0.02, _LATEST_SECONDS))
