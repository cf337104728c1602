"""How a release gets onto a server: pure."""

from __future__ import annotations

from typing import Protocol

from deploybot.domain import Release, ServerFacts, ServerPlan, Step
from deploybot.settings import App, Environment


class Strategy(Protocol):
    """How a release gets onto a server: pure, release and facts in, steps out."""

    def deploy(
        self, app: App, environment: Environment, release: Release, previous: Release | None, facts: ServerFacts
    ) -> ServerPlan:
        """The steps forward, the gate, and the steps that put `previous` back.

        Raises UserError when the server lacks what the strategy needs (a tool, disk, memory).
        """

    def restart(self, app: App, environment: Environment, release: Release, facts: ServerFacts) -> ServerPlan:
        """The steps that restart what runs."""

    def task(self, app: App, environment: Environment, release: Release, task: str, facts: ServerFacts) -> ServerPlan:
        """The steps of a named task of bot.toml."""

    def prune(self, app: App, environment: Environment, keep: tuple[str, ...], facts: ServerFacts) -> tuple[Step, ...]:
        """The steps that delete what deploybot made and nobody needs: never a release of `keep`, by their ids."""
