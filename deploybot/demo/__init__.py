"""`deploybot demo`: try the bot with its own server, repository and users."""

from __future__ import annotations

from deploybot.demo.demo_command import main

__all__ = ["main"]
