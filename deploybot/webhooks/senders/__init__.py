"""The senders, one file each, listed in `part_tables`. Each is imported only when it is used."""

from __future__ import annotations

from importlib import import_module

from deploybot.part_tables import SENDERS
from deploybot.webhooks.sender_port import Sender


def sender(name: str) -> Sender:
    """Return the sender with a name in SENDERS. Raises LookupError for any other."""
    if name not in SENDERS:
        raise LookupError(f"there is no sender {name}")
    found: Sender = import_module(f"{__name__}.{name}").SENDER
    return found
