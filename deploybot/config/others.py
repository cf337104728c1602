"""What the tables about others have to be together with the rest: forges, outgoing addresses."""

from __future__ import annotations

from collections.abc import Iterator

from deploybot.config.problems import Problem, meant
from deploybot.settings import Settings
from deploybot.settings.forges import api_of


def check_others(settings: Settings) -> Iterator[Problem]:
    """Every broken rule."""
    for name, app in settings.apps.items():
        if app.forge is not None and app.repo and api_of(app, app.forge) is None:
            text = "is not known by `repo`: give api_url, and repository, such as acme/shop"
            yield Problem(("apps", name, "forge"), text)
    for name, outgoing in settings.outgoing.items():
        for app_name in outgoing.apps:
            if app_name not in settings.apps:
                text = f'no app is named "{app_name}"{meant(app_name, settings.apps)}'
                yield Problem(("outgoing", name, "apps"), text)
