"""How many deployments run at the same time: `at_once` in bot.toml."""

from __future__ import annotations

from collections.abc import Iterable

from deploybot.deployments.queue_turns import begins
from deploybot.domain import Deployment, State


class DeploymentSlots:
    """Slots for deployments. A free one goes to the oldest that asked for it. With `most` 0, there is no limit."""

    def __init__(self, most: int) -> None:
        """Begin with all slots free."""
        self.most = most
        self._taken: set[int] = set()
        self._waiting: dict[int, tuple[float, int]] = {}

    def take(self, deployment: Deployment, others: Iterable[Deployment]) -> bool:
        """Take a slot and return True; or remember that it is wanted, and return False. `others` have not ended.

        What has begun already, and break glass, take one without asking.
        """
        number, key = deployment.number, (begins(deployment), deployment.number)
        is_next = all(key <= other for other in self._waiting.values())
        if self._is_free(deployment) or (len(self._busy(deployment, others)) < self.most and is_next):
            self._taken.add(number)
            self._waiting.pop(number, None)
            return True
        self._waiting[number] = key
        return False

    def is_waiting(self, number: int) -> bool:
        """Return whether a deployment asked for a slot and got none yet."""
        return number in self._waiting

    def free(self, number: int) -> bool:
        """Give back the slot of a deployment. Return whether it had one."""
        had_one = number in self._taken
        self._taken.discard(number)
        return had_one

    def forget(self, number: int) -> None:
        """Forget a deployment that has ended."""
        self._taken.discard(number)
        self._waiting.pop(number, None)

    def waits_for(self, deployment: Deployment, others: Iterable[Deployment]) -> str:
        """Return in words why there is no slot for a deployment now; empty if there is. `others` have not ended."""
        if self._is_free(deployment):
            return ""
        runs, is_wanted = len(self._busy(deployment, others)), self._waiting.keys() - {deployment.number}
        if runs < self.most and not is_wanted:
            return ""
        return f"another deployment to end (`at_once` in bot.toml is {self.most})"

    def _is_free(self, deployment: Deployment) -> bool:
        """Return whether a deployment needs no slot, or has one."""
        begun = deployment.state is not State.WAITING or deployment.number in self._taken
        return not self.most or begun or bool(deployment.glass)

    def _busy(self, deployment: Deployment, others: Iterable[Deployment]) -> set[int]:
        """Return the others that run. One that was stored as running has its slot only when its task runs."""
        begun = {one.number for one in others if one.state is not State.WAITING}
        return (begun | self._taken) - {deployment.number}
