"""Tell accounts of several forges of one kind apart: their numbers are unique only within one forge. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from deploybot.domain import Event
from deploybot.events.app_matching import host_of_app, host_of_event
from deploybot.part_tables import SENDER_TABLE
from deploybot.settings import Settings

NUMBERED: Final = ("github", "gitlab", "gitea", "forgejo", "gitee")
"""The forges whose accounts are numbers. A UUID of Bitbucket exists once."""


class ForgeAccounts:
    """The forges of bot.toml.

    `several` has the hosts of each kind that has more than one. `unclear` has the hosts among them that may be of
    several kinds, each with these kinds.
    """

    def __init__(self, settings: Settings) -> None:
        """Read the hosts of all repositories once."""
        self._own = {name: host_of_app(app) for name, app in settings.apps.items()}
        shared = {kind for kind in settings.hooks if kind in NUMBERED}
        surely = {host: _kinds(host, settings, set()) for host in self._own.values() if host}
        elsewhere = {kind for able in surely.values() for kind in able}
        kinds = {host: _kinds(host, settings, shared - elsewhere if able else shared) for host, able in surely.items()}
        self._left_out = {host: _kinds(host, settings, shared) - able for host, able in kinds.items()}
        hosts = {kind: sorted(host for host, able in kinds.items() if kind in able) for kind in NUMBERED}
        self.several: Mapping[str, list[str]] = {kind: found for kind, found in hosts.items() if len(found) > 1}
        self.unclear: Mapping[str, list[str]] = {
            host: sorted(able) for host, able in sorted(kinds.items()) if len(able) > 1 and able & self.several.keys()
        }

    @property
    def warning(self) -> str:
        """Return why accounts without a host may not count, or an empty text if the kind of each host is clear."""
        hosts = (f"{host} may be {' or '.join(kinds)}" for host, kinds in self.unclear.items())
        return f"The kind of a forge is not clear: {'; '.join(hosts)}" if self.unclear else ""

    @property
    def fix(self) -> str:
        """Return what to do about it."""
        forms = (f"`{kind}:{host}/ID:NAME`" for host, kinds in self.unclear.items() for kind in kinds)
        return (
            "Set `kind` in [apps.APP.forge], or add [apps.APP.hooks.KIND], for an app on each of these hosts. Or link "
            f"accounts with their host: {' or '.join(forms)}."
        )

    def told_apart(self, app: str, event: Event) -> Event:
        """Return an event for an app with the host in its account, if a bare number could be of several hosts.

        A bare number then means the public host, such as gitlab.com. If the host is unknown, so is the account.
        """
        identity = event.by.identity
        if identity is None:
            return event
        own, shown, several = self._own[app], host_of_event(event), self.several.get(identity.platform, ())
        if not several and not (shown == own and identity.platform in self._left_out.get(own, ())):
            return event
        host = own if own in several else shown
        if host and host == SENDER_TABLE[identity.platform].host:
            return event
        return replace(event, by=replace(event.by, identity=replace(identity, team=host) if host else None))


def _kinds(host: str, settings: Settings, more: set[str]) -> set[str]:
    """Return the kinds of forge that a host may be.

    In this order: what `[apps.APP.forge]` says, the public host, a name such as gitlab.example.com if there are hooks
    of that kind, or else the hooks of apps there and `more`. A hook of one kind, such as for builds of a mirror, does
    not mean that the host's own events come by it: they may come by the hooks of all apps.
    """
    apps = [app for app in settings.apps.values() if host_of_app(app) == host]
    if stated := {str(app.forge.kind) for app in apps if app.forge is not None}:
        return stated
    if public := {kind for kind in SENDER_TABLE if SENDER_TABLE[kind].host == host}:
        return public
    own = {kind for app in apps for kind in app.hooks if kind in NUMBERED}
    named = {kind for kind in {*own, *settings.hooks} if kind in NUMBERED and kind == host.partition(".")[0]}
    return named or own | more
