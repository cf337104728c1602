"""Channels as databases before migration 21 have them."""

from __future__ import annotations

import json

from deploybot.domain import Channel


def before(channel: Channel) -> str:
    """A channel as the version before wrote it."""
    made = {"platform": channel.platform, "channel": channel.id, "thread": channel.thread, "private": channel.private}
    return json.dumps(made, sort_keys=True, separators=(",", ":"))
