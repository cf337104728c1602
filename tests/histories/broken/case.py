"""One case: releases that are good, one that breaks off, and one that is corrected."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import random
from dataclasses import dataclass, field
from pathlib import Path

from deploybot.card import Tone
from deploybot.domain import State
from tests.e2e.conftest import RunningBot
from tests.histories.asking import Ended, last_card, order
from tests.histories.broken.compose_file import Position, files_of
from tests.histories.broken.heartbeat import Heartbeat
from tests.histories.broken.kinds import Breakage, Trouble
from tests.histories.reality import Reality, says_untouched
from tests.histories.server import ComposeVersion, HandServer
from tests.histories.turns import EngineTurns
from tests.lab import LabError, Repo

AWAY_SECONDS = 6.0
_LOOKS = 40
_LOOK_PAUSE = 0.5
_APP = """
[apps.{name}]
repo = "{repo}"
strategy = "compose"
directory = "{directory}"
need_disk = "1B"
stable = "1s"
restore_within = "60s"
compose = {{ wait = "20s" }}
health = {{ docker = true, within = "20s" }}
[apps.{name}.environments.live]
servers = ["web1"]
"""


class Stage(enum.StrEnum):
    """Which deployment is the one that breaks off."""

    FIRST = "first"
    SECOND = "second"
    LATER = "later"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenCase:
    """What is drawn for a case."""

    number: int
    breakage: Breakage
    position: Position
    stage: Stage
    compose: ComposeVersion
    chance: float

    @property
    def name(self) -> str:
        """The application's name."""
        return f"case{self.number}"

    @property
    def alone(self) -> bool:
        """Whether every application on the Engine feels it."""
        return self.breakage.trouble is not Trouble.NONE

    def __str__(self) -> str:
        return f"{self.breakage.name} ({self.position} web, {self.stage} deployment, Compose {self.compose})"


@dataclass(slots=True)
class BrokenReport:
    """What came of a case. `end` is how the deployment that broke off ended; `gap` is in seconds.

    `port_lost` says that the Engine died in mid-start and reserved the port of a container that is gone, which only its
    restart mends: then the card has to say so, and following it has to help. `left_stopped` says that the Engine was
    restarted after the deployment had ended, and did not start a container again: then `status` has to say so.
    """

    case: BrokenCase
    end: str = ""
    gap: float = 0.0
    silent: bool = False
    port_lost: bool = False
    left_stopped: bool = False
    findings: list[str] = field(default_factory=list)


