"""The senders of an app's builds, and the sender that a name in `checks` means."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from deploybot.part_tables import SENDER_TABLE
from deploybot.settings.app_settings import App

FORGES: Final[tuple[str, ...]] = tuple(name for name, one in SENDER_TABLE.items() if one.forge)
_HOSTS: Final = {one.host: name for name, one in SENDER_TABLE.items() if one.host}

_HOST: Final = re.compile(r"(?:[a-z+]+://)?(?:[^@/]*@)?(?:www\.|ssh\.|altssh\.)?([^:/]+)")


class Check(NamedTuple):
    """A build that `checks` requires, by sender and name. `sender` is empty if none can be meant."""

    sender: str
    name: str

    def __str__(self) -> str:
        """Return the check in bot.toml's notation."""
        return f"{self.sender}:{self.name}" if self.sender else self.name


def check_of(text: str, forge: str) -> Check:
    """Parse `github:tests`, or a bare name, which means the forge. Names may contain colons: `ci/circleci: build`."""
    sender, colon, name = text.partition(":")
    known = colon and sender in SENDER_TABLE
    return Check(sender, name.strip()) if known else Check(forge, text)


def forge_of(repo: str, kind: str, callers: Iterable[str]) -> str:
    """Return the sender that a bare name means: the repository's forge; empty if it cannot be determined.

    `kind` is that of `[apps.APP.forge]`, `callers` are all senders that may call. If exactly one forge may call, it is
    meant. If no forge may call, the only caller is meant.
    """
    able = {*callers}
    host = _HOST.match(repo)
    guess = kind or (_HOSTS.get(host[1], "") if host else "")
    others = [one for one in FORGES if one in able] or [*able]
    return others[0] if len(others) == 1 else guess


def forge_named(app: App, callers: Iterable[str]) -> str:
    """Return the sender that a bare name in an app's `checks` means. `callers` may call for all apps."""
    return forge_of(app.repo or "", app.forge.kind if app.forge else "", {*app.hooks, *callers})
