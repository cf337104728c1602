"""Connect a client to the running bot or to a temporary one, and reconnect after a loss."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploybot.backoff import Backoff
from deploybot.chat.console import unix_sockets
from deploybot.chat.console.child_bot import OwnBot
from deploybot.chat.console.client_connection import ClientConnection, Lost, NoBot, OnShow, open_link
from deploybot.chat.console.client_exit import Parting
from deploybot.errors import UserError

_LOCK = "deploybot.lock"
_START_WITHIN = 20.0
_PAUSE = 0.2
_MOMENT = 1.0
_RETRY = Backoff(_PAUSE, 2.0, factor=1.5)


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedBot:
    """The client's options: the bot's socket, the `--as` name, whether to join the room, how to start a bot.

    `person` is whether a person types there.
    """

    path: Path
    name: str = ""
    room: bool = True
    person: bool = False
    command: Sequence[str] = ()


class Gateway:
    """Opens connections. `show_progress` shows the person one sentence about the progress."""

    def __init__(self, wanted: WantedBot, on_show: OnShow, show_progress: Callable[[str], None]) -> None:
        self._wanted = wanted
        self._on_show = on_show
        self._show_progress = show_progress
        self._own: OwnBot | None = None
        self._link: ClientConnection | None = None

    @property
    def own(self) -> bool:
        """Return whether this client started the bot."""
        return self._own is not None

    async def open(self) -> ClientConnection:
        """Connect to the running bot or start a temporary one. Raises UserError with the reason if neither works."""
        try:
            return await self._connect()
        except NoBot:
            if not self._wanted.command:
                raise
        _check_owner(self._wanted.path.parent)
        self._show_progress("No bot is running. Starting a temporary one for this console.")
        end = time.monotonic() + _START_WITHIN
        while time.monotonic() < end:
            link = await self._start() or await self._other(end)
            if link is not None:
                return link
        raise NoBot(f"No bot listens on {self._wanted.path}.", hint="Try: deploybot run")

    async def _start(self) -> ClientConnection | None:
        """Start a bot and connect to it. Return None if another bot was in its way: that one may answer, or be gone."""
        folder = self._wanted.path.parent
        before, lived = _holder(folder), _holder_lives(folder)
        own = OwnBot(self._wanted.command)
        try:
            await own.start()
        except UserError:
            if not lived and _holder(folder) in {before, own.pid}:
                raise
            return None
        self._own = own
        return await self._connect()

    async def _other(self, end: float) -> ClientConnection | None:
        """Connect to a bot that another client started at the same moment. Return None if that bot is gone."""
        while _holder_lives(self._wanted.path.parent) and time.monotonic() < end:
            try:
                return await self._connect()
            except (NoBot, Lost):
                await asyncio.sleep(_PAUSE)
        return None

    async def reopen(self, within: float) -> ClientConnection:
        """Reconnect after a loss; retry for `within` seconds. Restart the bot if this client started it and it died."""
        if self._link is not None:
            await self._link.close()
        if self._own is not None and await self._own.gone(_MOMENT):
            await self._own.stop()
            self._own = None
            return await self.open()
        return await self._retry(within)

    async def close(self) -> Parting | None:
        """Disconnect. Return the last message of a bot that this client started, or None if it started none."""
        if self._link is not None:
            await self._link.close()
        return await self._own.leave() if self._own is not None else None

    async def _connect(self) -> ClientConnection:
        wanted = self._wanted
        self._link = await open_link(
            wanted.path, self._on_show, name=wanted.name, room=wanted.room, person=wanted.person
        )
        return self._link

    async def _retry(self, within: float) -> ClientConnection:
        """Retry until connected: there is no event for a socket that appears."""
        end, pauses = time.monotonic() + within, iter(_RETRY)
        while True:
            pause = next(pauses)
            try:
                return await self._connect()
            except (NoBot, Lost):
                if time.monotonic() + pause > end:
                    raise
            await asyncio.sleep(pause)


def _check_owner(folder: Path) -> None:
    """Raise UserError if the data folder belongs to another user: that user's bot could not use files written here."""
    with contextlib.suppress(OSError):
        owner = folder.stat().st_uid
        if owner != os.geteuid():
            name = unix_sockets.user(owner)
            hint = f"Start it as that user: sudo -u {name} deploybot run"
            raise UserError(f"No bot is running, and its data folder {folder} belongs to the user {name}.", hint=hint)


def _holder_lives(folder: Path) -> bool:
    """Return whether the process in the data folder's lock file is alive."""
    holder = _holder(folder)
    try:
        os.kill(holder, 0)
    except (OSError, OverflowError) as error:
        return isinstance(error, PermissionError)
    return holder > 0


def _holder(folder: Path) -> int:
    """Return the process id in the data folder's lock file, or 0. A bot writes its own there and leaves it."""
    try:
        return int((folder / _LOCK).read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
