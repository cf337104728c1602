"""The interactive console: the prompt at the bottom, open cards redrawn above it, finished output above those."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Coroutine
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from rich.console import Console as RichConsole

from deploybot.chat.console.bot_connection import Gateway, WantedBot
from deploybot.chat.console.client_connection import ClientConnection, Lost
from deploybot.chat.console.console_protocol import Show
from deploybot.chat.console.open_cards import OpenCards
from deploybot.chat.console.styled_text import Row, Span, SpanStyle, Symbols
from deploybot.chat.console.terminal_cards import styled
from deploybot.chat.console.terminal_text import clean, wrap
from deploybot.errors import UserError

_FRAME_SECONDS = 0.1
_BACK_WITHIN = 3600.0
_BELOW = 3
_BACKLOG = 2000
_LEAVE = frozenset({"exit", "quit"})
_LOOKS = {
    SpanStyle.TEXT: "",
    SpanStyle.TITLE: "bold",
    SpanStyle.NAME: "bold",
    SpanStyle.DIM: "dim",
    SpanStyle.KEY: "ansicyan",
    SpanStyle.BUSY: "ansiblue",
    SpanStyle.GOOD: "ansigreen",
    SpanStyle.WARN: "ansiyellow",
    SpanStyle.BAD: "ansired",
    SpanStyle.UNKNOWN: "ansimagenta",
}


class _FromBot(Completer):
    """Completion from the bot: commands, apps, environments, servers."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> list[Completion]:  # noqa: ARG002  prompt_toolkit's signature
        """Return nothing: completion needs the bot and is asynchronous."""
        return []

    async def get_completions_async(
        self,
        document: Document,
        complete_event: CompleteEvent,  # noqa: ARG002  prompt_toolkit's signature
    ) -> AsyncGenerator[Completion, None]:
        """Yield the bot's completions of the line up to the cursor."""
        with contextlib.suppress(UserError):
            found = await self._screen.link.complete(document.text_before_cursor)
            for word in found.words:
                yield Completion(word, start_position=-found.replace)


class _History(FileHistory):
    """Lines typed before, in a file that only its owner can read. One-time codes are not stored."""

    def store_string(self, string: str) -> None:
        """Store a line, unless it contains a one-time code."""
        if not string.lstrip("/ ").lower().startswith("claim"):
            super().store_string(string)


def history(folder: Path) -> History:
    """Return the history in `folder`, or one in memory if the folder is not writable."""
    path = folder / "history"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600))
        path.chmod(0o600)
    except OSError:
        return InMemoryHistory()
    return _History(str(path))


