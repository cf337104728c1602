"""How a release gets onto a server: pure, one file a strategy; scripts lie in `scripts/`."""

from __future__ import annotations

from collections.abc import Mapping

from deploybot.ports import Strategy
from deploybot.strategies.compose import ComposeStrategy
from deploybot.strategies.files_strategy import FilesStrategy
from deploybot.strategies.script_strategy import ScriptStrategy

STRATEGIES: Mapping[str, Strategy] = {
    "compose": ComposeStrategy(),
    "files": FilesStrategy(),
    "script": ScriptStrategy(),
}
"""By the name that bot.toml uses."""
