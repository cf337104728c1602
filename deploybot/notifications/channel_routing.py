"""Who is told of what: the routes of bot.toml, or the app's channels where it has none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from deploybot.domain import Place, Window
from deploybot.events.watched_refs import fits
from deploybot.notifications.event_cards import CardState, Worth
from deploybot.settings import App
from deploybot.settings.event_settings import Notify


def places_for(app: App, story: CardState, homes: Sequence[Place], here: datetime) -> dict[Place, float]:
    """Where a story belongs, each place once, and for how many seconds it is quiet there yet (0.0 for not at all).

    `homes` are the channels of the chats themselves, `here` is the bot's local time. Of several routes to one place
    the one that is not quiet counts.
    """
    found: dict[Place, float] = {}
    for route in app.notify.values() or (Notify(),):
        if not _wants(route, story):
            continue
        hush = quiet_for(route.quiet, here)
        for place in route.channel or app.channel or homes:
            found[place] = min(found.get(place, hush), hush)
    return found


def quiet_for(windows: Iterable[Window], here: datetime) -> float:
    """The seconds until none of these windows is open; 0.0 where none is now."""
    return max((window.left(here) for window in windows), default=0.0)


def _wants(route: Notify, story: CardState) -> bool:
    """Whether a story fits all that a route asks for. What a route names, it gets; else only what is usual."""
    named = bool(route.kinds or route.branches)
    return (
        story.worth >= (Worth.ASKED if named else Worth.USUAL)
        and (not route.kinds or not story.kinds.isdisjoint(route.kinds))
        and (not route.branches or any(fits(one, branch) for one in route.branches for branch in story.branches))
        and (not route.environments or not story.environments.isdisjoint(route.environments))
    )
