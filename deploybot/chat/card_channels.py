"""Choose the channels for cards of deployments and of events."""

from __future__ import annotations

from deploybot.chat.console.console_session import CHANNEL
from deploybot.domain import AUTO, Channel, Deployment
from deploybot.settings import App, Settings


def card_channels(deployment: Deployment, settings: Settings) -> tuple[Channel, ...]:
    """Return the channels for a deployment's card, each once.

    These are the channel where it was requested and the channels of its environment. If that has none, the channels of
    its app are used, or else the default channels.
    """
    app, asked = settings.apps.get(deployment.plan.app), deployment.channel
    channels = [asked] if asked is not None and asked.platform != AUTO.platform else []
    channels += (app.at(deployment.plan.environment).channel if app else ()) or (
        home_channels(settings) if channels else event_channels(settings)
    )
    seen: dict[tuple[str, str], Channel] = {}
    for channel in channels:
        # The request may come from a thread of a channel that gets the card anyway. Then only the thread gets it.
        seen.setdefault((channel.platform, channel.id), channel)
    return tuple(seen.values())


def home_channels(settings: Settings) -> tuple[Channel, ...]:
    """Return the default channels of the chats in bot.toml."""
    return tuple(chat.channel for chat in settings.chats().values() if chat.channel)


def event_channels(settings: Settings) -> tuple[Channel, ...]:
    """Return the channels for events without a requester, if the app has no channels.

    Without default channels, it is the console.
    """
    return home_channels(settings) or (CHANNEL,)


def named_channels(settings: Settings) -> tuple[Channel, ...]:
    """Return all channels named in bot.toml, each once."""
    keyed = (channels for app in settings.apps.values() for channels in _keyed(app).values())
    return tuple(dict.fromkeys((*home_channels(settings), *(channel for channels in keyed for channel in channels))))


def keys_of_channels(settings: Settings) -> dict[tuple[str, str], str]:
    """Return the keys of bot.toml that name each channel: `apps.shop.channel and slack.channel`."""
    named: dict[tuple[str, str], list[str]] = {}
    for channel in home_channels(settings):
        named.setdefault((channel.platform, channel.id), []).append(f"{channel.platform}.channel")
    for app in settings.apps.values():
        for key, channels in _keyed(app).items():
            for channel in channels:
                named.setdefault((channel.platform, channel.id), []).append(key)
    return {where: " and ".join(dict.fromkeys(keys)) for where, keys in named.items()}


def _keyed(app: App) -> dict[str, tuple[Channel, ...]]:
    """Return the channels of an app, of its environments and of its routes, by their keys in bot.toml."""
    path = f"apps.{app.name}"
    return (
        {f"{path}.channel": app.channel}
        | {f"{path}.environments.{name}.channel": one.channel for name, one in app.environments.items()}
        | {f"{path}.notify.{name}.channel": route.channel for name, route in app.notify.items()}
    )


def channel_ids(settings: Settings, platform: str) -> tuple[str, ...]:
    """Return the channels of one platform that bot.toml names, without threads and topics, each once."""
    return tuple(dict.fromkeys(channel.id for channel in named_channels(settings) if channel.platform == platform))
