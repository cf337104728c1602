"""A database for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploybot.store.database import Database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "deploybot.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Database]:
    async with Database(path, durable=False) as database:
        yield database
