"""`deploybot demo`: a server, a repository and two people of its own, and the bot tried on them."""

from __future__ import annotations

from deploybot.demo.demo_command import main

__all__ = ["main"]
