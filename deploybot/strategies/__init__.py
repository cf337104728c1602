"""How a release gets onto a server. Listed in `part_tables`, no I/O. The scripts are in `scripts/`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module

from deploybot.part_tables import STRATEGY_TABLE
from deploybot.ports import Strategy


def _strategy(module: str) -> Strategy:
    found: Strategy = import_module(f"{__name__}.{module}").STRATEGY
    return found


STRATEGIES: Mapping[str, Strategy] = {name: _strategy(entry.module) for name, entry in STRATEGY_TABLE.items()}
"""Strategies by their name in bot.toml."""
