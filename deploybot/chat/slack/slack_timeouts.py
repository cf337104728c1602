"""The timeouts, pauses and windows for Slack, in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from deploybot.backoff import Backoff

_RETRY = Backoff(0.5, 30.0)

SLOWEST = 100_000.0
"""Bytes a second: a slower upload is cancelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The default times; tests use shorter ones.

    `ping` is the time between pings (a socket is dead after four unanswered ones), `look` between checks of it.
    `linger` is how long a socket that Slack will close is kept after the next one is open. `retry` are the pauses
    after failures. A call of the Web API times out after `answer`. The same command within `again` is a repeat. Changes
    within `renew` renew the home tabs once. `hurry` speeds up Slack's rates by this factor: 1 for the real Slack.
    """

    ping: float = 5.0
    look: float = 5.0
    linger: float = 5.0
    retry: Backoff = _RETRY
    answer: float = 10.0
    again: float = 30.0
    renew: float = 5.0
    hurry: float = 1.0
