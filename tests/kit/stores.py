"""A database that fails when a test says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from deploybot.errors import StoreError
from deploybot.ports import Tables
from deploybot.store.database import Database

T = TypeVar("T")


class FailingStore:
    """`ports.Store`: writes fail while `full` has a reason, reads while `gone` has one. `problem` is its own word.

    With `refusals`, so many writes fail first.
    """

    def __init__(self, database: Database) -> None:
        """Take the database that it wraps."""
        self.database = database
        self.full = ""
        self.refusals = 0
        self.gone = ""
        self.problem = ""

    async def read(self, work: Callable[[Tables], T]) -> T:
        """Read, or raise StoreError."""
        if self.gone:
            raise StoreError(self.gone)
        return await self.database.read(work)

    async def write(self, work: Callable[[Tables], T]) -> T:
        """Write, or raise StoreError."""
        if self.refusals:
            self.refusals -= 1
            raise StoreError("the disk is full")
        if self.full:
            raise StoreError(self.full)
        return await self.database.write(work)
