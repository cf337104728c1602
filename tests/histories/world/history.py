"""One history: its steps are taken one after the other, and after each everything that is said is compared."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from deploybot.domain import Kind, State
from tests.e2e.conftest import RunningBot
from tests.histories.asking import Ended, order
from tests.histories.reality import Reality, says_untouched
from tests.histories.turns import EngineTurns
from tests.histories.world import hands
from tests.histories.world.claims import Evidence, diff_findings, end_findings, history_findings, status_findings
from tests.histories.world.dice import ALONE, Act
from tests.histories.world.ledger import Ledger, PastOrder, available
from tests.histories.world.shop import Nature, ShopApp, ShopStyle, ShopVersion
from tests.lab import LabError

_NATURES = {
    Act.DEPLOY: Nature.GOOD,
    Act.DEPLOY_SICK: Nature.SICK,
    Act.DEPLOY_CRASHING: Nature.CRASHING,
    Act.DEPLOY_UNBUILDABLE: Nature.UNBUILDABLE,
    Act.DEPLOY_LACKING: Nature.LACKING,
    Act.DEPLOY_WHILE_ENGINE_DIES: Nature.GOOD,
    Act.DEPLOY_WHILE_DISK_IS_FULL: Nature.GOOD,
}
_HAS_TO_SUCCEED = frozenset({Act.DEPLOY, Act.DEPLOY_AGAIN, Act.DEPLOY_OLD})
_ADVICE = "docker builder prune --all --force"
_RESTART = "sudo systemctl restart docker"
_LAST_LOOK = 1.0
"""Seconds before its end within which a deployment has looked at the Engine for the last time."""
_KEPT = "kept by the harness\n"


@dataclass(slots=True)
class HistoryReport:
    """What came of a history. `restorable` counts ends after which the old release had to serve, `restored` those."""

    told: list[str] = field(default_factory=list)
    untrue: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    steps: int = 0
    restored: int = 0
    restorable: int = 0


class _DamagedCacheError(Exception):
    """Emptied as the card advises, Docker's build cache is still damaged."""


