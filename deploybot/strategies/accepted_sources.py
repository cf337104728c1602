"""Check that an app can deploy a release: by its strategy, and by the images that it pins."""

from __future__ import annotations

from deploybot.domain import ArtifactSource, ImagesSource, Release
from deploybot.errors import UserError
from deploybot.ports import Strategy
from deploybot.settings import App, Environment
from deploybot.wording import listed


def insist_on_source(app: App, strategy: Strategy, release: Release) -> None:
    """Raise UserError if an app's strategy does not take what the release is made of.

    Images alone are releases of an app whose files are on its servers, and such an app has no others. An app with
    artifacts may go back to a commit while it still has the repository.
    """
    source = release.source
    kinds = tuple(kind for kind in strategy.takes if (kind is ImagesSource) == app.has_own_files)
    if app.artifact is None:
        kinds = tuple(kind for kind in kinds if kind is not ArtifactSource) or kinds
    elif not app.repo:
        kinds = tuple(kind for kind in kinds if kind is ArtifactSource)
    if isinstance(source, kinds):
        return
    takes = " or ".join(kind.words for kind in kinds)
    instead = f"change apps.{app.name}.strategy in bot.toml"
    own = app.has_own_files
    raise UserError(
        f"{release} is {source.words if source else 'no release'}, and strategy `{app.strategy}` of {app.name} "
        f"deploys {takes}{' without a repository' if own else ''}.",
        hint=f"Name a tag or a digest, or set apps.{app.name}.repo." if own else f"Name {takes}, or {instead}.",
    )


def insist_on_pins(app: App, environment: Environment, release: Release) -> None:
    """Raise UserError if a release has images, but not for all services that an environment pins.

    It was made for an environment that pins fewer, so the other images would be without an approval. A rollback needs
    no check: it takes exactly what ran.
    """
    lacks = sorted(app.at(environment).images.keys() - {pin.service for pin in release.images})
    if release.images and lacks:
        raise UserError(
            f"{release} has no image for {listed(lacks)}, which {app.name}/{environment.name} pins.",
            hint=f"Deploy its commit or branch instead: deploy {app.name}@REF to {environment.name}",
        )
