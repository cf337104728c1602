"""Store deliveries in groups: those that arrive during a write share the next statement and commit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from deploybot.ports import NewDelivery, Store, Tables

_MOST = 256
_MOST_BYTES = 4 << 20


class DeliveryWriter:
    """Stores deliveries in the order in which they arrive, a group at a time."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: list[tuple[NewDelivery, asyncio.Future[int]]] = []
        self._task: asyncio.Task[None] | None = None

    async def keep(self, new: NewDelivery) -> int:
        """Store a delivery. Return its number after the durable commit, or 0 for a duplicate. Raises StoreError."""
        kept: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((new, kept))
        if self._task is None:
            self._task = asyncio.create_task(self._write(), name="webhooks-keeper")
        return await kept

    async def _write(self) -> None:
        while self._waiting:
            group = self._waiting[: self._fitting()]
            del self._waiting[: len(group)]
            new = [one for one, _ in group]
            try:
                numbers = await self._store.write(partial(_add, new))
                for (_, kept), number in zip(group, numbers, strict=True):
                    if not kept.done():
                        kept.set_result(number)
            except Exception as error:  # noqa: BLE001  whatever it is, the waiting callers must get it
                for _, kept in group:
                    if not kept.done():
                        kept.set_exception(error)
        self._task = None

    def _fitting(self) -> int:
        """Return how many deliveries go into the next group. A commit should fit into the database's cache."""
        size = 0
        for count, (new, _) in enumerate(self._waiting[:_MOST]):
            size += len(new.body)
            if size > _MOST_BYTES:
                return max(count, 1)
        return _MOST


def _add(new: Sequence[NewDelivery], tables: Tables) -> tuple[int, ...]:
    return tables.deliveries.add(new)
