"""The console as a chat: a Unix socket in the data folder, where the bot's owner types commands.

Only the user that the bot runs as, and root, get a connection: the socket's mode says so, and the kernel
names the other side's user (`SO_PEERCRED`, unix(7)). docs/console.md tells what an identity at the console is.
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
from deploybot.domain import Place

_CLIENTS = 64
_STOP_WITHIN = 3.0
log = logging.getLogger(__name__)


class Console:
    """The Chat port for the platform `console`, and the server its clients connect to.

    Everybody connected is in one room. A card is delivered once the room has it: the room keeps the last
    ones, and a client that comes later is told those still open and those nobody saw. `on_quiet` is called
    when a client has left, and when a command is answered.
    """

    platform = PLATFORM
    interval = 0.0
    problem = ""

    def __init__(self, path: Path, parts: Parts) -> None:
        """`path` is the socket, `data/console.sock`."""
        self._path = path
        self._parts = parts
        self._room = ClientRoom()
        self._sessions: dict[Session, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = itertools.count(1)
        self._server: asyncio.Server | None = None
        self.on_quiet: Callable[[], None] = _nothing

    @property
    def clients(self) -> int:
        """How many are connected."""
        return len(self._sessions)

    @property
    def answers(self) -> bool:
        """Whether a command is being answered, also one whose client has left."""
        return bool(self._tasks)

    def retire(self) -> bool:
        """Take no more clients, if none is there and no command is being answered; whether that is so."""
        if self._sessions or self._tasks:
            return False
        self._shut()
        return True

    async def start(self) -> None:
        """Listen. UserError when another bot does already, or the folder is not safe."""
        sock = unix_sockets.listen(self._path)
        self._server = await asyncio.start_unix_server(self._connected, sock=sock, limit=REQUEST_LIMIT)

    async def close(self) -> None:
        """Take the socket away, tell every client, and give running commands a moment to end."""
        self._shut()
        for session in self._sessions:
            session.close()
        running = {*self._sessions.values(), *self._tasks}
        if running:
            _, late = await asyncio.wait(running, timeout=_STOP_WITHIN)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def send(self, place: Place, card: Card) -> str:
        """Tell everybody; the message's id is the card's key, so it means the same after a restart."""
        message = card.key or f"{place.channel}-{next(self._numbers)}"
        await self.edit(place, message, card)
        return message

    async def edit(self, place: Place, message: str, card: Card) -> None:  # noqa: ARG002  there is one room
        """Tell everybody the newest state of a card."""
        self._room.put(message, card, seen=any(session.listens for session in self._sessions))
        for session in self._sessions:
            session.told(message)

    def _shut(self) -> None:
        """Take the socket away."""
        if self._server is not None:
            self._server.close()
            self._path.unlink(missing_ok=True)
            self._server = None

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a client, if it may be here."""
        if self._server is None:
            writer.close()  # it came while the socket was taken away, and finds no bot
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
        assert task is not None  # noqa: S101  this is a coroutine
        self._sessions[session] = task
        try:
            await session.run()
        except Exception:
            log.exception("a console client's connection broke")
        finally:
            del self._sessions[session]
            self.on_quiet()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run something that outlives its client; what goes wrong in it is logged."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.on_quiet()
        if not task.cancelled() and (error := task.exception()):
            log.error("a console request broke", exc_info=error)


def _nothing() -> None:
    """Nobody wants to hear of it."""
