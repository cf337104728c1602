"""The outbox's worker: takes queued cards from the database to the chats, and notes what arrived.

Every channel is a lane of its own: one message at a time, at the pace its chat asks for, with its own
pauses after failures. The row that a lane takes is read when its turn comes, so states of a card that
were overtaken meanwhile are never sent, states arrive in order, and the last one always arrives.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from deploybot.errors import DeploybotError, StoreError, Unreachable
from deploybot.ports import Chat, Clock, OutboxItem, Store, Tables

_BATCH = 64
_AHEAD = 3600.0
_SEND_WITHIN = 30.0
_STOP_WITHIN = 5.0
_STORE_PAUSE = 2.0
_SCAN_PAUSE = 0.25
_LONGEST_PAUSE = 60.0
_BROKEN_TRIES = 8
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Lane:
    """A channel: its failures in a row, when it may be used again (monotonic seconds), and what is on its way."""

    failures: int = 0
    free_at: float = 0.0
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class _Result:
    """What became of a try: the message's id, a retry, or (`given_up`) nothing more."""

    message: str = ""
    error: str = ""
    wait: float = 0.0
    given_up: bool = False


class OutboxWorker:
    """Delivers what the outbox holds to `chats`, by platform.

    `first_pause` is the seconds after a first failure, which double with each further one up to a minute;
    `jitter` gives numbers from 0 to 1 that spread them.
    """

    def __init__(
        self,
        store: Store,
        chats: Mapping[str, Chat],
        clock: Clock,
        *,
        first_pause: float = 0.5,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._chats = chats
        self._clock = clock
        self._first_pause = first_pause
        self._jitter = jitter
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._arrived: dict[int, tuple[OutboxItem, _Result]] = {}
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Look at the outbox now: something was committed."""
        self._changed.set()

    async def run(self) -> None:
        """Deliver until cancelled; then give messages on their way a moment to arrive."""
        try:
            while True:
                self._changed.clear()
                try:
                    pause = await self._start_due()
                except StoreError:
                    log.exception("the outbox cannot be read; trying again in %.0f s", _STORE_PAUSE)
                    pause = _STORE_PAUSE
                await self._sleep(pause)
        finally:
            await self._finish()

    async def _sleep(self, seconds: float) -> None:
        """Until `wake`, a lane's end, or so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _start_due(self) -> float:
        """Start what may be sent now; the seconds until something else may be."""
        now, limit = self._clock.now(), _BATCH
        while True:
            items = await self._read(now + _AHEAD, limit)
            pause, started = self._start(items, now)
            if started or len(items) < limit:
                break
            limit *= 4
        if limit > _BATCH and not started:
            # A long backlog behind busy channels: each commit would have it all read again.
            await asyncio.sleep(_SCAN_PAUSE)
        return pause

    async def _read(self, until: float, limit: int) -> tuple[OutboxItem, ...]:
        """What waits, in the order it was first put."""
        return await self._store.read(lambda tables: tables.outbox.due(until, limit))

    def _start(self, items: tuple[OutboxItem, ...], now: float) -> tuple[float, int]:
        """Start the first due item of every free lane; the seconds until the next, and how many were started."""
        pause, started = _AHEAD, 0
        held: set[int] = set()
        for item in items:
            lane = self._lanes.setdefault((item.place.platform, item.place.channel), _Lane())
            if lane.task is not None or id(lane) in held:
                continue
            wait = max(lane.free_at - time.monotonic(), item.next_at - now)
            if wait > 0:
                pause = min(pause, wait)
                if lane.failures:  # its channel does not answer: nothing may overtake what waits for it
                    held.add(id(lane))
                continue
            lane.task = asyncio.create_task(self._carry(lane, item))
            started += 1
        return pause, started

    async def _carry(self, lane: _Lane, item: OutboxItem) -> None:
        """One item's turn in its lane: try to send it, and note what became of it."""
        try:
            # What arrived but could not be noted is noted first: it must not be sent again.
            item, result = self._arrived.get(item.id) or (item, await self._try(lane, item))
            if result.message:
                self._arrived[item.id] = item, result
            await self._note(item, result)
            self._arrived.pop(item.id, None)
        except StoreError:
            log.exception("the outbox cannot be written; trying again in %.0f s", _STORE_PAUSE)
            lane.free_at = max(lane.free_at, time.monotonic() + _STORE_PAUSE)
        finally:
            lane.task = None
            self._changed.set()

    async def _try(self, lane: _Lane, item: OutboxItem) -> _Result:
        """Send or edit once; sets when the lane may be used again."""
        chat = self._chats.get(item.place.platform)
        if chat is None:
            return _Result(error=f"there is no chat {item.place.platform} in bot.toml", given_up=True)
        try:
            async with asyncio.timeout(_SEND_WITHIN):
                message = await self._deliver(chat, item)
        except (Unreachable, StoreError, TimeoutError) as error:
            # StoreError: buttons that could not be written down are the bot's own trouble, not the message's end.
            lane.failures += 1
            asked = error.retry_after if isinstance(error, Unreachable) else 0.0
            wait = max(asked, 0.0 if asked else self._pause(lane.failures))
            lane.free_at = time.monotonic() + wait
            log.warning("%s: a message waits %.1f s: %r", item.place.platform, wait, error)
            return _Result(error=str(error) or "no answer in time", wait=wait)
        except DeploybotError as error:
            log.warning("%s refused a message for good: %s", item.place.platform, error)
            return _Result(error=str(error), given_up=True)
        except Exception as error:
            log.exception("sending a message to %s broke", item.place.platform)
            attempts = item.attempts + 1
            return _Result(error=repr(error), wait=self._pause(attempts), given_up=attempts >= _BROKEN_TRIES)
        lane.failures = 0
        lane.free_at = time.monotonic() + chat.interval
        return _Result(message=message)

    async def _deliver(self, chat: Chat, item: OutboxItem) -> str:
        """Edit the message where there is one; where it is gone for good, say the card anew."""
        if item.message:
            try:
                await chat.edit(item.place, item.message, item.card)
            except (Unreachable, StoreError):
                raise
            except DeploybotError as error:
                log.info("%s: a message cannot be edited and is said anew: %s", item.place.platform, error)
            else:
                return item.message
        return await chat.send(item.place, item.card)

    async def _note(self, item: OutboxItem, result: _Result) -> None:
        """Write down what became of a try."""

        def work(tables: Tables) -> None:
            if result.message:
                tables.outbox.sent(item.id, item.revision, result.message)
            elif result.given_up:
                tables.outbox.dead(item.id, item.revision, result.error)
            else:
                tables.outbox.retry(item.id, self._clock.now() + result.wait, result.error)

        await self._store.write(work)

    def _pause(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row: doubling, bounded, and spread by half."""
        longest = min(_LONGEST_PAUSE, self._first_pause * 2.0 ** min(failures - 1, 20))
        return longest * (0.5 + self._jitter() / 2)

    async def _finish(self) -> None:
        """Let what is on its way arrive, for a moment."""
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_STOP_WITHIN)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
