"""Docker Compose: its configuration as data, and what follows from it."""

from __future__ import annotations

from deploybot.strategies.compose.compose_strategy import ComposeStrategy

__all__ = ["ComposeStrategy"]
