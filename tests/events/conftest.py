from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.events.channel import EventChannel, open_channel


@pytest.fixture
async def channel() -> AsyncIterator[EventChannel]:
    """One channel for everything, and no route."""
    async with open_channel() as made:
        yield made
