"""The console for scripts: run commands one after the other, and return an exit code."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import AsyncIterator, Coroutine
from typing import TextIO, TypeVar

from deploybot.card import Tone
from deploybot.chat.console.bot_connection import Gateway, WantedBot
from deploybot.chat.console.client_connection import ClientConnection, Lost
from deploybot.chat.console.client_exit import LOOK
from deploybot.chat.console.console_protocol import Done, Show
from deploybot.chat.console.script_output import Printer
from deploybot.errors import UserError

SUCCESS, FAILED, NO_BOT, UNKNOWN = 0, 1, 2, 3
_BACK_WITHIN = 60.0
T = TypeVar("T")


class Interrupted(Exception):
    """The person pressed Ctrl-C."""


class ScriptClient:
    """Runs commands one after the other. With `wait`, a deployment's command ends when the deployment does."""

    _link: ClientConnection

    def __init__(self, wanted: WantedBot, printer: Printer, *, wait: bool) -> None:
        self._gateway = Gateway(wanted, self._show, printer.note)
        self._printer = printer
        self._wait = wait
        self._request = ""
        self._follows = ""
        self._streams = False
        self._interrupted = asyncio.Event()
        self._stopping: asyncio.Task[None] | None = None

    async def run(self, lines: AsyncIterator[str]) -> int:
        """Run the commands. Return 0, or the exit code of the first command that did not succeed.

        After that command, no more are sent. Raises UserError if there is no bot, or a line is too long.
        """
        loop = asyncio.get_running_loop()
        self._link = await self._gateway.open()
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        code = SUCCESS
        try:
            async for line in lines:
                code = await self._command(line)
                if code != SUCCESS:
                    break
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            await self._leave()
        return code

    async def listen(self) -> int:
        """Show the cards for everybody until Ctrl-C, or until the output is closed. Return the exit code.

        Raises UserError if there is no bot, or it did not come back.
        """
        loop = asyncio.get_running_loop()
        self._streams = True
        self._link = await self._gateway.open()
        loop.add_signal_handler(signal.SIGINT, self._interrupted.set)
        try:
            while True:
                reason = await self._unless_interrupted(_end_of(self._link))
                self._printer.lose_sight()
                self._printer.note(f"{reason} Waiting for it to come back.")
                self._link = await self._unless_interrupted(self._gateway.reopen(_BACK_WITHIN))
        except Interrupted:
            return SUCCESS
        finally:
            loop.remove_signal_handler(signal.SIGINT)
            await self._leave()

    async def _leave(self) -> None:
        """Restore the terminal, and print what continues without this client."""
        self._printer.close()
        parting = await self._gateway.close()
        if parting is not None and parting.words:
            self._printer.note(parting.words)
        elif self._interrupted.is_set() and self._gateway.own and not self._streams:
            self._printer.note(
                f"Stopped waiting. {LOOK}" if parting is None else "Stopped waiting. Nothing is still running."
            )

    async def _command(self, text: str) -> int:
        """Run one command to its end. Return its exit code."""
        self._streams, self._stopping, self._follows = False, None, ""
        try:
            if self._link.closed.done():
                self._link = await self._unless_interrupted(self._gateway.reopen(_BACK_WITHIN))
            done = await self._unless_interrupted(self._ask(text))
            done = await self._to_the_end(done) if done.follows else done
        except Lost as error:
            self._printer.note(f"{error.sentence} It is unknown whether the command ran: see `history`.")
            return UNKNOWN
        except Interrupted:
            if not self._gateway.own:
                self._printer.note("Stopped waiting. Running deployments continue: see `status` and `history`.")
            return UNKNOWN
        code = SUCCESS if done.ok else UNKNOWN if done.tone is Tone.UNKNOWN else FAILED
        self._printer.done(done, code)
        return code

    async def _ask(self, text: str) -> Done:
        """Run a command. If the bot dies after it showed the deployment's card, return an answer that follows it."""
        try:
            return await self._link.ask(text, begun=self._begun)
        except Lost:
            if not self._follows:
                raise
            return Done(self._request, follows=self._follows)

    async def _to_the_end(self, done: Done) -> Done:
        """Watch a deployment until it has ended, even across restarts of the bot."""
        if not self._wait:
            return done
        while True:
            try:
                return await self._unless_interrupted(self._link.watch(done.follows))
            except Lost as error:
                self._printer.lose_sight()
                self._printer.note(f"{error.sentence} Waiting for it to come back.")
            try:
                self._link = await self._unless_interrupted(self._gateway.reopen(_BACK_WITHIN))
            except UserError as error:
                self._printer.note(f"{error.sentence} The result of the deployment is unknown.")
                return Done(done.request, ok=False, tone=Tone.UNKNOWN)

    async def _show(self, show: Show) -> None:
        """Print a card. If the output is closed, stop the followed log."""
        self._streams = self._streams or show.card.stream
        if show.card.key and not show.card.final and not show.card.stream:
            self._follows = show.message
        self._printer.show(show)
        if self._printer.broken and self._streams:
            self._interrupted.set()

    def _begun(self, request: str) -> None:
        self._request = request

    def _interrupt(self) -> None:
        """Handle Ctrl-C: stop a followed log, which then ends. Without one, or the second time, exit."""
        if self._streams and self._stopping is None and not self._link.closed.done():
            self._stopping = asyncio.create_task(self._stop())
        else:
            self._interrupted.set()

    async def _stop(self) -> None:
        with contextlib.suppress(Lost):
            await self._link.stop(self._request)

    async def _unless_interrupted(self, work: Coroutine[None, None, T]) -> T:
        """Return the result of `work`. Raises Interrupted on Ctrl-C."""
        task = asyncio.create_task(work)
        interrupt = asyncio.create_task(self._interrupted.wait())
        try:
            await asyncio.wait({task, interrupt}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Interrupted
        finally:
            for one in (task, interrupt):
                one.cancel()
            await asyncio.wait({task, interrupt})


async def _end_of(link: ClientConnection) -> str:
    """Wait until a connection is closed. Return the reason."""
    return await asyncio.shield(link.closed)


async def only(line: str) -> AsyncIterator[str]:
    """Yield one line."""
    yield line


async def lines_of(source: TextIO) -> AsyncIterator[str]:
    """Yield the lines of a file or pipe as they come, without empty ones and comments (`#`)."""
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[str] = asyncio.Queue(maxsize=10)

    def read() -> None:
        # This is a thread because a regular file can't be polled. It is a daemon because a read can't be cancelled.
        with contextlib.suppress(RuntimeError):
            while True:
                line = source.readline()
                asyncio.run_coroutine_threadsafe(queue.put(line), loop).result()
                if not line:
                    return

    threading.Thread(target=read, daemon=True, name="stdin").start()
    while line := await queue.get():
        if (text := line.strip()) and not text.startswith("#"):
            yield text
