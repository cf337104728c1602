"""The real database, for what chats are to be told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deploybot.store.database import Database
from deploybot.testing import memory_store


@pytest.fixture
async def store() -> AsyncIterator[Database]:
    async with memory_store() as store:
        yield store
