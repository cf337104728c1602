"""Tell accounts of several forges of one kind apart: their numbers are unique only within one forge. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from deploybot.domain import Event
from deploybot.events.app_matching import host_of_app, host_of_event
from deploybot.part_tables import SENDER_TABLE
from deploybot.settings import App, Settings

NUMBERED: Final = ("github", "gitlab", "gitea", "forgejo", "gitee")
"""The forges whose accounts are numbers. A UUID of Bitbucket exists once."""


class ForgeAccounts:
    """The forges of bot.toml. `several` has the hosts of each kind that has more than one."""

    def __init__(self, settings: Settings) -> None:
        """Read the hosts of all repositories once."""
        self._own = {name: host_of_app(app) for name, app in settings.apps.items()}
        kinds = [(kind, self._own[name]) for name, app in settings.apps.items() for kind in _kinds(app, settings)]
        hosts = {kind: sorted({host for found, host in kinds if found == kind}) for kind in NUMBERED}
        self.several: Mapping[str, list[str]] = {kind: found for kind, found in hosts.items() if len(found) > 1}

    def told_apart(self, app: str, event: Event) -> Event:
        """Return an event for an app with the host in its account, if a bare number could be of several hosts.

        A bare number then means the public host, such as gitlab.com. If the host is unknown, so is the account.
        """
        identity = event.by.identity
        if identity is None or identity.platform not in self.several:
            return event
        own = self._own[app]
        host = own if own in self.several[identity.platform] else host_of_event(event)
        if host == SENDER_TABLE[identity.platform].host:
            return event
        return replace(event, by=replace(event.by, identity=replace(identity, team=host) if host else None))


def _kinds(app: App, settings: Settings) -> tuple[str, ...]:
    """Return the kinds of forge that the host of an app may be."""
    host = host_of_app(app)
    if not host:
        return ()
    if app.forge is not None:
        return (app.forge.kind,)
    public = [kind for kind in SENDER_TABLE if SENDER_TABLE[kind].host == host]
    able = [kind for kind in NUMBERED if kind in {*app.hooks, *settings.hooks}]
    named = [kind for kind in able if kind == host.partition(".")[0]]
    return tuple(public or named or able)
