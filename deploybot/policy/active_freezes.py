"""What freezes a target at a time: bot.toml, a person, or both."""

from __future__ import annotations

from math import inf
from zoneinfo import ZoneInfo

from deploybot.domain import Freeze
from deploybot.domain.freeze_windows import frozen_until
from deploybot.policy.question_types import ActiveFreeze
from deploybot.settings import Environment
from deploybot.units import show_moment


def active_freeze(
    environment: Environment | None, freeze: Freeze | None, at: float, zone: ZoneInfo, *, later: bool = False
) -> ActiveFreeze | None:
    """Return the freeze of a target at a time (Unix time), None if it is not frozen then. `later` is not now.

    A freeze of a person and one of bot.toml that overlap or follow each other are one.
    """
    until, reasons = at, dict[str, None]()
    while True:
        end, windows = frozen_until(environment.freeze if environment else (), until, zone)
        if end:
            until, reasons[f"{windows} in bot.toml"] = end, None
        if freeze is None or not freeze.since <= until < freeze.until:
            break
        until, reasons[f"by {freeze.holder}: “{freeze.reason}”"] = freeze.until, None
    if not reasons:
        return None
    when = "without an end" if until == inf else f"until {show_moment(until, zone)}"
    return ActiveFreeze(until, f"{when} ({'; '.join(reasons)})", later=later)
