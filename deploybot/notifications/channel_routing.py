"""Decide which channel gets a notification: by the routes of bot.toml, or by the environment or app."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from deploybot.domain import Channel, Window
from deploybot.events.watched_refs import fits
from deploybot.notifications.event_cards import CardState, Worth
from deploybot.settings import App
from deploybot.settings.event_settings import Notify


def channels_for(app: App, story: CardState, homes: Sequence[Channel], here: datetime) -> dict[Channel, float]:
    """Return the channels for a card, each with the seconds of quiet hours left there (0.0 if it is not quiet).

    A card about environments goes to their channels, any other one to those of the app.
    `homes` are the channels of the chats themselves, `here` is the bot's local time. If several routes lead to one
    channel, the one with the least quiet time counts.
    """
    found: dict[Channel, float] = {}
    for route in app.notify.values() or (Notify(),):
        if not _wants(route, story):
            continue
        hush = quiet_for(route.quiet, here)
        for channel in route.channel or _own(app, story, route, homes):
            found[channel] = min(found.get(channel, hush), hush)
    return found


def _own(app: App, story: CardState, route: Notify, homes: Sequence[Channel]) -> tuple[Channel, ...]:
    """Return the channels of the environments that a card is about, out of those that the route names.

    An environment without a channel, also in its app, uses those of the chats.
    """
    about = [name for name in app.environments if name in story.environments]
    named = [name for name in about if name in route.environments] or about
    found = [app.at(name).channel or homes for name in named] or [app.channel or homes]
    return tuple(channel for channels in found for channel in channels)


def quiet_for(windows: Iterable[Window], here: datetime) -> float:
    """Return the seconds until none of these windows is open, or 0.0 if none is open now."""
    return max((window.left(here) for window in windows), default=0.0)


def _wants(route: Notify, story: CardState) -> bool:
    """Return whether a card matches a route. A route that names kinds or branches also gets unusual cards of them."""
    named = bool(route.kinds or route.branches)
    return (
        story.worth >= (Worth.ASKED if named else Worth.USUAL)
        and (not route.kinds or not story.kinds.isdisjoint(route.kinds))
        and (not route.branches or any(fits(one, branch) for one in route.branches for branch in story.branches))
        and (not route.environments or not story.environments.isdisjoint(route.environments))
    )
