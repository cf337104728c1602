"""Senders by their names; each is imported when it is asked for."""

from __future__ import annotations

import importlib

from deploybot.settings import SenderName
from deploybot.webhooks.sender import Sender


def sender(name: SenderName) -> Sender:
    """The sender of a name."""
    found: Sender = importlib.import_module(f"deploybot.webhooks.senders.{name}").SENDER
    return found
