from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.events.channel import Channel, open_channel


@pytest.fixture
async def channel() -> AsyncIterator[Channel]:
    """One channel for everything, and no route."""
    async with open_channel() as made:
        yield made
