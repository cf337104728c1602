"""Strategy `compose`: the Compose configuration as data, and what to do with it."""

from __future__ import annotations

from deploybot.strategies.compose.compose_strategy import ComposeStrategy

__all__ = ["STRATEGY"]

STRATEGY = ComposeStrategy()
