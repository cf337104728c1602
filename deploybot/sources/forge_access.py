"""How the bot reaches the forge that builds an app's artifacts: its API, and the token of `[apps.APP.forge]`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploybot.errors import UserError
from deploybot.settings import App, ForgeSettings
from deploybot.settings.forge_settings import api_of
from deploybot.sources.forge_artifacts import ForgeArtifacts
from deploybot.sources.github_artifacts import GitHubArtifacts
from deploybot.sources.gitlab_artifacts import GitLabArtifacts

if TYPE_CHECKING:
    from deploybot.sources.artifact_http import ArtifactServer


def forge_server(app: App) -> ArtifactServer:
    """Return what asks the API of an app's forge and downloads from it. The token goes to the API alone."""
    from deploybot.sources.artifact_http import ArtifactServer  # noqa: PLC0415  aiohttp takes 20 MB

    forge, url, repository = _access(app)
    asks = app.artifact
    named = "Is `workflow` of the app's artifact a file in .github/workflows? " if asks and asks.workflow else ""
    right = "the permission “Actions: read”" if forge.kind == "github" else "the scope read_api and the role Reporter"
    token = f"the token of apps.{app.name}.forge"
    return ArtifactServer(
        url,
        forge.token.reveal(),
        denied=f"Check {token}: for {repository} it needs {right}.",
        missing=f"{named}If it was not deleted: {token} needs {right} for {repository}.",
    )


def forge_artifacts(app: App) -> ForgeArtifacts:
    """Return what finds the artifacts of an app on its forge."""
    _, url, repository = _access(app)
    asks, server = app.artifact, forge_server(app)
    if asks is not None and asks.actions:
        return GitHubArtifacts(server, url, repository, asks.actions, asks.workflow)
    return GitLabArtifacts(server, url, repository, (asks.job if asks else None) or "")


def _access(app: App) -> tuple[ForgeSettings, str, str]:
    found = api_of(app, app.forge) if app.forge else None
    if app.forge is None or found is None:
        raise UserError(
            f"The forge of {app.name} is not known.", hint=f"Set kind, token and api_url of apps.{app.name}.forge."
        )
    return app.forge, *found
