"""A database that is gone after the test."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploybot.masking import Redactor
from deploybot.store.database import Database


@asynccontextmanager
async def memory_store(redactor: Redactor | None = None) -> AsyncIterator[Database]:
    """The real database, empty, in a folder of its own that goes with the block; it does not wait for the disk.

    `redactor` masks what leaves from it.
    """
    with tempfile.TemporaryDirectory(prefix="deploybot-") as folder:
        async with Database(Path(folder) / "data" / "deploybot.db", redactor, durable=False) as database:
            yield database