class BrokenRun:
    """Plays one case; `play` once."""

    def __init__(self, server: HandServer, case: BrokenCase, folder: Path) -> None:
        """Take the server, and what was drawn."""
        self._server = server
        self._case = case
        self._repo = Repo(folder / f"{case.name}.git")
        self._port = server.port()
        server.port()
        self._dice = random.Random(case.chance)
        self._versions = 0
        self._late = False
        self.report = BrokenReport(case)

    @property
    def toml(self) -> str:
        """The app's tables of bot.toml."""
        directory = f"{self._server.home}/{self._case.name}"
        return _APP.format(name=self._case.name, repo=self._repo.url, directory=directory)

    @property
    def project(self) -> str:
        """The Compose project."""
        return f"{self._case.name}-live"

    async def play(self, running: RunningBot, turns: EngineTurns) -> BrokenReport:
        """Play it with a bot."""
        case = self._case
        for second in {Stage.FIRST: [], Stage.SECOND: [False], Stage.LATER: [False, True]}[case.stage]:
            async with turns.turn(alone=False):
                await self._good(running, second=second, what="a good release before")
        async with turns.turn(alone=case.alone):
            await self._break(running)
        async with turns.turn(alone=False):
            await self._good(running, second=True, what="the corrected release")
        return self.report

    async def _good(self, running: RunningBot, *, second: bool, what: str) -> None:
        text = self._commit(second=second)
        ended = await order(running, f"deploy {self._case.name}@{text}")
        seen = await self._look()
        if ended.state is not State.SUCCEEDED or seen.answer != text:
            self.report.findings.append(f"{what} was not deployed: {_words(ended)}, {seen.answer!r} answers")

    async def _break(self, running: RunningBot) -> None:
        case = self._case
        if case.breakage.prepare:
            await asyncio.to_thread(case.breakage.prepare, self._server, case.name, self._port + 1)
        text = self._commit(second=True, breakage=case.breakage)
        before = await self._look()
        with Heartbeat(self._server.engine.address, self._port) as heartbeat:
            ended = await self._ordered(running, f"deploy {case.name}@{text}")
            after = await self._settled() if self._late else await self._look()
        refusal = ended.card.title.replace("\n", " ")
        self.report.end = str(ended.state or f"refused: {refusal}")
        if before.serves:
            self.report.gap = heartbeat.longest
        if self._case.alone and not after.serves and await asyncio.to_thread(self._port_is_lost):
            self.report.port_lost = True
            await self._follow_advice(ended)
            return
        if self._late and not after.serves and any(one.state == "exited" for one in after.containers):
            self.report.left_stopped = True
            await self._ask_status(running)
            return
        self._judge(ended, before, after, text)

    async def _ask_status(self, running: RunningBot) -> None:
        card = await running.say(f"status {self._case.name}")
        if card.tone is Tone.GOOD:
            self.report.findings.append(f"status does not say that a container has stopped: {card.title} {card.text}")

    def _port_is_lost(self) -> bool:
        """Whether no container has the port, and the Engine gives it to none."""
        docker, port = self._server.engine.docker, str(self._port)
        if docker("ps", "-q", "--filter", f"publish={port}").strip():
            return False
        try:
            docker("run", "--name", "port-probe", "-p", f"{port}:80", "lab/busybox:latest", "true")
        except LabError as refused:
            return "port is already allocated" in str(refused)
        finally:
            docker("rm", "-f", "port-probe")
        return False

    async def _follow_advice(self, ended: Ended) -> None:
        """Do what the card says; the corrected release shows whether it helps."""
        outcome = ended.deployment.outcome if ended.deployment else ""
        if not self._late and "restart Docker there" not in outcome:
            self.report.findings.append(f"the card does not say that Docker has to be restarted: {_words(ended)}")
        await asyncio.to_thread(self._server.engine.restart)

    async def _ordered(self, running: RunningBot, command: str) -> Ended:
        """Deploy, while something happens to the Engine."""
        trouble = self._case.breakage.trouble
        if trouble is Trouble.NONE:
            return await order(running, command)
        disk = self._server.engine.disk
        assert disk
        card = await running.say(command)
        number = int(card.key.partition(":")[2]) if card.queued else 0
        if not number:
            return Ended(card)
        await self._until_up(running, number)
        try:
            await self._trouble(trouble)
            self._late = await self._has_ended(running, number)
            await running.bot.deployments.queue.idle(number)
        finally:
            await asyncio.to_thread(disk.empty)
        return await last_card(running, number)

    async def _has_ended(self, running: RunningBot, number: int) -> bool:
        deployment = await running.bot.deployments.get(number)
        return deployment is not None and deployment.state.ended

    async def _until_up(self, running: RunningBot, number: int) -> None:
        """Wait until `up` has begun, or the deployment has ended before."""
        step = asyncio.ensure_future(running.step(number, "up"))
        idle = asyncio.ensure_future(running.bot.deployments.queue.idle(number))
        _, rest = await asyncio.wait({step, idle}, return_when=asyncio.FIRST_COMPLETED)
        for one in rest:
            one.cancel()
        await asyncio.gather(step, idle, return_exceptions=True)

    async def _trouble(self, trouble: Trouble) -> None:
        engine = self._server.engine
        if trouble is Trouble.FULL:
            assert engine.disk
            await asyncio.to_thread(engine.disk.fill, leave=self._dice.choice((0, 0, 16384)))
            return
        await asyncio.sleep(self._dice.uniform(0.0, 2.0))
        await asyncio.to_thread(engine.kill if trouble is Trouble.KILLED else engine.stop)
        await asyncio.sleep(AWAY_SECONDS if trouble is Trouble.AWAY else self._dice.uniform(0.0, 1.0))
        await asyncio.to_thread(engine.start)

    def _judge(self, ended: Ended, before: Reality, after: Reality, text: str) -> None:
        running = ", ".join(f"{one.name} {one.state} since {one.started}" for one in after.containers)
        late = ", the trouble came after its end" if self._late else ""
        report, said = self.report, f"{_words(ended)}{late}, {after.answer!r} answers; {running}"
        if ended.hung:
            report.findings.append(f"it does not end: {said}")
        if before.serves and not after.serves:
            report.silent = True
            report.findings.append(f"nothing serves: {said}")
        wanted = text if ended.state is State.SUCCEEDED else before.answer
        if after.answer != wanted and (before.serves or ended.state is State.SUCCEEDED):
            report.findings.append(f"{wanted!r} should answer: {said}")
        if ended.state is State.RESTORED and not before.serves:
            report.findings.append(f"nothing was there to be restored: {said}")
        untouched = ended.deployment is None or says_untouched(ended.deployment.outcome)
        if untouched and not self._case.alone and before.ids != after.ids:
            report.findings.append(f"something was touched: {said}")
        missing = [one for one in before.images if one not in after.images]
        if ended.state is not State.SUCCEEDED and missing and before.serves:
            report.findings.append(f"{', '.join(missing)} does not run any more: {said}")

    def _commit(self, *, second: bool, breakage: Breakage | None = None) -> str:
        self._versions += 1
        text = f"{self._case.name}-v{self._versions}"
        files = files_of(
            text, self._port, position=self._case.position, second=second, breakage=breakage, name=self._case.name
        )
        self._repo.commit(files, text)
        self._repo.tag(text)
        return text

    async def _settled(self) -> Reality:
        """What runs once Docker has started everything again: the trouble came after the deployment's end."""
        for _ in range(_LOOKS):
            with contextlib.suppress(OSError):  # the Engine that was just started does not answer yet
                seen = await self._look()
                if seen.serves and all(one.well for one in seen.containers):
                    return seen
            await asyncio.sleep(_LOOK_PAUSE)
        return await self._look()

    async def _look(self) -> Reality:
        directory = Path(f"{self._server.home}/{self._case.name}")
        return await asyncio.to_thread(self._server.reality, self.project, self._port, directory)


def _words(ended: Ended) -> str:
    if ended.deployment is None:
        return f"refused: {ended.card.title}"
    tail = " | ".join(ended.deployment.tail[-3:])
    return f"#{ended.deployment.number} {ended.deployment.state.value}: {ended.deployment.outcome!r} ({tail})"
