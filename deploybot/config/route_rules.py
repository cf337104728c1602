"""Rules about event routes (`[apps.NAME.notify.NAME]`) and the rest of bot.toml."""

from __future__ import annotations

from collections.abc import Iterator

from deploybot.config.config_errors import Path, Problem, meant
from deploybot.settings import App, Settings


def check_routes(path: Path, app: App, settings: Settings) -> Iterator[Problem]:
    """Yield unknown environments, and channels of chats that are not configured."""
    there = {name for name, part in (("slack", settings.slack), ("telegram", settings.telegram)) if part}
    for name, route in app.notify.items():
        here = (*path, "notify", name)
        for environment in route.environments:
            if environment not in app.environments:
                near = meant(environment, app.environments)
                yield Problem((*here, "environments"), f'unknown environment of {path[1]}: "{environment}"{near}')
        for place in route.channel:
            if place.platform not in there:
                text = f"{place.channel} is on {place.platform}, but [{place.platform}] is missing"
                yield Problem((*here, "channel"), text)
