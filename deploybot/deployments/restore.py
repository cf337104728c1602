"""Restore what ran before on a server: wait for the Engine, try until it serves, and report truthfully how it went."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from deploybot.backoff import Backoff
from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.release_verification import Verifier
from deploybot.deployments.stage_runner import StageRunner
from deploybot.deployments.step_execution import Executor
from deploybot.domain import Deployment, Manifest, Phase, ServerPlan
from deploybot.errors import Cancelled, DeploybotError, StepFailed, StepUnknown, Unhealthy, Unreachable
from deploybot.ports import Clock, Store

ROOM = 100
"""Positions per attempt: attempt 2 of step 0 is step 100."""
_PAUSES = Backoff(2.0, 60.0)
IMAGES_GONE = 3
"""Exit code of `compose_images.sh` if an image is neither there nor in a registry: a retry cannot help."""


@dataclass(frozen=True, slots=True)
class Restored:
    """How a restore on one server ended: the sentence for the card, and whether what ran before serves again."""

    words: str
    good: bool


class Restorer:
    """Restores servers. Attempts are rows of steps, so a restarted bot resumes the current attempt."""

    def __init__(
        self,
        *,
        store: Store,
        executor: Executor,
        stages: StageRunner,
        verifier: Verifier,
        clock: Clock,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        """Take the ports and parts; `pause` waits for the given seconds between two attempts."""
        self._store = store
        self._executor = executor
        self._stages = stages
        self._verifier = verifier
        self._clock = clock
        self._pause = pause

    async def restore(
        self, deployment: Deployment, part: ServerPlan, *, failed_once: Callable[[], None] = lambda: None
    ) -> Restored:
        """Restore what ran on a server. Retries with pauses until it is healthy or `restore_within` is over.

        It calls `failed_once` after the first failed attempt, and at once if that was before a restart of the bot.
        """
        if part.replaces is None and part.before is None:
            return Restored(f"{part.server}: nothing ran before, so there is nothing to restore.", good=False)
        name = str(part.replaces) if part.replaces else "what ran before"
        if not part.restore:
            why = "did not serve before" if part.verify else "is no longer on the server"
            return Restored(f"{part.server}: {name} {why} and was not restored.", good=False)
        began, attempt = await self._progress(deployment, part)
        end = began + self._executor.target(deployment)[0].restore_within
        pauses = iter(_PAUSES)
        if attempt:
            failed_once()
        while True:
            problem = await self._attempt(deployment, part, attempt)
            attempt += 1
            tries = "" if attempt == 1 else f" at attempt {attempt}"
            if problem is None and part.is_link_restored:
                words = (
                    f"{part.server}: {name} was restored{tries}: `current` leads to it again. Its health is unknown."
                )
                return Restored(words, good=True)
            if problem is None:
                return Restored(f"{part.server}: {name} was restored{tries} and is healthy.", good=True)
            if isinstance(problem, Unhealthy) and await self._is_as_before(deployment, part):
                words = f"{part.server}: {name} was restored and is as unhealthy as before: {problem.why}."
                return Restored(words, good=False)
            pause = next(pauses)
            if _is_final(problem, part) or self._clock.now() + pause > end:
                return Restored(_failed(part.server, name, problem, attempt), good=False)
            failed_once()
            await self._pause(pause)

    async def _is_as_before(self, deployment: Deployment, part: ServerPlan) -> bool:
        app, environment = self._executor.target(deployment)
        return await self._verifier.is_as_before(app, environment, part.server, part.before or Manifest())

    async def _progress(self, deployment: Deployment, part: ServerPlan) -> tuple[float, int]:
        """Return when the first attempt began and which one is current; a restart of the bot gives no more time."""
        rows = await self._store.read(lambda tables: tables.deployments.steps(deployment.number))
        mine = [row for row in rows if row.phase is Phase.RESTORE and row.server == part.server]
        began = min((row.started for row in mine), default=self._clock.now())
        return began, max((row.position // ROOM for row in mine), default=0)

    async def _attempt(self, deployment: Deployment, part: ServerPlan, attempt: int) -> DeploybotError | None:
        """Run the restore stages once; return what went wrong, or None."""
        never = CancellationWatch()
        try:
            for at, stage in enumerate(part.restore_stages):
                named = replace(stage, name=f"{stage.name} ({attempt + 1})") if attempt else stage
                numbered = (attempt * ROOM + at, named)
                await self._stages.run(deployment, Phase.RESTORE, part, numbered, never)
        except (StepFailed, StepUnknown, Unreachable, Cancelled, Unhealthy) as problem:
            return problem
        return None


def _is_final(problem: DeploybotError, part: ServerPlan) -> bool:
    """Return whether a retry cannot help. Other steps, such as a restart command, may end with the same code."""
    if not isinstance(problem, StepFailed) or problem.code != IMAGES_GONE:
        return False
    return any(step.script == "compose_images" and problem.step.startswith(step.name) for step in part.restore)


def _failed(server: str, name: str, problem: DeploybotError, attempts: int) -> str:
    tried = f" after {attempts} attempts" if attempts > 1 else ""
    why = problem.why if isinstance(problem, Unhealthy) else str(problem)
    if isinstance(problem, Unhealthy):
        return f"{server}: {name} was restored but is not healthy{tried}: {why}."
    advice = f" {problem.advice}" if isinstance(problem, StepFailed) and problem.advice else ""
    return f"{server}: {name} could not be restored{tried}: {why}.{advice}"


def is_restorable(part: ServerPlan) -> bool:
    """Return whether a server has anything to restore."""
    return bool(part.restore) and (part.replaces is not None or part.before is not None)
