"""Fixtures for tests of commands: the whole way in, with services that keep what they were asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.kit.command_bot import CommandBot, open_command_bot


@pytest.fixture
async def bot() -> AsyncIterator[CommandBot]:
    """Return a small team with three apps; `await bot.say(text, who)` gives the answer."""
    async with open_command_bot() as made:
        yield made
