"""How a release gets onto a server: pure, one file a strategy; scripts lie in `scripts/`."""

from __future__ import annotations

from collections.abc import Mapping

from deploybot.ports import Strategy
from deploybot.strategies.compose import Compose
from deploybot.strategies.files import Files
from deploybot.strategies.script import Script

STRATEGIES: Mapping[str, Strategy] = {"compose": Compose(), "files": Files(), "script": Script()}
"""By the name that bot.toml uses."""
