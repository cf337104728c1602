"""The client's end of a console connection: it sends requests and receives cards in the bot's order."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

from deploybot.chat.console import unix_sockets
from deploybot.chat.console.console_protocol import (
    ANSWER_LIMIT,
    REQUEST_LIMIT,
    VERSION,
    Candidates,
    Complete,
    ConsoleRefused,
    Done,
    Hello,
    LineRequest,
    ProtocolError,
    Request,
    Show,
    StopRequest,
    WatchRequest,
    Welcome,
    decode_answer,
    encode,
)
from deploybot.errors import UserError

_WELCOME_WITHIN = 10.0
_SEND_WITHIN = 30.0
_COMPLETE_WITHIN = 3.0


class NoBot(UserError):
    """No bot listens on this socket."""


class Lost(UserError):
    """The bot closed the connection, or is gone."""


OnShow = Callable[[Show], Awaitable[None]]


class ClientConnection:
    """An open connection. `on_show` gets one card at a time; if it is slow, it slows down the bot's log."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, on_show: OnShow) -> None:
        self._reader, self._writer = reader, writer
        self._on_show = on_show
        self._waiting: dict[str, asyncio.Future[Done | Candidates]] = {}
        self._numbers = itertools.count(1)
        self._task: asyncio.Task[None] | None = None
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.welcome = Welcome(VERSION, "", "")

    async def ask(self, text: str, *, begun: Callable[[str], None] = lambda _: None) -> Done:
        """Run a command and return its final answer. `begun` gets the request's id. Raises Lost if none comes."""
        answer = await self._ask(LineRequest(self._next(), text), begun)
        return answer if isinstance(answer, Done) else Done(answer.request)

    async def watch(self, key: str) -> Done:
        """Show a card and its updates until it is final."""
        answer = await self._ask(WatchRequest(self._next(), key))
        return answer if isinstance(answer, Done) else Done(answer.request)

    async def complete(self, text: str) -> Candidates:
        """Return completions for a line, or none if the bot takes too long."""
        request = Complete(self._next(), text)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_COMPLETE_WITHIN):
                answer = await self._ask(request)
                if isinstance(answer, Candidates):
                    return answer
        return Candidates(request.id)

    async def stop(self, request: str) -> None:
        """Stop the log that a request follows."""
        await self._send(StopRequest(request))

    async def close(self) -> None:
        """Close the connection."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def _greet(self, name: str, *, room: bool, person: bool) -> None:
        """Send `hello` and start to listen. Raises NoBot if the bot closes the connection without an answer."""
        stopping = NoBot("The bot is stopping.", hint="Try again.")
        try:
            await self._send(Hello(VERSION, name, room, person))
        except Lost:
            raise stopping from None
        async with asyncio.timeout(_WELCOME_WITHIN):
            answer = await self._receive(end=stopping)
        if not isinstance(answer, Welcome):
            raise Lost("The bot sent an unexpected answer.", hint="Do the bot and this client have the same version?")
        self.welcome = answer
        self._task = asyncio.create_task(self._listen())

    async def _ask(
        self, request: LineRequest | Complete | WatchRequest, begun: Callable[[str], None] = lambda _: None
    ) -> Done | Candidates:
        """Send a request and wait for its final answer."""
        if len(encode(request)) > REQUEST_LIMIT:
            raise UserError(f"A command may have at most {REQUEST_LIMIT:,} bytes.", hint="Shorten it.")
        future: asyncio.Future[Done | Candidates] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = future
        try:
            await self._send(request)
            begun(request.id)
            return await future
        finally:
            del self._waiting[request.id]
            if future.done() and not future.cancelled():
                # If sending failed, nothing awaited this future. Read its exception, so that asyncio does not complain.
                future.exception()

    async def _send(self, request: Request) -> None:
        """Write a line. Raises Lost if the connection is gone."""
        if self.closed.done():
            raise Lost(self.closed.result())
        try:
            async with asyncio.timeout(_SEND_WITHIN):
                self._writer.write(encode(request))
                await self._writer.drain()
        except OSError:
            raise Lost("The connection to the bot was lost.") from None

    async def _listen(self) -> None:
        """Pass on answers until the connection ends. Then all waiting requests fail with the reason."""
        reason = "The connection to the bot was lost."
        try:
            while True:
                answer = await self._receive()
                if isinstance(answer, Show):
                    await self._on_show(answer)
                elif isinstance(answer, Done | Candidates) and answer.request in self._waiting:
                    future = self._waiting[answer.request]
                    if not future.done():
                        future.set_result(answer)
        except Lost as error:
            reason = error.sentence
        finally:
            self.closed.set_result(reason)
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(Lost(reason))

    async def _receive(self, end: UserError | None = None) -> Welcome | Show | Done | Candidates:
        """Read the next message. Raises `end`, or Lost by default, if the connection has ended."""
        end = end or Lost("The connection to the bot was lost.")
        try:
            line = await self._reader.readline()
            answer = decode_answer(line) if line else None
        except OSError:
            raise end from None
        except (ValueError, ProtocolError) as error:
            raise Lost(f"The bot sent an unexpected answer: {error}.") from None
        if answer is None:
            raise end
        if isinstance(answer, ConsoleRefused):
            raise Lost(answer.sentence, hint=answer.hint)
        return answer

    def _next(self) -> str:
        return str(next(self._numbers))


async def open_link(
    path: Path, on_show: OnShow, *, name: str = "", room: bool = True, person: bool = False
) -> ClientConnection:
    """Connect to the bot's socket. `person` is whether a person types there, who can be asked to pick something.

    Raises NoBot if no bot listens, Lost if the bot refuses, UserError if this user may not connect.
    """
    try:
        sock = unix_sockets.connect(path)
    except PermissionError:
        raise _not_yours(path) from None
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError):
        raise NoBot(f"No bot listens on {path}.", hint="Start one: deploybot run") from None
    except BlockingIOError:
        raise Lost("The bot is too busy to accept another client.", hint="Try again in a moment.") from None
    reader, writer = await asyncio.open_unix_connection(sock=sock, limit=ANSWER_LIMIT)
    link = ClientConnection(reader, writer, on_show)
    try:
        await link._greet(name, room=room, person=person)  # noqa: SLF001  this function makes the connection
    except (UserError, TimeoutError) as error:
        await link.close()
        raise error if isinstance(error, UserError) else Lost("The bot does not answer.") from None
    return link


def _not_yours(path: Path) -> UserError:
    """Return an error that names the owner of the console."""
    owner = ""
    for checked in (path, path.parent):
        with contextlib.suppress(OSError):
            owner = unix_sockets.user(os.lstat(checked)[stat.ST_UID])
            break
    hint = f"Run: sudo -u {owner} deploybot chat" if owner else "Run it as the user that the bot runs as."
    whose = f"the user {owner}" if owner else "another user"
    return UserError(f"The console of this bot belongs to {whose}; only that user and root may use it.", hint=hint)
