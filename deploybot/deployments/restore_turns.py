"""In which order servers are restored: the last batch comes first, so that the rest serves meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from deploybot.deployments.restore import Restored, Restorer
from deploybot.deployments.timeouts import Timeouts
from deploybot.deployments.what_runs_now import Present
from deploybot.domain import Deployment, ServerPlan


def turns_of(deployment: Deployment, touched: Sequence[ServerPlan]) -> tuple[tuple[ServerPlan, ...], ...]:
    """Return the servers to restore: batches in reverse, and only servers that were touched."""
    batches = reversed(deployment.plan.batches)
    found = (tuple(part for part in batch if part in touched) for batch in batches)
    return tuple(turn for turn in found if turn)


class RestoreTurns:
    """Restores the servers of a deployment, turn after turn."""

    def __init__(self, restorer: Restorer, present: Present, timeouts: Timeouts) -> None:
        """Take what restores one server, and what finds out whether a server answers."""
        self._restorer = restorer
        self._present = present
        self._timeouts = timeouts

    async def restore(
        self, deployment: Deployment, touched: Sequence[ServerPlan], *, longest: float
    ) -> tuple[dict[str, Restored], list[BaseException]]:
        """Restore the touched servers. Return how that ended, by server, and what was raised instead.

        The servers of a batch are restored side by side. A server's turn lasts as long as its first attempt, or until
        it does not answer for a while, and at most `longest` seconds. Further attempts go on beside the next turns.
        """
        turns = turns_of(deployment, touched)
        ends = {part.server: asyncio.Event() for turn in turns for part in turn}

        async def restore(at: int, part: ServerPlan) -> Restored:
            for before in turns[at - 1] if at else ():
                await ends[before.server].wait()
            return await self._in_turn(deployment, part, ends[part.server].set, longest)

        parts = [(at, part) for at, turn in enumerate(turns) for part in turn]
        results = await asyncio.gather(*(restore(*numbered) for numbered in parts), return_exceptions=True)
        named = {part.server: one for (_, part), one in zip(parts, results, strict=True)}
        restored = {server: one for server, one in named.items() if isinstance(one, Restored)}
        return restored, [one for one in results if isinstance(one, BaseException)]

    async def _in_turn(
        self, deployment: Deployment, part: ServerPlan, end_turn: Callable[[], None], longest: float
    ) -> Restored:
        """Restore one server, and end its turn when others need not wait for it any more."""
        late = asyncio.get_running_loop().call_later(longest, end_turn)
        silence = asyncio.ensure_future(self._present.on_silence(deployment, part.server, end_turn, self._timeouts))

        def over() -> None:
            late.cancel()
            silence.cancel()
            end_turn()

        try:
            return await self._restorer.restore(deployment, part, failed_once=over)
        finally:
            over()
            await _ended(silence)


async def _ended(task: Awaitable[None]) -> None:
    await asyncio.gather(task, return_exceptions=True)
