"""A database that is deleted after the test."""

from __future__ import annotations

import asyncio
import functools
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploybot.masking import Redactor
from deploybot.store.database import Database
from deploybot.store.database_connection import Way
from deploybot.store.database_writer import Writer


@asynccontextmanager
async def memory_store(redactor: Redactor | None = None) -> AsyncIterator[Database]:
    """Yield the real database, empty, in its own folder. Both are deleted at the end of the block.

    It does not wait for the disk. `redactor` masks what leaves it.
    """
    with tempfile.TemporaryDirectory(prefix="deploybot-") as folder:
        path = Path(folder) / "data" / "deploybot.db"
        await asyncio.to_thread(_put, path)
        async with Database(path, redactor, durable=False) as database:
            yield database


def _put(path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.touch(mode=0o600)
    path.write_bytes(_empty_database())


@functools.cache
def _empty_database() -> bytes:
    """Return the file of a new database. It is made once for each process: the migrations take most of the time."""
    with tempfile.TemporaryDirectory(prefix="deploybot-") as folder:
        path = Path(folder) / "deploybot.db"
        writer = Writer(path, Way(durable=False), Redactor())
        writer.open()
        writer.close()
        return path.read_bytes()
