"""Shared setup of Slack's libraries."""

from __future__ import annotations

import logging
from functools import cache


@cache
def quiet_logger() -> logging.Logger:
    """Return the logger for Slack's libraries.

    They log a traceback for each attempt while Slack is unreachable. `health` logs that once instead.
    """
    logger = logging.getLogger("deploybot.chat.slack.slack_sdk_setup")
    logger.setLevel(logging.CRITICAL)
    return logger
