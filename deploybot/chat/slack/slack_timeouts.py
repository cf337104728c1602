"""How long things take with Slack: deadlines, pauses and windows, in seconds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """The usual times; tests have less patience.

    `ping` is between pings (a socket is dead after four unanswered), `look` between looks at it; `linger` is how long
    a socket that Slack will close is listened to after the next one is there. `first_pause` follows a first failure
    and doubles up to `longest_pause`. A call of the Web API has to be answered within `answer`. A command that comes
    `again` so soon is the same one. `hurry` is how many times faster Slack's rates are meant: 1 with the real one.
    """

    ping: float = 5.0
    look: float = 5.0
    linger: float = 5.0
    first_pause: float = 0.5
    longest_pause: float = 30.0
    answer: float = 10.0
    again: float = 30.0
    hurry: float = 1.0
