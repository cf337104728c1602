"""Check that the strategy of an app can deploy a kind of release."""

from __future__ import annotations

from deploybot.domain import Release
from deploybot.errors import UserError
from deploybot.ports import Strategy
from deploybot.settings import App


def insist_on_source(app: App, strategy: Strategy, release: Release) -> None:
    """Raise UserError if an app's strategy does not take what the release is made of."""
    source = release.source
    if isinstance(source, strategy.takes):
        return
    takes = " or ".join(kind.words for kind in strategy.takes)
    raise UserError(
        f"{release} is {source.words if source else 'no release'}, and strategy `{app.strategy}` of {app.name} "
        f"deploys {takes}.",
        hint=f"Name {takes}, or change apps.{app.name}.strategy in bot.toml.",
    )
