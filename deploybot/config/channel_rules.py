"""Rules about channels, and about the event routes that lead to them (`[apps.NAME.notify.NAME]`)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploybot.config.config_errors import Path, Problem, shown
from deploybot.domain import Channel
from deploybot.part_tables import CHAT_TABLE
from deploybot.settings import App, Settings
from deploybot.wording import listed, meant


def check_channels(settings: Settings) -> Iterator[Problem]:
    """Yield channels of unknown chats and of chats that are not configured, and ids that the chat does not have."""
    for name, chat in settings.chats().items():
        if chat.channel and (wrong := _wrong(chat.channel, name)):
            yield Problem((name, "channel"), wrong)
    missing = frozenset(name for name, entry in CHAT_TABLE.items() if entry.module and name not in settings.chats())
    for path, channels in _named(settings):
        for channel in channels:
            if wrong := _wrong(channel):
                yield Problem(path, wrong)
            elif channel.platform in missing:
                yield Problem(
                    path, f'"{channel}" needs [{channel.platform}], which is missing: add it, or remove this channel'
                )


def check_routes(path: Path, app: App) -> Iterator[Problem]:
    """Yield environments of routes that the app does not have. `path` is the app's."""
    for name, route in app.notify.items():
        for environment in route.environments:
            if environment not in app.environments:
                near = meant(environment, app.environments)
                here = (*path, "notify", name, "environments")
                yield Problem(here, f'unknown environment of {path[1]}: "{environment}"{near}')


def _named(settings: Settings) -> Iterator[tuple[Path, tuple[Channel, ...]]]:
    """Yield the channels of all apps and routes, with their paths."""
    for name, app in settings.apps.items():
        yield ("apps", name, "channel"), app.channel
        for inner, environment in app.environments.items():
            yield ("apps", name, "environments", inner, "channel"), environment.channel
        for route, notify in app.notify.items():
            yield ("apps", name, "notify", route, "channel"), notify.channel


def _fits(channel: Channel, chat: str) -> bool:
    """Return whether a channel has an id of the form of a chat."""
    text = f"{channel.id}/{channel.thread}" if channel.thread else channel.id
    return re.fullmatch(CHAT_TABLE[chat].channels, text, re.ASCII) is not None


def _wrong(channel: Channel, only: str = "") -> str:
    """Return what is wrong with a channel, and what to write. It may be of one chat `only`; empty: of any."""
    entry = CHAT_TABLE.get(only or channel.platform)
    if entry is None:
        chats = listed((f'"{one.example}"' for one in CHAT_TABLE.values()), "or")
        near = meant(channel.platform, CHAT_TABLE)
        return f"names an unknown chat: write a channel such as {chats}, got {shown(str(channel))}{near}"
    if only in {"", channel.platform} and _fits(channel, channel.platform):
        return ""
    other = next((name for name in CHAT_TABLE if only in {"", name} and _fits(channel, name)), "")
    near = f', did you mean "{Channel(other, channel.id, channel.thread)}"?' if other else ""
    return f'should be {entry.channel}, such as "{entry.example}", got {shown(str(channel))}{near}'