class AppHistory:
    """Plays the history of one application; `play` once."""

    def __init__(self, running: RunningBot, app: ShopApp, turns: EngineTurns, dice: random.Random) -> None:
        """Take the bot, the application, and what decides by chance."""
        self._running = running
        self._app = app
        self._turns = turns
        self._dice = dice
        self._ledger = Ledger()
        self._death = 0.0
        self._deleted = False
        self.report = HistoryReport()

    async def play(self, acts: list[Act]) -> HistoryReport:
        """Take the steps."""
        for act in acts:
            try:
                async with self._turns.turn(alone=act in ALONE):
                    await self._step(act)
            except _DamagedCacheError:
                # As the card advises next; after a second time in one step, the step fails.
                async with self._turns.turn(alone=True):
                    await asyncio.to_thread(self._app.server.delete_build_cache)
                    await self._step(act)
            self._deleted = False
        return self.report

    async def _step(self, act: Act) -> None:
        began = time.monotonic()
        before = await self._look()
        ended = await self._act(act, before)
        after = await self._look()
        self.report.steps += 1
        end = (ended.state or ended.card.title) if ended else ""
        took = f"{time.monotonic() - began:.1f} s"
        self.report.told.append(f"{act} → {end}, {took}" if ended else f"{act}, {took}")
        if ended:
            await self._judge_end(act, ended, before, after)
        await self._compare(act, after)

    async def _act(self, act: Act, before: Reality) -> Ended | None:
        """Do it; how the deployment ended where it is one."""
        if act in _NATURES:
            return await self._deploy(act)
        ordered = self._command(act, before)
        if ordered:
            return await self._order(ordered)
        if act in hands.ACTS:
            await asyncio.to_thread(hands.ACTS[act], self._app, self._ledger, self._dice)
        return None

    async def _order(self, command: str) -> Ended:
        """Type a command; where its card advises to empty Docker's build cache, do that and type it again.

        Full disks and Engines that are killed damage it, for all applications on the server. Raises
        _DamagedCacheError where emptying it did not help: the Engine has to be stopped then.
        """
        ended = await order(self._running, command)
        if ended.deployment and _ADVICE in ended.deployment.outcome:
            with suppress(LabError):
                await asyncio.to_thread(self._app.server.engine.docker, *_ADVICE.split()[1:])
            ended = await order(self._running, command)
        if ended.deployment and _ADVICE in ended.deployment.outcome and not self._deleted:
            self._deleted = True
            raise _DamagedCacheError
        return ended

    def _command(self, act: Act, before: Reality) -> str:
        """What is typed for a step that needs no new version; empty where there is nothing to type."""
        name, ledger = self._app.name, self._ledger
        good = [number for number, past in ledger.orders.items() if past.state is State.SUCCEEDED]
        old = [
            one for one in ledger.versions.values() if one.nature is Nature.GOOD and one.text in ledger.texts.values()
        ]
        if act is Act.ROLLBACK:
            return f"rollback {name}"
        if act is Act.RESTART:
            return f"restart {name}" if before.containers else ""
        if act is Act.ROLLBACK_TO and good:
            return f"rollback {name} to #{self._dice.choice(good)}"
        if act is Act.DEPLOY_AGAIN and good:
            return f"deploy {name}@#{good[-1]}"
        if act is Act.DEPLOY_OLD and old and self._app.style is ShopStyle.BUILD:
            return f"deploy {self._dice.choice(old).ref}"
        return ""

    async def _deploy(self, act: Act) -> Ended:
        nature = _NATURES[act]
        if nature is Nature.CRASHING and self._app.stable == "0s":
            # Nobody watches then whether it stays up.
            nature = Nature.SICK
        version = await asyncio.to_thread(self._app.publish, nature)
        self._ledger.versions[version.commit] = version
        command = f"deploy {version.ref}"
        if act is Act.DEPLOY_WHILE_ENGINE_DIES:
            return await self._deploy_while_the_engine_dies(command)
        if act is Act.DEPLOY_WHILE_DISK_IS_FULL:
            disk = self._app.server.engine.disk
            assert disk
            await asyncio.to_thread(disk.fill, leave=self._dice.choice((0, 8192, 1 << 20)))
            try:
                return await self._order(command)
            finally:
                await asyncio.to_thread(disk.empty)
        return await self._order(command)

    async def _deploy_while_the_engine_dies(self, command: str) -> Ended:
        engine = self._app.server.engine
        end = asyncio.create_task(order(self._running, command))
        await asyncio.sleep(self._dice.uniform(0.2, 5.0))
        await asyncio.to_thread(self._dice.choice((engine.kill, engine.stop)))
        # On a busy machine that takes a while, in which the Engine still answers.
        self._death = time.time()
        await asyncio.sleep(self._dice.uniform(0.0, 3.0))
        await asyncio.to_thread(engine.start)
        ended = await end
        if ended.deployment and _RESTART in ended.deployment.outcome:
            # An Engine that was killed may keep a port reserved for a container that is gone, until it is restarted.
            await asyncio.to_thread(engine.restart)
            return await self._order(command)
        return ended

    async def _judge_end(self, act: Act, ended: Ended, before: Reality, after: Reality) -> None:
        ledger, deployment = self._ledger, ended.deployment
        if ended.hung:
            self.report.lost.append(f"{act}: {ended.card.title} has no end")
        version = ledger.versions.get(deployment.plan.release.code or "") if deployment else None
        self._note_text(ended, version)
        wanted = self._wanted(ended, version)
        disturbed = act is Act.DEPLOY_WHILE_ENGINE_DIES
        if disturbed and deployment and self._death > deployment.finished - _LAST_LOOK:
            # The Engine died when all had been seen to run: the card is about the time before.
            await self._keep(ended, before, after, whole=False)
            return
        found = [*end_findings(ended, before, after, ledger, wanted=wanted, disturbed=disturbed)]
        if version and deployment and deployment.state is State.SUCCEEDED and version.nature is not Nature.GOOD:
            found.append(f"#{deployment.number} succeeded, but the version is {version.nature}")
        self.report.untrue += [f"{act}: {one}" for one in found]
        if self._has_to_succeed(act) and ended.state is not State.SUCCEEDED:
            said = deployment.outcome if deployment else ended.card.title
            tail = deployment.tail[-3:] if deployment else ()
            self.report.lost.append(f"{act}: a good version was not deployed: {said!r} {tail}")
        await self._count_restored(act, ended, before, after)
        await self._keep(ended, before, after, whole=True)

    async def _keep(self, ended: Ended, before: Reality, after: Reality, *, whole: bool) -> None:
        """Write down how a deployment ended, and what runs since; what a release runs only where it is `whole`."""
        ledger, deployment = self._ledger, ended.deployment
        if deployment is None:
            return
        ledger.orders[deployment.number] = PastOrder(
            state=deployment.state,
            release=deployment.plan.release,
            before=before.answer,
            names=ledger.names_of(before.answer),
        )
        if deployment.state in {State.FAILED, State.UNKNOWN, State.CANCELLED}:
            # What failed may count as what runs now.
            ledger.running = ledger.running if says_untouched(deployment.outcome) else ""
        if deployment.state is State.SUCCEEDED and deployment.plan.kind is not Kind.RESTART:
            ledger.running = deployment.plan.release.id
            if whole:
                await asyncio.to_thread(ledger.remember, ledger.running, after, self._app.server.reader)
            await asyncio.to_thread(hands.keep, self._app, _KEPT)

    def _has_to_succeed(self, act: Act) -> bool:
        """Whether a good version is deployed: a moving tag means by now what was published last."""
        by_tag = act is Act.DEPLOY_AGAIN and self._app.style is ShopStyle.LATEST
        newest = [*self._ledger.versions.values()][-1:]
        return act in _HAS_TO_SUCCEED and not (by_tag and any(one.nature is not Nature.GOOD for one in newest))

    def _note_text(self, ended: Ended, version: ShopVersion | None) -> None:
        """Write down what the release of a deployment answers, before its end is judged by it."""
        if ended.deployment and version:
            self._ledger.texts.setdefault(ended.deployment.plan.release.id, version.text)

    def _wanted(self, ended: Ended, version: ShopVersion | None) -> str:
        """What has to answer after a success: of a new version its text, of a known release what it answered."""
        if ended.deployment is None:
            return ""
        memory = self._ledger.memories.get(ended.deployment.plan.release.id)
        if memory is None:
            return version.text if version else ""
        by_tag = self._app.style is ShopStyle.LATEST and ended.deployment.plan.kind is not Kind.ROLLBACK
        # A tag may mean another image by now.
        return "" if by_tag else memory.answer

    async def _count_restored(self, act: Act, ended: Ended, before: Reality, after: Reality) -> None:
        """Count an end after which an old release has to serve, where its images can still be had."""
        deployment, ledger, reader = ended.deployment, self._ledger, self._app.server.reader
        if deployment is None or (deployment.state is State.SUCCEEDED and deployment.plan.kind is not Kind.ROLLBACK):
            return
        if deployment.plan.kind is Kind.RESTART:
            return
        if deployment.state is State.SUCCEEDED or deployment.plan.kind is Kind.ROLLBACK:
            memory = ledger.memories.get(deployment.plan.release.id)
            if memory is None or not await asyncio.to_thread(available, memory.images, memory.digests, reader):
                return
            good, wanted = (after.answer, after.images) == (memory.answer, memory.images), memory.answer
        elif before.serves and self._app.on_failure == "restore":
            if not await asyncio.to_thread(available, before.images, {}, reader):
                return
            untouched = act is Act.DEPLOY_WHILE_ENGINE_DIES and says_untouched(deployment.outcome)
            good, wanted = untouched or _is_back(before, after), before.answer
        else:
            return
        self.report.restorable += 1
        self.report.restored += good
        if not good:
            self.report.lost.append(f"{act}: {wanted!r} does not serve again: {deployment.outcome!r}, {after}")

    async def _compare(self, act: Act, seen: Reality) -> None:
        """Ask the bot what runs, and compare."""
        running, name, evidence = self._running, self._app.name, Evidence(seen, self._ledger)
        status, history = await running.say(f"status {name}"), await running.say(f"history {name}")
        again = await self._look()
        if again.ids == seen.ids and again.answer == seen.answer and _states(again) == _states(seen):
            self.report.untrue += [f"{act}: {one}" for one in status_findings(status, evidence)]
        self.report.untrue += [one for one in history_findings(history, self._ledger) if one not in self.report.untrue]
        versions = [*self._ledger.versions.values()]
        ref = self._dice.choice(versions).commit if versions else ""
        if ref:
            diff = await running.say(f"diff {name}@{ref}")
            self.report.untrue += [f"{act}: {one}" for one in diff_findings(diff, evidence)]
        if self._ledger.memories and not await asyncio.to_thread(hands.is_kept, self._app, _KEPT):
            self.report.lost.append(f"{act}: what was in the volume is gone")

    async def _look(self) -> Reality:
        app = self._app
        return await asyncio.to_thread(hands.reality, app)


def _is_back(before: Reality, after: Reality) -> bool:
    return after.answer == before.answer and all(
        after.images.get(service) == image for service, image in before.images.items()
    )


def _states(seen: Reality) -> list[tuple[str, str]]:
    return [(one.state, one.health) for one in seen.containers]


def lines_of(report: HistoryReport) -> Iterator[str]:
    """What was found in a history."""
    yield from (f"untrue: {one}" for one in dict.fromkeys(report.untrue))
    yield from (f"lost: {one}" for one in report.lost)
