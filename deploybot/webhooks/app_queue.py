"""Process the deliveries of one app in order. If a listener can't handle one yet, only this app waits."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import TypeVar

from deploybot.errors import StoreError
from deploybot.ports import Delivery, Store, Tables
from deploybot.webhooks.burst_detector import BurstDetector
from deploybot.webhooks.delivery_retries import STORE_PAUSE, End

_BATCH = 32
_BATCH_BYTES = 1 << 20
_SOON = 1.0
log = logging.getLogger(__name__)

T = TypeVar("T")


class AppLane:
    """The deliveries of one app, by number, in order.

    `handle` returns a delivery's outcome for this app. `handle_all` returns those of several at once, or None if that
    fails. `ended` takes the outcomes and returns when they are stored.
    """

    def __init__(
        self,
        store: Store,
        bursts: BurstDetector,
        *,
        handle: Callable[[Delivery], Coroutine[None, None, End]],
        handle_all: Callable[[Sequence[Delivery]], Awaitable[Sequence[End] | None]],
        ended: Callable[[Sequence[tuple[Delivery, End]]], Awaitable[None]],
    ) -> None:
        self._store = store
        self._bursts = bursts
        self._handle = handle
        self._handle_all = handle_all
        self._ended = ended
        self._numbers: deque[int] = deque()
        self.task: asyncio.Task[None] | None = None

    def put(self, number: int) -> None:
        """Add a delivery to the end of the queue."""
        self._numbers.append(number)
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._run(), name="webhooks-lane")
            self.task.add_done_callback(_log_failure)

    async def _run(self) -> None:
        """Process all that waits. A few deliveries are loaded at once, and their outcomes are stored in one commit."""
        while self._numbers:
            await self._bursts.over()
            numbers = [self._numbers[index] for index in range(min(_BATCH, len(self._numbers)))]
            found = await until_kept(self._store.read, partial(_load, numbers))
            ends = await self._handle_all(found) if len(found) > 1 else None
            if ends is None:
                await self._handle_each(found)
            else:
                await self._ended([*zip(found, ends, strict=True)])
            last = found[-1].number if found else numbers[-1]
            while self._numbers and self._numbers[0] <= last:
                self._numbers.popleft()

    async def _handle_each(self, found: Sequence[Delivery]) -> None:
        """Process deliveries in order. Outcomes are stored without waiting for a slow delivery."""
        ends: list[tuple[Delivery, End]] = []
        for delivery in found:
            handling = asyncio.create_task(self._handle(delivery))
            try:
                await asyncio.wait((handling,), timeout=_SOON)
                if ends and not handling.done():
                    await self._ended(ends)
                    ends = []
                ends.append((delivery, await handling))
            finally:
                handling.cancel()
        await self._ended(ends)


def _log_failure(task: asyncio.Task[None]) -> None:
    """Log an error that ended a lane. The next delivery starts it again."""
    if not task.cancelled() and (error := task.exception()):
        log.error("the deliveries of an app wait for the next one", exc_info=error)


def _load(numbers: Sequence[int], tables: Tables) -> tuple[Delivery, ...]:
    return tables.deliveries.load(numbers, _BATCH_BYTES)


async def until_kept(ask: Callable[[Callable[[Tables], T]], Awaitable[T]], work: Callable[[Tables], T]) -> T:
    """Retry until the database answers. Nothing is lost meanwhile, and nothing can be done without it."""
    logged = False
    while True:
        try:
            return await ask(work)
        except StoreError as error:
            log.log(logging.DEBUG if logged else logging.WARNING, "deliveries wait for the database: %s", error)
            logged = True
            await asyncio.sleep(STORE_PAUSE)
