"""Fixtures for tests of commands: the whole way in, with services that keep what they were asked."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.world import World, make_world


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Return a small team with three apps; `await world.say(text, who)` gives the answer."""
    async with make_world() as made:
        yield made
