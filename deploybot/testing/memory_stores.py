"""A database that is deleted after the test."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploybot.masking import Redactor
from deploybot.store.database import Database


@asynccontextmanager
async def memory_store(redactor: Redactor | None = None) -> AsyncIterator[Database]:
    """Yield the real database, empty, in its own folder. Both are deleted at the end of the block.

    It does not wait for the disk. `redactor` masks what leaves it.
    """
    with tempfile.TemporaryDirectory(prefix="deploybot-") as folder:
        async with Database(Path(folder) / "data" / "deploybot.db", redactor, durable=False) as database:
            yield database
