"""Log each problem with Slack once, with its fix."""

from __future__ import annotations

import logging
from typing import Final

log = logging.getLogger(__name__)

DEAD_TOKENS: Final = {
    "invalid_auth": ("is unknown to Slack", "check that you copied all of it"),
    "not_authed": ("is empty", "give it"),
    "token_revoked": ("was revoked", "install the app again and give its new token"),
    "token_expired": ("has expired", "install the app again and give its new token"),
    "account_inactive": ("belongs to an app that was removed", "install it again and give its new token"),
    "not_allowed_token_type": ("is of the wrong kind", "bot_token begins with xoxb-, app_token with xapp-"),
    "org_login_required": ("cannot be used while the organisation is being moved", "wait until the move has ended"),
    "team_access_not_granted": ("has no access to this workspace", "ask an administrator of the organisation for it"),
}
"""Slack's errors for a token that will never work again: the problem and its fix."""

GRANT: Final = "paste what `deploybot slack-manifest` prints as the app's manifest, and install the app again"


class SlackProblems:
    """Problems by source: a token, the connection, the API, a method that lacks its scope."""

    def __init__(self, *, log_problems: bool = True) -> None:
        """`log_problems` is whether new problems are logged."""
        self._problems: dict[str, str] = {}
        self._log_problems = log_problems

    @property
    def problem(self) -> str:
        """Return why messages do not arrive or are not received, and the fix; "" if there is no problem."""
        return next(iter(self._problems.values()), "")

    def is_ill(self, source: str) -> bool:
        """Return whether a source has a known problem."""
        return source in self._problems

    def report(self, source: str, why: str) -> None:
        """Store a problem, and log it if it is new."""
        if self._log_problems and self._problems.get(source) != why:
            log.error("Slack: %s", why)
        self._problems[source] = why

    def broke(self, source: str, error: BaseException) -> None:
        """Store an unexpected error as a problem. Log its traceback if it is new."""
        why = f"something broke ({type(error).__name__}); see the log"
        if self._log_problems and self._problems.get(source) != why:
            log.error("Slack: %s broke", source, exc_info=error)
        self._problems[source] = why

    def clear(self, *sources: str) -> None:
        """Clear the problems of these sources."""
        gone = [self._problems.pop(source) for source in sources if source in self._problems]
        if gone and self._log_problems and not self._problems:
            log.info("Slack: all problems are fixed")
