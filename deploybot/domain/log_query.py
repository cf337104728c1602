"""Which lines of a log are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import time


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which log lines to show. `since` is in seconds back from now, 0 for all; `lines` is per server.

    `since_time` replaces `since` by a time of day in the bot's time zone, in the past 24 hours.
    """

    lines: int = 50
    since: float = 0.0
    grep: str = ""
    server: str = ""
    follow: bool = False
    file: bool = False
    since_time: time | None = None
