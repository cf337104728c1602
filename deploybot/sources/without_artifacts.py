"""What a source of refs answers about artifacts if it has none."""

from __future__ import annotations

from pathlib import Path

from deploybot.domain import Release
from deploybot.errors import UserError
from deploybot.settings import App


class WithoutArtifacts:
    """The part of ports.RefSource about artifacts, for a source without any."""

    async def artifact(self, app: App, release: Release) -> Path:
        """Raise UserError: there are no artifacts."""
        raise UserError(f"{app.name} has no artifacts, so {release} cannot be sent.", hint="Deploy another release.")

    async def has_artifact(self, app: App, release: Release) -> bool:  # noqa: ARG002  the port's
        """Return False: there are no artifacts."""
        return False
