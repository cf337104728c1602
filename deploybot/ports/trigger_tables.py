"""Tables of automatic deployments."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from deploybot.domain import Author, Build, Trigger


class TriggerTable(Protocol):
    """Considered sources, triggers, and what is known about commits that may be deployed automatically."""

    def considered(self, app: str, environment: str) -> dict[str, str]:
        """Return what was last considered in an environment, by source; empty before the first look."""

    def consider(self, app: str, environment: str, source: str, what: str) -> None:
        """Record what was considered last. An empty `what` is also recorded."""

    def forget(self, app: str, environment: str, source: str) -> None:
        """Delete such a record."""

    def add(self, trigger: Trigger) -> Trigger:
        """Store a new trigger and give it its number."""

    def get(self, number: int) -> Trigger | None:
        """Return one trigger; None if there is none with that number."""

    def put(self, trigger: Trigger) -> None:
        """Replace the row with its number. Raises StoreError if it has ended differently in the meantime."""

    def pending(self, app: str) -> tuple[Trigger, ...]:
        """Return the triggers of an app that have not ended or whose card does not show their end yet; oldest first."""

    def current(self, app: str, environment: str) -> Trigger | None:
        """Return the open or asked trigger of an environment; there is at most one."""

    def mark_deployed(self, number: int, deployment: int) -> Trigger:
        """Record the deployment of an open trigger. Raises UserError if it is not open.

        Also raises UserError if its release was already deployed automatically. Call it in the transaction that creates
        the deployment, so that each is created once.
        """

    def deployment_of(self, app: str, environment: str, release: str) -> int:
        """Return the automatic deployment of a release in an environment; 0 if there is none.

        One that another deployment replaced before it began does not count.
        """

    def put_author(self, app: str, what: str, author: Author, now: float) -> None:
        """Store the author of a commit, a tag (`tags/v1`) or a digest for ninety days."""

    def authors(self, app: str, whats: Iterable[str]) -> tuple[Author, ...]:
        """Return the authors of any of these, as their senders name them; each once."""

    def build(self, app: str, build: Build, now: float) -> None:
        """Store what is known about a run for its commit. It replaces the earlier row. Stored for ninety days."""

    def built(self, app: str, build: Build) -> Build | None:
        """Return what is known about the same run, by its commit, sender and key."""

    def builds(self, app: str, commit: str) -> tuple[Build, ...]:
        """Return all known runs for a commit, by name."""

    def publish(self, app: str, tag: str, now: float) -> None:
        """Record that a release was published."""

    def unpublish(self, app: str, tag: str) -> None:
        """Record that a release was deleted."""

    def published(self, app: str) -> tuple[str, ...]:
        """Return the tags of all published releases."""
