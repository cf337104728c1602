"""How a release gets onto a server. One file per strategy, no I/O. The scripts are in `scripts/`."""

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
"""Strategies by their name in bot.toml."""
