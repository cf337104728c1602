"""The console as a chat: the bot's owner types commands over a Unix socket in the data folder.

Only root and the user that runs the bot can connect. The socket's mode ensures it, and the kernel reports the user of
the client (`SO_PEERCRED`, unix(7)). docs/console.md explains identities at the console.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
from collections.abc import Callable, Coroutine
from pathlib import Path

from deploybot.card import Card
from deploybot.chat.chat_dependencies import Parts
from deploybot.chat.console import unix_sockets
from deploybot.chat.console.client_mailbox import ClientRoom
from deploybot.chat.console.console_protocol import REQUEST_LIMIT
from deploybot.chat.console.console_session import PLATFORM, Session
from deploybot.domain import Channel

_CLIENTS = 64
_STOP_WITHIN = 3.0
log = logging.getLogger(__name__)


class Console:
    """The Chat port for the platform `console`, and the server for its clients.

    All clients share one room. A card counts as delivered once it is in the room. The room keeps recent cards; a new
    client gets the open ones and those that no client has seen. `on_quiet` is called when a client has left, and when a
    command has been answered.
    """

    platform = PLATFORM
    interval = 0.0
    problem = ""

    def __init__(self, path: Path, parts: Parts, *, on_quiet: Callable[[], None] = lambda: None) -> None:
        """Take the path of the socket, `data/console.sock`, and the parts of the bot."""
        self._path = path
        self._parts = parts
        self._room = ClientRoom()
        self._sessions: dict[Session, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self._server: asyncio.Server | None = None
        self._on_quiet = on_quiet

    @property
    def clients(self) -> int:
        """Return the number of connected clients."""
        return len(self._sessions)

    @property
    def answers(self) -> bool:
        """Return whether a command is being answered, including one whose client has left."""
        return bool(self._tasks)

    def retire(self) -> bool:
        """Stop listening if no client is connected and no command is running. Return whether it stopped."""
        if self._sessions or self._tasks:
            return False
        self._shut()
        return True

    async def start(self) -> None:
        """Listen. Raises UserError if another bot listens already, or the folder is not safe."""
        sock = unix_sockets.listen(self._path)
        self._server = await asyncio.start_unix_server(self._connected, sock=sock, limit=REQUEST_LIMIT)

    async def close(self) -> None:
        """Remove the socket, inform all clients, and wait a few seconds for running commands to end."""
        self._shut()
        for session in self._sessions:
            session.close()
        running = {*self._sessions.values(), *self._tasks}
        if running:
            _, late = await asyncio.wait(running, timeout=_STOP_WITHIN)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def send(self, channel: Channel, card: Card) -> str:
        """Show a card to everybody. The message id is the card's key, so it stays valid after a restart."""
        message = card.key or f"{channel.id}-{next(self._numbers)}"
        await self.edit(channel, message, card)
        return message

    async def edit(self, channel: Channel, message: str, card: Card) -> None:  # noqa: ARG002  there is one room
        """Show the newest state of a card to everybody."""
        self._room.put(message, card, seen=any(session.listens for session in self._sessions))
        for session in self._sessions:
            session.card_changed(message)

    def _shut(self) -> None:
        """Stop listening and remove the socket."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
            self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client if it is allowed to connect."""
        if self._server is None:
            writer.close()  # it connected while the socket was being removed
            return
        uid = unix_sockets.peer(writer.get_extra_info("socket"))
        if uid not in {os.geteuid(), 0}:
            log.warning("a console client of %s was refused", unix_sockets.user(uid))
            await unix_sockets.refuse(reader, writer, "This console belongs to another user.")
            return
        if len(self._sessions) >= _CLIENTS:
            await unix_sockets.refuse(reader, writer, "Too many clients are connected.")
            return
        session = Session(self._parts, self._room, (reader, writer), uid, self._spawn)
        task = asyncio.current_task()
        assert task is not None  # noqa: S101  a coroutine runs in a task
        self._sessions[session] = task
        try:
            await session.run()
        except Exception:
            log.exception("a console client's connection broke")
        finally:
            del self._sessions[session]
            self._on_quiet()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine that outlives its client. Its errors are logged."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._on_quiet()
        if not task.cancelled() and (error := task.exception()):
            log.error("a console request failed because of a bug", exc_info=error)
