"""How many deployments run at the same time: `at_once` in bot.toml."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from deploybot.domain import Deployment, State


class DeploymentSlots:
    """Slots for deployments, given in the order in which they are asked for. With `most` 0, there is no limit."""

    def __init__(self, most: int) -> None:
        """Begin with all slots free."""
        self.most = most
        self._taken: set[int] = set()
        self._waiting: list[int] = []
        self._changed = asyncio.Condition()

    async def take(self, deployment: Deployment) -> None:
        """Wait for a slot. What has begun already, and break glass, take one without waiting for it."""
        number = deployment.number
        if deployment.state is not State.WAITING or deployment.glass:
            self._taken.add(number)
            return
        async with self._changed:
            self._waiting.append(number)
            try:
                await self._changed.wait_for(lambda: self._waiting[0] == number and self._has_room())
                self._taken.add(number)
            finally:
                self._waiting.remove(number)
                self._changed.notify_all()

    async def free(self, number: int) -> None:
        """Give back the slot of a deployment, if it has one."""
        async with self._changed:
            self._taken.discard(number)
            self._changed.notify_all()

    def waits_for(self, deployment: Deployment, others: Iterable[Deployment]) -> str:
        """Return in words why there is no slot for a deployment now; empty if there is. `others` have not ended."""
        if not self.most or deployment.state is not State.WAITING or deployment.glass:
            return ""
        # One that was begun by the transaction that stored it has its slot only when its task runs.
        runs = max(sum(one.state is not State.WAITING for one in others), len(self._taken))
        if runs < self.most and not self._waiting:
            return ""
        return f"another deployment to end: {runs} run, and `at_once` in bot.toml is {self.most}"

    def _has_room(self) -> bool:
        return not self.most or len(self._taken) < self.most
