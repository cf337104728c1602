"""Read people as commands name them: `@ana`, or `slack:T012/U345:ana` for a new person.

The form is `PLATFORM:ID[:NAME]`:

- Slack ids are `TEAM/USER`, Telegram ids whole numbers.
- Console ids are user ids, with `/NAME` where people share that user (`console:1000/ben`).
- Forge ids are whole numbers, on Bitbucket UUIDs. Forge accounts send no commands.
  They show whose pushes and builds an event is about. `gitlab:git.example.com/3` is an account of one's own forge, if
  bot.toml has several of that kind.
- `git:ana@example.com` is the email address in a person's commits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploybot.domain import Identity
from deploybot.errors import UserError
from deploybot.part_tables import CHAT_TABLE, SENDER_TABLE

CHATS = tuple(CHAT_TABLE)
FORGES = ("github", "gitlab", "gitea", "forgejo", "gitee", "bitbucket", "git")
PLATFORMS = (*CHATS, *FORGES)

_NUMBER = re.compile(r"[0-9]{1,20}")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?")
_UUID = re.compile(r"\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?")
_EMAIL = re.compile(r"[^\s:@<>/]{1,64}@[^\s:@<>/]{1,190}")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_HINT = "Write @NAME for a known person, or PLATFORM:ID:NAME for a new one, as `whoami` shows it to them."


@dataclass(frozen=True, slots=True)
class Who:
    """A person as typed: an identity, a name or both. Missing parts are None or empty."""

    identity: Identity | None
    name: str


def identity_text(identity: Identity) -> str:
    """Return an identity as `read_who` reads it, such as `slack:T012/U345`."""
    user = f"{identity.team}/{identity.user}" if identity.team else identity.user
    return f"{identity.platform}:{user}"


def name_from(text: str) -> str:
    """Turn a platform's display name into a person's name: only a-z, 0-9, `.`, `_` and `-`."""
    return re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:40] or "somebody"


def read_who(text: str) -> Who:
    """Read `@name`, `name` or `platform:id[:name]`. Raise UserError if it does not fit."""
    platform, colon, rest = text.partition(":")
    if not colon:
        return Who(None, _name(text.removeprefix("@")))
    if platform.lower() not in PLATFORMS:
        there = f"Chats: {', '.join(CHATS)}. Git accounts: {', '.join(FORGES)}."
        raise UserError(f"Unknown platform `{platform[:40]}`.", hint=f"{there} {_HINT}")
    user, _, name = rest.partition(":")
    return Who(_identity(platform.lower(), user), _name(name.removeprefix("@")) if name else "")


def _identity(platform: str, user: str) -> Identity:
    if chat := CHAT_TABLE.get(platform):
        match = re.fullmatch(chat.accounts, user)
        if match is None:
            raise UserError(f"`{user[:40]}` is not {chat.account}.", hint=_HINT)
        return Identity(platform, match["user"], match.groupdict().get("team", ""))
    if platform == "bitbucket":
        match = _UUID.fullmatch(user.lower())
        if match is None:
            raise UserError(
                f"`{user[:40]}` is not a UUID. On bitbucket, people are identified by UUID, not by name.", hint=_HINT
            )
        return Identity(platform, f"{{{match[1]}}}")
    if platform == "git":
        if not _EMAIL.fullmatch(user):
            raise UserError(f"`{user[:40]}` is not a commit's email address such as ana@example.com.", hint=_HINT)
        return Identity(platform, user.lower())
    host, _, number = user.lower().rpartition("/")
    if not _NUMBER.fullmatch(number) or not (_HOST.fullmatch(host) or number == user):
        raise UserError(
            f"`{user[:40]}` is not a number. On {platform}, people are identified by number, not by name.", hint=_HINT
        )
    return Identity(platform, number, "" if host == SENDER_TABLE[platform].host else host)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text.lower()):
        raise UserError(
            f"`{text[:40]}` is not a person's name: use up to 40 of a-z, 0-9, `.`, `_` and `-`, "
            "starting with a letter or digit.",
            hint=_HINT,
        )
    return text.lower()
