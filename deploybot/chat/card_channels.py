"""Where cards belong: those of deployments, and those of events."""

from __future__ import annotations

from deploybot.chat.console.console_session import PLACE
from deploybot.domain import AUTO, Deployment, Place
from deploybot.settings import Settings


def places_of(deployment: Deployment, settings: Settings) -> tuple[Place, ...]:
    """Where it was asked for, and the channels of its app, or where it has none those of the chats; each once."""
    app, asked = settings.apps.get(deployment.plan.app), deployment.place
    places = [asked] if asked is not None and asked.platform != AUTO.platform else []
    places += (app.channel if app else ()) or (home_places(settings) if places else event_places(settings))
    seen: dict[tuple[str, str], Place] = {}
    for place in places:
        # A thread of a channel that is told anyway: the one who asked is answered there, and the channel is told, too.
        seen.setdefault((place.platform, place.channel), place)
    return tuple(seen.values())


def home_places(settings: Settings) -> tuple[Place, ...]:
    """The channels that bot.toml gives the chats themselves."""
    slack, telegram = settings.slack, settings.telegram
    found = [Place("slack", slack.channel)] if slack and slack.channel else []
    if telegram and telegram.chat is not None:
        found.append(Place("telegram", str(telegram.chat), str(telegram.topic or "")))
    return tuple(found)


def event_places(settings: Settings) -> tuple[Place, ...]:
    """Where what nobody asked for is told, unless its app has channels: without any, to everybody at the console."""
    return home_places(settings) or (PLACE,)


def places_named(settings: Settings) -> tuple[Place, ...]:
    """All channels that bot.toml names, each once."""
    apps = settings.apps.values()
    routes = (place for app in apps for route in app.notify.values() for place in route.channel)
    places = (*home_places(settings), *(place for app in apps for place in app.channel), *routes)
    return tuple(dict.fromkeys(places))


def keys_of_channels(settings: Settings) -> dict[tuple[str, str], str]:
    """By which keys of bot.toml each channel is named: `apps.shop.channel and slack.channel`."""
    named: dict[tuple[str, str], list[str]] = {}
    for place in home_places(settings):
        key = "slack.channel" if place.platform == "slack" else "telegram.chat"
        named.setdefault((place.platform, place.channel), []).append(key)
    for app in settings.apps.values():
        keys = {f"apps.{app.name}.channel": app.channel}
        keys |= {f"apps.{app.name}.notify.{name}.channel": route.channel for name, route in app.notify.items()}
        for key, places in keys.items():
            for place in places:
                named.setdefault((place.platform, place.channel), []).append(key)
    return {where: " and ".join(dict.fromkeys(keys)) for where, keys in named.items()}


def channels_of(settings: Settings, platform: str) -> tuple[str, ...]:
    """The channels of one platform among them, threads and topics aside; each once."""
    return tuple(dict.fromkeys(place.channel for place in places_named(settings) if place.platform == platform))
