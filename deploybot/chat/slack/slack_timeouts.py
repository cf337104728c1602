"""The timeouts, pauses and windows for Slack, in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The default times; tests use shorter ones.

    `ping` is the time between pings (a socket is dead after four unanswered ones), `look` between checks of it.
    `linger` is how long a socket that Slack will close is kept after the next one is open. `first_pause` follows the
    first failure; it doubles up to `longest_pause`. A call of the Web API times out after `answer`. The same command
    within `again` is a repeat. `hurry` speeds up Slack's rates by this factor: 1 for the real Slack.
    """

    ping: float = 5.0
    look: float = 5.0
    linger: float = 5.0
    first_pause: float = 0.5
    longest_pause: float = 30.0
    answer: float = 10.0
    again: float = 30.0
    hurry: float = 1.0
