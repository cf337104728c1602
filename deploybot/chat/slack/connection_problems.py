"""What is ill with Slack, said once in the log, and what to do about it."""

from __future__ import annotations

import logging
from typing import Final

log = logging.getLogger(__name__)

DEAD_TOKENS: Final = {
    "invalid_auth": ("is not known to Slack", "see that it was copied whole"),
    "not_authed": ("is empty", "give it"),
    "token_revoked": ("was revoked", "install the app again and give its new token"),
    "token_expired": ("has expired", "install the app again and give its new token"),
    "account_inactive": ("belongs to an app that was removed", "install it again and give its new token"),
    "not_allowed_token_type": ("is of the wrong kind", "bot_token begins with xoxb-, app_token with xapp-"),
    "org_login_required": ("cannot be used while the organisation is being moved", "wait for the end of that"),
    "team_access_not_granted": ("has no access to this workspace", "an administrator of the organisation grants it"),
}
"""Slack's errors for a token that will not work again by itself: what is wrong with it, and the cure."""

GRANT: Final = "paste what `deploybot slack-manifest` prints as the app's manifest, and install the app again"


class SlackProblems:
    """Problems by their source: a token, the link, the API, a method that lacks its scope."""

    def __init__(self, *, tell: bool = True) -> None:
        """`tell` puts news into the log."""
        self._problems: dict[str, str] = {}
        self._tell = tell

    @property
    def problem(self) -> str:
        """Why nothing arrives or comes, and what to do; empty when all is well."""
        return next(iter(self._problems.values()), "")

    def is_ill(self, source: str) -> bool:
        """Whether something is known to be wrong with it."""
        return source in self._problems

    def ill(self, source: str, why: str) -> None:
        """Something is wrong; a line in the log where it is news."""
        if self._tell and self._problems.get(source) != why:
            log.error("Slack: %s", why)
        self._problems[source] = why

    def well(self, *sources: str) -> None:
        """These are well again."""
        gone = [self._problems.pop(source) for source in sources if source in self._problems]
        if gone and self._tell and not self._problems:
            log.info("Slack: all is well again")
