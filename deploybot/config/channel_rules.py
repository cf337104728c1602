"""Rules about channels, and about the event routes that lead to them (`[apps.NAME.notify.NAME]`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from deploybot.config.config_errors import Path, Problem, shown
from deploybot.domain import Place
from deploybot.settings import App, Settings
from deploybot.wording import listed, meant


@dataclass(frozen=True, slots=True)
class _ChannelIds:
    """The ids of a chat's channels: their form, and for people what they are and how one looks."""

    form: re.Pattern[str]
    what: str
    example: str

    def fit(self, place: Place) -> bool:
        """Return whether a channel has an id of this form."""
        return self.form.fullmatch(f"{place.channel}/{place.thread}" if place.thread else place.channel) is not None


_IDS: Final[Mapping[str, _ChannelIds]] = {
    "slack": _ChannelIds(
        re.compile(r"[CGD][A-Z0-9]{5,30}", re.ASCII), "a channel of Slack by its id", "slack:C0123456789"
    ),
    "telegram": _ChannelIds(
        re.compile(r"-?[1-9][0-9]{0,15}(?:/[1-9][0-9]{0,9})?", re.ASCII),
        "a chat of Telegram by its number",
        "telegram:-1001234567890",
    ),
    "console": _ChannelIds(re.compile("console"), "the console", "console"),
}


def check_channels(settings: Settings) -> Iterator[Problem]:
    """Yield channels of unknown chats and of chats that are not configured, and ids that the chat does not have."""
    there = {"slack": settings.slack, "telegram": settings.telegram}
    for name, chat in there.items():
        if chat and chat.channel and (wrong := _wrong(chat.channel, name)):
            yield Problem((name, "channel"), wrong)
    missing = frozenset(name for name, chat in there.items() if not chat)
    for path, places in _named(settings):
        for place in places:
            if wrong := _wrong(place):
                yield Problem(path, wrong)
            elif place.platform in missing:
                yield Problem(
                    path, f'"{place}" needs [{place.platform}], which is missing: add it, or remove this channel'
                )


def check_routes(path: Path, app: App) -> Iterator[Problem]:
    """Yield environments of routes that the app does not have. `path` is the app's."""
    for name, route in app.notify.items():
        for environment in route.environments:
            if environment not in app.environments:
                near = meant(environment, app.environments)
                here = (*path, "notify", name, "environments")
                yield Problem(here, f'unknown environment of {path[1]}: "{environment}"{near}')


def _named(settings: Settings) -> Iterator[tuple[Path, tuple[Place, ...]]]:
    """Yield the channels of all apps and routes, with their paths."""
    for name, app in settings.apps.items():
        yield ("apps", name, "channel"), app.channel
        for route, notify in app.notify.items():
            yield ("apps", name, "notify", route, "channel"), notify.channel


def _wrong(place: Place, only: str = "") -> str:
    """Return what is wrong with a channel, and what to write. It may be of one chat `only`; empty: of any."""
    ids = _IDS.get(only or place.platform)
    if ids is None:
        chats = listed((f'"{one.example}"' for one in _IDS.values()), "or")
        near = meant(place.platform, _IDS)
        return f"names an unknown chat: write a channel such as {chats}, got {shown(str(place))}{near}"
    if place.platform == (only or place.platform) and ids.fit(place):
        return ""
    other = next((name for name, one in _IDS.items() if one.fit(place) and only in {"", name}), "")
    near = f', did you mean "{Place(other, place.channel, place.thread)}"?' if other else ""
    return f'should be {ids.what}, such as "{ids.example}", got {shown(str(place))}{near}'
