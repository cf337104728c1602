"""A temporary bot, started by a console client: how long it lives, and where its log goes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Any, cast

from deploybot.chat.console.client_exit import Parting
from deploybot.chat.console.console_chat import Console
from deploybot.deployments.deployment_queue import Queue
from deploybot.domain import Unfinished
from deploybot.errors import StoreError

log = logging.getLogger(__name__)

LOG = "temporary.log"
_LOG_BYTES = 1 << 20
_ANSWERED_WITHIN = 5.0
_LEFT_WITHIN = 1.0
_LOOK_EVERY = 30.0  # approvals that no longer count, and a changed clock, send no event
_STORE_WITHIN = 600.0


class TemporaryLife:
    """Keeps a temporary bot alive until all clients have left, and all deployments that have begun have ended."""

    def __init__(self, queue: Queue, console: Console, changed: asyncio.Event) -> None:
        """Take the queue and the console that keep it alive. `changed` is set when either has less to do."""
        self._queue = queue
        self._console = console
        self._released = asyncio.Event()
        self._changed = changed
        self._known = asyncio.get_running_loop().time()

    def release(self) -> None:
        """Note that the client that started the bot is gone."""
        self._released.set()

    async def run(self, part: Callable[[Parting], None]) -> None:
        """Return when the bot may stop. Call `part` once with the deployments that continue without the client."""
        await self._released.wait()
        await self._answered()
        parting = await self._try_to_leave()
        part(parting)
        while parting.stays:
            await self._change(_LOOK_EVERY)
            parting = await self._try_to_leave()
        log.info("nothing is left to do for this temporary bot")

    async def _answered(self) -> None:
        """Wait a moment for the client's connection to end, and for the answer to its last command."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while self._console.clients or self._console.answers:
            within = _ANSWERED_WITHIN if self._console.answers else _LEFT_WITHIN
            left = began + within - loop.time()
            found = await self._unfinished()
            if left <= 0 or (found and found.begun):
                return
            await self._change(left)

    async def _unfinished(self) -> Unfinished | None:
        """Return the unfinished deployments, or None if the database cannot be read.

        After ten minutes of that, return no deployments.
        """
        loop = asyncio.get_running_loop()
        try:
            found = await self._queue.unfinished()
        except StoreError as problem:
            log.warning("cannot find out whether this temporary bot may stop: %s", problem)
            return None if loop.time() - self._known < _STORE_WITHIN else Unfinished()
        self._known = loop.time()
        return found

    async def _change(self, within: float) -> None:
        """Wait until something has ended, but at most `within` seconds."""
        try:
            async with asyncio.timeout(within):
                await self._changed.wait()
        except TimeoutError:
            return
        finally:
            self._changed.clear()

    async def _try_to_leave(self) -> Parting:
        """Take no more clients and start no deployments, unless something keeps the bot. Return what keeps it."""
        found = await self._unfinished()
        if found is None:
            return Parting(stays=True)
        if not found.begun and self._console.retire():
            with contextlib.suppress(StoreError):
                found = await self._queue.rest()
            if not found.begun:
                return Parting(waiting=found.waiting)
            await self._console.start()  # something began in a chat in the meantime
        return Parting(stays=True, begun=found.begun, waiting=found.waiting, asked=self._console.answers)


class PrivateLog(RotatingFileHandler):
    """A log file that only its owner can read; at most two files of 1 MiB."""

    def __init__(self, path: Path) -> None:
        """Append to this file."""
        super().__init__(path, maxBytes=_LOG_BYTES, backupCount=1, encoding="utf-8", errors="backslashreplace")

    def _open(self) -> TextIOWrapper:
        path, mode = self.baseFilename, self.mode
        file = open(path, mode, encoding=self.encoding, errors=self.errors, opener=_private)  # noqa: SIM115  `close` does
        return cast("TextIOWrapper", file)

    def take(self, *streams: IO[Any]) -> None:
        """Redirect these streams into the file: their reader is gone."""
        for stream in streams:
            stream.flush()
            with open(self.baseFilename, "ab", opener=_private) as file:
                os.dup2(file.fileno(), stream.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