class Screen:
    """The interactive console of one person at a terminal."""

    link: ClientConnection

    def __init__(self, wanted: WantedBot, console: RichConsole, symbols: Symbols, lines: History) -> None:
        self._wanted = wanted
        self._console = console
        self._gateway = Gateway(wanted, self._show, self._note)
        self._board = OpenCards(symbols)
        self._above: list[Row] = []
        self._printed = asyncio.Event()
        self._drained = asyncio.Event()
        self._frame = 0
        self._connected = True
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: PromptSession[str] = PromptSession(
            message=self._prompt,
            history=lines,
            completer=_FromBot(self),
            complete_while_typing=False,
            auto_suggest=AutoSuggestFromHistory(),
            enable_history_search=True,
            key_bindings=self._keys(),
            reserve_space_for_menu=6,
        )

    async def run(self) -> int:
        """Run until the person leaves. Return the exit code. Raises UserError if there is no bot."""
        self.link = await self._gateway.open()
        welcome = self.link.welcome
        who = Span(f", you are console:{welcome.user}", SpanStyle.DIM)
        self._print([(Span(f"deploybot {welcome.bot}", SpanStyle.TITLE), who)])
        self._note("Type help; Tab completes, Ctrl-D leaves.")
        self._flush()
        for work in (self._keep_printing(), self._keep_turning(), self._keep_connected()):
            self._spawn(work)
        try:
            while (line := await self._read()) is not None:
                if line:
                    self._spawn(self._run(line))
        finally:
            await self._leave()
        return 0

    async def _read(self) -> str | None:
        """Read the next line. Return None if the person leaves."""
        try:
            line = (await self._session.prompt_async()).strip()
        except EOFError:
            return None
        return None if line in _LEAVE else line

    async def _run(self, line: str) -> None:
        """Run a command."""
        try:
            done = await self.link.ask(line)
            self._print(self._board.answered(done.request, self._width))
        except Lost as error:
            self._note(f"{error.sentence} This was not answered: {line}")
        except UserError as error:
            self._note(error.sentence)

    async def _leave(self) -> None:
        """Print the open cards and disconnect."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._print(self._board.leave(self._width))
        self._flush()
        parting = await self._gateway.close()
        self._note(parting.words if parting is not None else "")
        self._flush()

    async def _show(self, show: Show) -> None:
        """Show a card. Waits while a lot of output is pending."""
        lines = self._board.put(show, self._width)
        self._print([*lines, ()] if lines and show.card.final else lines)
        self._redraw()
        while len(self._above) > _BACKLOG:
            self._drained.clear()
            await self._drained.wait()

    def _note(self, sentence: str) -> None:
        """Print a sentence that did not come from the bot."""
        self._print([(Span(line, SpanStyle.DIM),) for line in wrap(clean(sentence), self._width)])

    def _print(self, lines: list[Row]) -> None:
        """Queue rows to be printed above the prompt."""
        self._above += lines
        self._printed.set()

    def _flush(self) -> None:
        """Print the queued rows."""
        lines, self._above = self._above, []
        if lines:
            self._console.print(styled(lines), soft_wrap=True, highlight=False)
        self._drained.set()

    async def _keep_printing(self) -> None:
        """Print new rows above the prompt as soon as they arrive."""
        while True:
            await self._printed.wait()
            self._printed.clear()
            await run_in_terminal(self._flush)

    async def _keep_turning(self) -> None:
        """Animate the spinner while cards are open."""
        while True:
            await asyncio.sleep(_FRAME_SECONDS)
            if self._board.titles:
                self._frame += 1
                self._redraw()

    async def _keep_connected(self) -> None:
        """Reconnect to the bot after a lost connection."""
        while True:
            reason = await asyncio.shield(self.link.closed)
            self._connected = False
            self._board.lose_sight()
            self._note(f"{reason} Waiting for it to come back.")
            try:
                self.link = await self._gateway.reopen(_BACK_WITHIN)
            except UserError as error:
                self._note(f"{error.sentence} {error.hint}")
                return
            self._connected = True
            self._note("The bot is back.")
            for key in self._board.keys:
                self._spawn(self._watch(key))

    async def _watch(self, key: str) -> None:
        """Follow a card that was open when the connection was lost."""
        with contextlib.suppress(Lost):
            done = await self.link.watch(key)
            self._print(self._board.answered(done.request, self._width))

    @property
    def _width(self) -> int:
        """Return the terminal's current columns, ignoring the `COLUMNS` of the shell."""
        return self._session.app.output.get_size().columns

    def _redraw(self) -> None:
        self._session.app.invalidate()

    def _prompt(self) -> StyleAndTextTuples:
        """Return the open cards and the prompt below them. After a line is sent, only the prompt remains on screen."""
        name = self._wanted.name or "deploybot"
        prompt: StyleAndTextTuples = [("bold" if self._connected else "dim", f"{name}> ")]
        if self._session.app.is_done:
            return prompt
        size = self._session.app.output.get_size()
        region = self._board.region(size.columns - 1, max(size.rows - _BELOW, 1), self._frame)
        shown: StyleAndTextTuples = []
        for row in region:
            shown += [(_LOOKS[span.look], span.text) for span in row]
            shown.append(("", "\n"))
        return shown + prompt

    def _keys(self) -> KeyBindings:
        """Return the key bindings: Ctrl-C stops the followed log; if there is none, it clears the line."""
        keys = KeyBindings()

        @keys.add("c-c")
        def stop_or_clear(event: KeyPressEvent) -> None:
            if streams := self._board.streams:
                self._spawn(self._stop(streams[-1]))
            else:
                event.current_buffer.reset()

        return keys

    async def _stop(self, request: str) -> None:
        with contextlib.suppress(Lost):
            await self.link.stop(request)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        """Run a coroutine beside the prompt."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
