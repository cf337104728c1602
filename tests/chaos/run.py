"""One run: something is asked for, things go wrong, and what is said of it in the end is held to the truth."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field

from deploybot.deploy.cards import key, number_of
from tests.chaos import app
from tests.chaos.app import There
from tests.chaos.check import Server, check, newest, told
from tests.chaos.findings import Findings
from tests.chaos.process import STOP_WITHIN, Life
from tests.chaos.scenario import Death, Scenario, Trouble
from tests.chaos.world import World

END_WITHIN = 100.0
BACK_WITHIN = 30.0
_QUIET_SECONDS = 0.3
_QUIET_WITHIN = 30.0
_JOB_CALLS = frozenset({"host.start", "host.poll", "host.wait"})
_LEAVES_WELL = 0


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

    def __init__(self, world: World, scenario: Scenario) -> None:
        self._world = world
        self._scenario = scenario
        self._report = Report(scenario)
        self._found = self._report.findings
        self._last = 0
        self._number: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._lives: list[Life] = []
        self._timers: list[asyncio.Task[None]] = []
        self._troubled: list[tuple[float, float]] = []

    async def play(self) -> Report:
        """Play it, and tell."""
        began, world, site = time.monotonic(), self._world, self._scenario.site
        keeper = asyncio.create_task(self._keep())
        try:
            await world.bot.back(within=BACK_WITHIN)
            self._last = newest(world.data)
            before = await world.look(site)
            known = {name: self._evidence(name) for name in site.servers}
            world.person.shows.clear()
            await self._through_it()
            await self._settle()
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, *self._timers, return_exceptions=True)
        await self._judge(before, known)
        times = (reattached(life, self._troubled) for life in self._lives[1:])
        self._report.reattached = [taken for taken in times if taken is not None]
        self._report.seconds = time.monotonic() - began
        return self._report

    async def _keep(self) -> None:
        """Let each life of the bot end as the scenario says, start the next one, and look after the last."""
        bot, deaths = self._world.bot, [*self._scenario.deaths]
        while True:
            death = deaths.pop(0) if deaths else None
            if death and not death.point:
                self._timers.append(asyncio.create_task(self._strike(death)))
            if bot.alive:
                bot.arm(death.point if death else None)
            else:
                await bot.start(death.point if death else None)
            self._lives.append(bot.life)
            code = await bot.ended()
            self._report.kills += 1
            if death is None or code not in {-signal.SIGKILL, _LEAVES_WELL}:
                self._found.lost.append(f"the bot died by itself, with {code}: {bot.last_words()}")
            await asyncio.sleep(death.rest if death else 0)

    async def _strike(self, death: Death) -> None:
        """Send a signal when it is time; SIGTERM must end the bot soon."""
        bot = self._world.bot
        await asyncio.sleep(death.after)
        life = bot.life
        bot.kill(death.how)
        if not await bot.until(lambda _: life.code is not None, within=STOP_WITHIN):
            self._found.lost.append(f"{death.how.name} did not end the bot within {STOP_WITHIN:.0f} s")
            bot.kill()

    async def _through_it(self) -> None:
        """Ask for the deployment and follow it to its end, while everything happens."""
        person = self._world.person
        others: list[Coroutine[None, None, None]] = [self._suffer(trouble) for trouble in self._scenario.troubles]
        tasks = [asyncio.create_task(other) for other in others]
        if self._scenario.cancel_after:
            self._timers.append(asyncio.create_task(self._cancel()))
        try:
            async with asyncio.timeout(END_WITHIN):
                number = await self._ask()
                if number:
                    self._number.set_result(number)
                    await person.follow(key(number))
        except TimeoutError:
            self._found.lost.append(f"no end within {END_WITHIN:.0f} s: {self._world.bot.last_words()}")
        for timer in self._timers:
            timer.cancel()
        await asyncio.gather(*tasks)

    async def _ask(self) -> int:
        """Ask for it; the deployment's number, 0 where none came of it."""
        scenario, site = self._scenario, self._scenario.site
        if scenario.rollback:
            words = f"rollback {site.app} from {site.environment}"
        else:
            commit = await asyncio.to_thread(self._world.source.release, scenario.kind)
            words = f"deploy {site.app}@{commit} to {site.environment}"
        done = await self._world.person.say(words)
        if done is not None:
            if not done.follows and self._world.person.shows:
                self._report.end = f"refused: {self._world.person.shows[-1].card.title}"
            return number_of(done.follows) or 0
        self._report.end = "the bot died before it was begun"
        number = await self._newest()
        return number if number > self._last else 0

    async def _newest(self) -> int:
        """The last deployment's number, once a bot is back and has put its database right."""
        while True:
            await self._world.bot.back(within=BACK_WITHIN)
            try:
                return newest(self._world.data)
            except sqlite3.OperationalError:
                # It was killed in mid-commit, again.
                await self._world.bot.ended()

    async def _cancel(self) -> None:
        await asyncio.sleep(self._scenario.cancel_after)
        number = await asyncio.shield(self._number)
        await self._world.person.say(f"cancel #{number}")

    async def _suffer(self, trouble: Trouble) -> None:
        await asyncio.sleep(trouble.after)
        began = time.monotonic()
        await self._world.suffer(trouble)
        self._troubled.append((began, time.monotonic()))

    async def _settle(self) -> None:
        """Wait until the bot has cleaned up and told everything; it may still die over that."""
        bot = self._world.bot
        try:
            async with asyncio.timeout(_QUIET_WITHIN):
                while not (bot.alive and bot.life.ready and await bot.quiet(for_seconds=_QUIET_SECONDS)):
                    await bot.back(within=BACK_WITHIN)
        except TimeoutError:
            self._found.lost.append(f"the bot finds no rest: {bot.life.calls[-5:]}")
        bot.arm(None)

    async def _judge(self, before: Mapping[str, There], known: Mapping[str, tuple[int, set[str]]]) -> None:
        """Hold everything to the truth."""
        world, site = self._world, self._scenario.site
        after = await world.look(site)
        if not self._number.done():
            if after != before or newest(world.data) != self._last:
                self._found.untrue.append(f"nothing was begun, but there is {after}, and before there was {before}")
            return
        number = self._number.result()
        said = told(world.data, number)
        if said is None:
            self._found.lost.append(f"#{number} is not in the database")
            return
        state = said.deployment.state
        self._report.end = f"#{number} {state}" + (" (was cancelled)" if said.deployment.cancel_by else "")
        servers = {name: self._server(name, before[name], after[name], known[name]) for name in site.servers}
        self._found.add(check(self._scenario, said, servers, world.person.shows, world.data / "logs"))

    def _server(self, name: str, before: There, after: There, known: tuple[int, set[str]]) -> Server:
        site, sshd = self._scenario.site, self._world.ways[name].sshd
        jobs = app.jobs_of(sshd) - known[1]
        logs = {job: log for job in jobs if (log := app.log_of(site, sshd, job)) is not None}
        return Server(
            before=before,
            after=after,
            marks=app.marks(site, sshd)[known[0] :],
            jobs=frozenset(jobs),
            still=app.still_running(sshd),
            logs=logs,
        )

    def _evidence(self, name: str) -> tuple[int, set[str]]:
        """How many marks there are on a server, and its jobs."""
        sshd = self._world.ways[name].sshd
        return len(app.marks(self._scenario.site, sshd)), app.jobs_of(sshd)


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
