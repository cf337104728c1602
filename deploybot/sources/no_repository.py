"""Ask git about apps with a repository, and find the artifacts of apps that have some. Other apps have no refs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from deploybot.domain import Changes, Heads, Holding, NamedRef, Release, Signature
from deploybot.domain.missing_content import MissingContent
from deploybot.ports import RefSource
from deploybot.settings import App
from deploybot.sources.artifacts import Artifacts
from deploybot.sources.git_remote import address_of


class Repositories:
    """Implement ports.RefSource. Pass on only questions about apps with a repository."""

    def __init__(self, refs: RefSource, artifacts: Artifacts | None = None) -> None:
        """Take the source of the other apps, and the artifacts if an app has some."""
        self._refs = refs
        self._artifacts = artifacts

    async def resolve(self, app: App, ref: str) -> Release:
        """Resolve a ref, to an artifact if the app has those. Raises UserError if there is no repository either."""
        if app.artifact is not None and self._artifacts is not None:
            commit = await self._refs.resolve(app, ref) if app.repo and app.artifact.needs_commit else None
            return await self._artifacts.resolve(app, ref, commit)
        address_of(app)
        return await self._refs.resolve(app, ref)

    async def changes(self, app: App, old: str, new: str) -> Changes:
        """Return the changes between two commits; unknown without a repository."""
        return await self._refs.changes(app, old, new) if app.repo else Changes(known=False)

    async def heads(self, app: App) -> Heads:
        """Return all branches and tags."""
        return await self._refs.heads(app) if app.repo else Heads()

    async def newest(self, app: App) -> tuple[NamedRef, ...]:
        """Return all branches and tags, newest first; of uploaded artifacts their refs."""
        if app.artifact is not None and app.artifact.upload and self._artifacts is not None:
            return await self._artifacts.newest(app)
        return await self._refs.newest(app) if app.repo else ()

    async def message(self, app: App, commit: str) -> str:
        """Return a commit's message."""
        return await self._refs.message(app, commit) if app.repo else ""

    async def touched(self, app: App, old: str, new: str, patterns: Sequence[str]) -> tuple[str, ...] | None:
        """Return the changed paths that match; None if that is unknown."""
        return await self._refs.touched(app, old, new, patterns) if app.repo else None

    async def is_ancestor(self, app: App, old: str, new: str) -> bool | None:
        """Return whether a commit comes before another one; None if that is unknown."""
        return await self._refs.is_ancestor(app, old, new) if app.repo else None

    async def holding(self, app: App, commit: str) -> Holding:
        """Return the branches and tags that contain a commit."""
        return await self._refs.holding(app, commit) if app.repo else Holding()

    async def signature(self, app: App, commit: str) -> Signature:
        """Return a commit's signature."""
        return await self._refs.signature(app, commit) if app.repo else Signature(problem="there is no repository")

    async def ships(self, app: App, commit: str, paths: Sequence[str]) -> bool:
        """Return whether a commit contains any of these paths. Without a repository that is unknown, so it may."""
        return await self._refs.ships(app, commit, paths) if app.repo else True

    async def unfetched(self, app: App, commit: str) -> MissingContent:
        """Return the content that a commit refers to but that no server gets."""
        return await self._refs.unfetched(app, commit) if app.repo else MissingContent()

    async def bundle(self, app: App, commit: str, have: Sequence[str]) -> Path:
        """Create a bundle. Raises UserError if there is no repository."""
        address_of(app)
        return await self._refs.bundle(app, commit, have)

    async def archive(self, app: App, commit: str) -> Path:
        """Create an archive. Raises UserError if there is no repository."""
        address_of(app)
        return await self._refs.archive(app, commit)

    async def artifact(self, app: App, release: Release) -> Path:
        """Return an artifact as servers get it. Raises UserError if the app has none in bot.toml."""
        if self._artifacts is None or app.artifact is None or release.file is None:
            return await self._refs.artifact(app, release)
        return await self._artifacts.packed(app, release.file)

    async def has_artifact(self, app: App, release: Release) -> bool:
        """Return whether an artifact can be sent to servers."""
        if self._artifacts is None or app.artifact is None or release.file is None:
            return await self._refs.has_artifact(app, release)
        return await self._artifacts.has(app, release.file)
