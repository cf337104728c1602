"""Choose the channels for cards of deployments and of events."""

from __future__ import annotations

from deploybot.chat.console.console_session import PLACE
from deploybot.domain import AUTO, Deployment, Place
from deploybot.settings import Settings


def places_of(deployment: Deployment, settings: Settings) -> tuple[Place, ...]:
    """Return the channels for a deployment's card, each once.

    These are the channel where it was requested and the channels of its app. If the app has none, the default channels
    are used.
    """
    app, asked = settings.apps.get(deployment.plan.app), deployment.place
    places = [asked] if asked is not None and asked.platform != AUTO.platform else []
    places += (app.channel if app else ()) or (home_places(settings) if places else event_places(settings))
    seen: dict[tuple[str, str], Place] = {}
    for place in places:
        # The request may come from a thread of a channel that gets the card anyway. Then only the thread gets it.
        seen.setdefault((place.platform, place.channel), place)
    return tuple(seen.values())


def home_places(settings: Settings) -> tuple[Place, ...]:
    """Return the default channels of the chats in bot.toml."""
    return tuple(chat.channel for chat in settings.chats().values() if chat.channel)


def event_places(settings: Settings) -> tuple[Place, ...]:
    """Return the channels for events without a requester, if the app has no channels.

    Without default channels, it is the console.
    """
    return home_places(settings) or (PLACE,)


def places_named(settings: Settings) -> tuple[Place, ...]:
    """Return all channels named in bot.toml, each once."""
    apps = settings.apps.values()
    routes = (place for app in apps for route in app.notify.values() for place in route.channel)
    places = (*home_places(settings), *(place for app in apps for place in app.channel), *routes)
    return tuple(dict.fromkeys(places))


def keys_of_channels(settings: Settings) -> dict[tuple[str, str], str]:
    """Return the keys of bot.toml that name each channel: `apps.shop.channel and slack.channel`."""
    named: dict[tuple[str, str], list[str]] = {}
    for place in home_places(settings):
        named.setdefault((place.platform, place.channel), []).append(f"{place.platform}.channel")
    for app in settings.apps.values():
        keys = {f"apps.{app.name}.channel": app.channel}
        keys |= {f"apps.{app.name}.notify.{name}.channel": route.channel for name, route in app.notify.items()}
        for key, places in keys.items():
            for place in places:
                named.setdefault((place.platform, place.channel), []).append(key)
    return {where: " and ".join(dict.fromkeys(keys)) for where, keys in named.items()}


def channels_of(settings: Settings, platform: str) -> tuple[str, ...]:
    """Return the channels of one platform that bot.toml names, without threads and topics, each once."""
    return tuple(dict.fromkeys(place.channel for place in places_named(settings) if place.platform == platform))
