"""One run: something is asked for, things go wrong, and what is said of it in the end is held to the truth."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from dataclasses import dataclass, field

from deploybot.deployments.deployment_card import key, number_of
from tests.chaos.app import Kind
from tests.chaos.chaos_lab import ChaosLab
from tests.chaos.check import newest
from tests.chaos.config import TASK
from tests.chaos.findings import Findings
from tests.chaos.judge import Judge, remember
from tests.chaos.process import STOP_WITHIN, Life
from tests.chaos.scenario import Action, Death, Freeze, Scenario, Trouble
from tests.lab import LabError

END_WITHIN = 100.0
_ROLLED_WITHIN = 240.0
BACK_WITHIN = 30.0
_QUIET_SECONDS = 0.3
_QUIET_WITHIN = 40.0
_JOB_CALLS = frozenset({"host.start", "host.poll", "host.wait"})
_LEFT_WELL = 0


@dataclass(slots=True)
class Report:
    """A run, told: how it ended, what was found, and the seconds that each re-attachment took."""

    scenario: Scenario
    end: str = ""
    kills: int = 0
    seconds: float = 0.0
    reattached: list[float] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)


class Run:
    """Plays one scenario in a world; `play` once."""

    def __init__(self, chaos_lab: ChaosLab, scenario: Scenario) -> None:
        self._chaos_lab = chaos_lab
        self._scenario = scenario if chaos_lab.good[scenario.site] > 1 else scenario.without_rollback()
        self._report = Report(self._scenario)
        self._found = self._report.findings
        self._numbers: list[int] = []
        self._begun = asyncio.Event()
        self._over = False
        self._lives: list[Life] = []
        self._timers: list[asyncio.Task[None]] = []
        self._troubled: list[tuple[float, float]] = []
        self._frozen: tuple[float, float] | None = None
        self._within = _ROLLED_WITHIN if self._scenario.site.rolled else END_WITHIN

    async def play(self) -> Report:
        """Play it, and tell."""
        began, chaos_lab = time.monotonic(), self._chaos_lab
        if not chaos_lab.bot.alive and not await chaos_lab.bot.start():
            raise LabError(f"the bot does not start: {chaos_lab.bot.last_words()}")
        before = await remember(chaos_lab, self._scenario.site)
        chaos_lab.person.shows.clear()
        keeper = asyncio.create_task(self._keep())
        try:
            await self._through_it(before.newest)
            await self._settle()
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, *self._timers, return_exceptions=True)
        judge = Judge(chaos_lab, self._scenario, before, self._frozen)
        await judge.hear(self._numbers)
        self._found.add(judge.findings)
        self._report.end = ", ".join(judge.ends) or self._report.end
        times = (reattached(life, self._troubled) for life in self._lives[1:])
        self._report.reattached = [taken for taken in times if taken is not None]
        self._report.seconds = time.monotonic() - began
        return self._report

    async def _keep(self) -> None:
        """Let each life of the bot end as the scenario says, start the next one, and look after the last."""
        bot, deaths = self._chaos_lab.bot, [*self._scenario.deaths]
        while True:
            death = deaths.pop(0) if deaths else None
            if death and not death.point:
                self._timers.append(asyncio.create_task(self._strike(death)))
            if self._lives:
                await bot.start(death.point if death else None)
            else:
                bot.arm(death.point if death else None)
            self._lives.append(bot.life)
            code = await bot.ended()
            self._report.kills += 1
            if death is None or code not in {-death.how, _LEFT_WELL}:
                self._found.lost.append(f"the bot died by itself, with {code}: {bot.last_words()}")
            await asyncio.sleep(death.rest if death else 0)

    async def _strike(self, death: Death) -> None:
        """Send a signal when it is time; SIGTERM must end the bot soon."""
        bot = self._chaos_lab.bot
        await asyncio.sleep(death.after)
        life = bot.life
        bot.kill(death.how)
        if not await bot.until(lambda _: life.code is not None, within=STOP_WITHIN):
            self._found.lost.append(f"{death.how.name} did not end the bot within {STOP_WITHIN:.0f} s")
            bot.kill()

    async def _through_it(self, last: int) -> None:
        """Ask for the deployments and follow them to their ends, while everything happens."""
        scenario, person = self._scenario, self._chaos_lab.person
        troubles = [asyncio.create_task(self._suffer(trouble)) for trouble in scenario.troubles]
        if scenario.freeze:
            troubles.append(asyncio.create_task(self._freeze(scenario.freeze)))
        if scenario.cancel_after:
            self._timers.append(asyncio.create_task(self._cancel()))
        try:
            async with asyncio.timeout(self._within):
                await self._ask(scenario.action, scenario.kind, last)
                if scenario.followed and self._numbers:
                    await self._ask(Action.DEPLOY, Kind.GOOD, self._numbers[0])
                for number in self._numbers:
                    await person.follow(key(number))
        except TimeoutError:
            self._found.lost.append(f"no end within {self._within:.0f} s: {self._chaos_lab.bot.last_words()}")
        for timer in self._timers:
            timer.cancel()
        self._over = True
        self._chaos_lab.bot.look_again()
        await asyncio.gather(*troubles)

    async def _ask(self, action: Action, kind: Kind, last: int) -> None:
        """Ask for a deployment, and take down its number where it was begun; `last` is the newest before it."""
        person = self._chaos_lab.person
        done = await person.say(await self._words(action, kind))
        if done is None:
            self._report.end = "the bot died before it was begun"
            number = await self._newest()
        else:
            number = number_of(done.follows) or 0
            if not number and person.shows:
                self._report.end = f"refused: {person.shows[-1].card.title}"
        if number > last:
            self._numbers.append(number)
            self._begun.set()

    async def _words(self, action: Action, kind: Kind) -> str:
        """The command; a release to deploy is made for it."""
        site = self._scenario.site
        if action is Action.DEPLOY:
            commit = await asyncio.to_thread(self._chaos_lab.source.release, kind)
            return f"deploy {site.app}@{commit} to {site.environment}"
        return {
            Action.ROLLBACK: f"rollback {site.app} from {site.environment}",
            Action.RESTART: f"restart {site.app} {site.environment}",
            Action.RUN: f"run {site.app} {TASK} {site.environment}",
        }[action]

    async def _newest(self) -> int:
        """The last deployment's number, once a bot is back and has put its database right."""
        bot = self._chaos_lab.bot
        while True:
            await bot.back(within=BACK_WITHIN)
            try:
                return newest(self._chaos_lab.data)
            except sqlite3.OperationalError:
                # It was killed in mid-commit, again.
                await bot.ended()

    async def _cancel(self) -> None:
        await asyncio.sleep(self._scenario.cancel_after)
        await self._begun.wait()
        await self._chaos_lab.person.say(f"cancel #{self._numbers[0]}")

    async def _freeze(self, freeze: Freeze) -> None:
        """Freeze the site, and lift that, unless all is over before. A bot that died over a command gets it again."""
        where = f"{self._scenario.site.app} {self._scenario.site.environment}"
        await asyncio.sleep(freeze.after)
        if self._over:
            return
        await self._insist(f"freeze {where} for 1h because of chaos")
        began = time.time()
        await asyncio.sleep(freeze.lasts)
        self._frozen = began, time.time()
        await self._insist(f"unfreeze {where}")

    async def _insist(self, command: str) -> None:
        """Type a command until a bot has answered it."""
        while await self._chaos_lab.person.say(command) is None:
            await self._chaos_lab.bot.back(within=BACK_WITHIN)

    async def _suffer(self, trouble: Trouble) -> None:
        """Let a fault happen when it is time, unless all is over before."""
        point, since = trouble.point, time.monotonic()
        if point is None:
            await asyncio.sleep(trouble.after)
        elif not await self._chaos_lab.bot.until(
            lambda life: self._over or life.comes_to(point, since), within=self._within
        ):
            return
        if self._over:
            return
        began = time.monotonic()
        await self._chaos_lab.suffer(trouble)
        self._troubled.append((began, time.monotonic()))

    async def _settle(self) -> None:
        """Wait until the bot has cleaned up and told everything; it may still die over that."""
        bot = self._chaos_lab.bot
        try:
            async with asyncio.timeout(_QUIET_WITHIN):
                while not (bot.alive and bot.life.ready and await bot.quiet(for_seconds=_QUIET_SECONDS)):
                    await bot.back(within=BACK_WITHIN)
        except TimeoutError:
            self._found.lost.append(f"the bot finds no rest: {bot.life.calls[-5:]}")
        bot.arm(None)


def reattached(life: Life, troubled: list[tuple[float, float]]) -> float | None:
    """The seconds from a bot's start until it follows the deployment again; None where that cannot be said.

    It follows when a server has answered it and, where that was about a job, the row has been written.
    """
    calls = iter(life.calls)
    first = next((call for call in calls if call.remote and call.moment == "after"), None)
    if first is not None and first.name in _JOB_CALLS:
        first = next((call for call in calls if call.name == "store.write" and call.moment == "after"), None)
    if first is None or any(begin < first.at and end > life.since for begin, end in troubled):
        return None
    return first.at - life.since
