"""Look up whether a person in Slack is a member. Guests, external people and bots are not.

docs.slack.dev/reference/objects/user-object. Slack's answers are cached for five minutes. Missing answers are not
guessed.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from deploybot.bounded_memory import BoundedDict
from deploybot.chat.slack.slack_api import SlackApi, SlackRefused
from deploybot.errors import Unreachable

_KEPT: Final = 300.0
_MOST: Final = 2_000
_PATIENCE: Final = 20.0
_PAUSE: Final = 0.5


class MemberKind(enum.StrEnum):
    """The relation of a person to the workspace."""

    MEMBER = "member"
    GUEST = "guest"
    STRANGER = "stranger"
    BOT = "bot"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Member:
    """A person and their name in Slack."""

    kind: MemberKind
    name: str = ""


class Directory:
    """Looks people up in the workspace `team`, or in the organisation `enterprise` if there is one."""

    def __init__(self, api: SlackApi, team: str, enterprise: str) -> None:
        self._api = api
        self._team = team
        self._enterprise = enterprise
        self._known: BoundedDict[str, tuple[float, Member]] = BoundedDict(_MOST)

    async def look_up(self, user: str) -> Member:
        """Look up a person. Raises Unreachable if Slack does not answer within twenty seconds."""
        now = asyncio.get_running_loop().time()
        kept = self._known.get(user)
        if kept is not None and now - kept[0] < _KEPT:
            return kept[1]
        member = await self._ask(user, now + _PATIENCE)
        self._known[user] = (now, member)
        return member

    async def _ask(self, user: str, until: float) -> Member:
        while True:
            try:
                answer = await self._api.call("users.info", user=user)
            except SlackRefused as refused:
                if refused.error in {"user_not_found", "user_not_visible"}:
                    return Member(MemberKind.STRANGER)
                raise
            except Unreachable as problem:
                wait = problem.retry_after or _PAUSE
                if asyncio.get_running_loop().time() + wait > until:
                    raise
                await asyncio.sleep(wait)
            else:
                return self._read(answer["user"])

    def _read(self, user: Mapping[str, Any]) -> Member:
        profile = user.get("profile") or {}
        name = profile.get("display_name") or profile.get("real_name") or user.get("name") or ""
        return Member(self._kind(user), name)

    def _kind(self, user: Mapping[str, Any]) -> MemberKind:
        """Return the kind of a user. It checks every flag, so that no outsider counts as a member by accident."""
        if user.get("deleted"):
            return MemberKind.GONE
        if user.get("is_bot") or user.get("is_workflow_bot") or user.get("id") == "USLACKBOT":
            return MemberKind.BOT
        if user.get("is_stranger") or not self._at_home(user):
            return MemberKind.STRANGER
        if user.get("is_restricted") or user.get("is_ultra_restricted") or user.get("is_invited_user"):
            return MemberKind.GUEST
        return MemberKind.MEMBER

    def _at_home(self, user: Mapping[str, Any]) -> bool:
        if self._enterprise:
            of = (user.get("enterprise_user") or {}).get("enterprise_id") or user.get("enterprise_id")
            return bool(of == self._enterprise)
        return bool(user.get("team_id") == self._team)
