"""Recognise what a forge reports of the bot's own builds and deployments. The channel has their cards already."""

from __future__ import annotations

from typing import Final

from deploybot.domain import Build, Deployed, Event
from deploybot.events.build_verdicts import is_own
from deploybot.ports import Tables
from deploybot.settings import App

_OWN_WITHIN: Final = 600.0
"""Seconds after the end of a deployment in which a forge may still report it."""
_LATEST: Final = 5


def is_own_report(tables: Tables, app: App, event: Event) -> bool:
    """Return whether a forge reports something that the bot itself did there."""
    if isinstance(event, Build):
        return is_own(event)
    if not isinstance(event, Deployed):
        return False
    # Apps of one repository are reported as `shop/production`.
    environment = event.environment.removeprefix(f"{app.name}/")
    recent = tables.deployments.recent(app.name, environment, _LATEST) if app.forge else ()
    return event.own or any(
        one.plan.release.is_from(event.commit.lower())
        and (not one.finished or event.at - one.finished < _OWN_WITHIN)
        for one in recent
    )  # fmt: skip
