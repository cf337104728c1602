"""Who tells of an app's builds, and whom a name in `checks` means."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from deploybot.settings.app_settings import App
from deploybot.settings.event_values import SENDERS

FORGES: Final[tuple[str, ...]] = ("github", "gitlab", "gitea", "forgejo", "bitbucket", "gitee")
_HOSTS: Final = {
    "github.com": "github",
    "gitlab.com": "gitlab",
    "bitbucket.org": "bitbucket",
    "gitee.com": "gitee",
    "codeberg.org": "forgejo",
}


_HOST: Final = re.compile(r"(?:[a-z+]+://)?(?:[^@/]*@)?(?:www\.|ssh\.|altssh\.)?([^:/]+)")


class Check(NamedTuple):
    """A build that `checks` asks for: of this sender, of this name. `sender` is empty where nobody can be meant."""

    sender: str
    name: str

    def __str__(self) -> str:
        """As bot.toml may have it."""
        return f"{self.sender}:{self.name}" if self.sender else self.name


def check_of(text: str, forge: str) -> Check:
    """`github:tests`, or a bare name, which means the forge. Names may hold colons: `ci/circleci: build`."""
    sender, colon, name = text.partition(":")
    known = colon and sender in SENDERS
    return Check(sender, name.strip()) if known else Check(forge, text)


def forge_of(repo: str, kind: str, callers: Iterable[str]) -> str:
    """The sender that a bare name means: the forge of the repository; empty where that cannot be told.

    `kind` is that of `[apps.APP.forge]`, `callers` are all senders that may call. Where the forge itself does not call,
    the only forge that does is meant, or the only caller.
    """
    able = {*callers}
    host = _HOST.match(repo)
    guess = kind or (_HOSTS.get(host[1], "") if host else "")
    others = [one for one in FORGES if one in able] or [*able]
    return others[0] if len(others) == 1 else guess


def forge_named(app: App, callers: Iterable[str]) -> str:
    """The sender that a bare name in an app's `checks` means; `callers` are those that may call for all apps."""
    return forge_of(app.repo, app.forge.kind if app.forge else "", {*app.hooks, *callers})
