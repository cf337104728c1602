"""The rows of what is deployed by itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from deploybot.domain import Author, Build, Trigger


class TriggerTable(Protocol):
    """What was considered, what is wanted, and what is known of commits that may be wanted."""

    def considered(self, app: str, environment: str) -> dict[str, str]:
        """What was last considered in an environment, by source; nothing before the first look."""

    def consider(self, app: str, environment: str, source: str, what: str) -> None:
        """Note what was considered last; an empty `what` counts as something, too."""

    def forget(self, app: str, environment: str, source: str) -> None:
        """Take such a note back."""

    def add(self, wish: Trigger) -> Trigger:
        """Keep a new one, and give it its number."""

    def get(self, number: int) -> Trigger | None:
        """One wish."""

    def put(self, wish: Trigger) -> None:
        """Replace the row of its number; StoreError where it has ended meanwhile otherwise."""

    def pending(self, app: str) -> tuple[Trigger, ...]:
        """Those of an app that have not ended, and those whose card does not show yet how they did; oldest first."""

    def standing(self, app: str, environment: str) -> Trigger | None:
        """The one that is open or asked in an environment: there is one at most."""

    def fulfil(self, number: int, deployment: int) -> Trigger:
        """Note what came of an open one. UserError for any other, and for a release that was deployed by itself before.

        In the transaction that makes the deployment, so that each is made once.
        """

    def once(self, app: str, environment: str, release: str) -> int:
        """The deployment that brought a release there by itself; 0 where none did."""

    def bring(self, app: str, what: str, author: Author, now: float) -> None:
        """Note who brought a commit, a tag (`tags/v1`) or a digest about; kept for ninety days."""

    def brought(self, app: str, whats: Iterable[str]) -> tuple[Author, ...]:
        """Who brought any of these about, as their senders name them; each once."""

    def build(self, app: str, build: Build, now: float) -> None:
        """Keep what is known of a run of its commit, in place of what was. Kept for ninety days."""

    def built(self, app: str, build: Build) -> Build | None:
        """What is known of the same run, by its commit, sender and key."""

    def builds(self, app: str, commit: str) -> tuple[Build, ...]:
        """All runs that are known of a commit, by name."""

    def publish(self, app: str, tag: str, now: float) -> None:
        """Note that a release was published."""

    def published(self, app: str) -> tuple[str, ...]:
        """The tags of all releases that were published."""
