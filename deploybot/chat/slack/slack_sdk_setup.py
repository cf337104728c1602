"""What all uses of Slack's libraries share."""

from __future__ import annotations

import logging
from functools import cache


@cache
def quiet_logger() -> logging.Logger:
    """For Slack's libraries, which log a traceback for each try while Slack is away; `health` says it once instead."""
    logger = logging.getLogger("deploybot.chat.slack.slack_sdk_setup")
    logger.setLevel(logging.CRITICAL)
    return logger
