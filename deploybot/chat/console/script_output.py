"""Print a script's answers: as plain lines, as JSON lines, or on a terminal with the last card redrawn in place."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections import defaultdict
from typing import Protocol, TextIO

from rich.console import Console as RichConsole
from rich.live import Live

from deploybot.chat.console.console_protocol import Done, Show, to_json
from deploybot.chat.console.open_cards import OpenCards
from deploybot.chat.console.styled_text import Row, Symbols, row_text
from deploybot.chat.console.terminal_cards import rows, styled

_FRAME_SECONDS = 0.1
_TIMES = re.compile(r"\d+(?:\.\d+)?(?= (?:s|min|h|d)\b)")


class Printer(Protocol):
    """Prints answers. `broken` is true once nothing reads them any more."""

    broken: bool

    def show(self, show: Show) -> None:
        """Print a card, or the new part of it."""

    def done(self, done: Done, code: int) -> None:
        """Handle the end of a command and its exit code."""

    def lose_sight(self) -> None:
        """Handle a lost connection: the cards shown last are no longer updated."""

    def note(self, sentence: str) -> None:
        """Print a message that is not an answer to stderr."""

    def close(self) -> None:
        """Restore the terminal."""


class _Lines:
    """Prints lines to a stream, and notes to stderr."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.broken = False

    def note(self, sentence: str) -> None:
        """Print a message that is not an answer to stderr."""
        sys.stderr.write(sentence + "\n")

    def lose_sight(self) -> None:
        """Do nothing: printed lines stay as they are."""

    def close(self) -> None:
        """Do nothing: there is nothing to restore."""

    def _write(self, lines: list[str]) -> None:
        """Write lines at once, unless the reader has closed the stream."""
        if not lines or self.broken:
            return
        try:
            self._out.write("".join(f"{line}\n" for line in lines))
            self._out.flush()
        except BrokenPipeError:
            self.broken = True
            # The interpreter flushes stdout at exit and would complain then.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())


class PlainPrinter(_Lines):
    """Prints for files and pipes: each line of a card once, and again only if it changes."""

    def __init__(self, out: TextIO, symbols: Symbols) -> None:
        super().__init__(out)
        self._board = OpenCards(symbols)
        self._symbols = symbols
        self._printed: defaultdict[str, set[str]] = defaultdict(set)

    def show(self, show: Show) -> None:
        """Print the new lines. A line in which only a duration changed is not new."""
        if show.card.stream:
            self._write([row_text(row) for row in self._board.put(show, None)])
            return
        printed = self._printed[show.message]
        lines = [row_text(row) for row in rows(show.card, None, self._symbols)]
        self._write([line for line in lines if _TIMES.sub("0", line) not in printed])
        printed.update(_TIMES.sub("0", line) for line in lines)

    def done(self, done: Done, code: int) -> None:
        """Do nothing: the cards show the result."""


class JsonPrinter(_Lines):
    """Prints one JSON object per line: the bot's messages unchanged, and `exit` in the last one of each command."""

    def show(self, show: Show) -> None:
        """Print the message."""
        self._write([to_json(show).encode("utf-8", "replace").decode()])

    def done(self, done: Done, code: int) -> None:
        """Print how the command ended."""
        self._write([json.dumps({"type": "done", "request": done.request, "ok": done.ok, "exit": code})])


class LivePrinter:
    """Prints to a terminal: finished cards stay, open cards are redrawn below them."""

    def __init__(self, console: RichConsole, symbols: Symbols) -> None:
        self._console = console
        self._board = OpenCards(symbols)
        self._frame = 0
        self._live: Live | None = None
        self._ticker: asyncio.Task[None] | None = None
        self.broken = False

    def show(self, show: Show) -> None:
        """Print a finished card, or redraw the open ones."""
        self._print(self._board.put(show, self._console.width))
        self._draw()

    def done(self, done: Done, code: int) -> None:  # noqa: ARG002  the cards show the result
        """Print the cards that the command left open."""
        self._print(self._board.answered(done.request, self._console.width))
        self._draw()

    def lose_sight(self) -> None:
        """Redraw the open cards as unknown."""
        self._board.lose_sight()
        self._draw()

    def note(self, sentence: str) -> None:
        """Print a message to stderr."""
        self.close()
        sys.stderr.write(sentence + "\n")

    def close(self) -> None:
        """Remove the region, and print the last state of open cards."""
        left = self._board.leave(self._console.width)
        self._draw()
        self._print(left)

    def _print(self, lines: list[Row]) -> None:
        """Print rows above the region."""
        if lines:
            self._console.print(styled(lines), soft_wrap=True, highlight=False, end="\n")

    def _draw(self) -> None:
        """Draw the region, or remove it if no card is open."""
        if not self._board.titles:
            if self._ticker is not None:
                self._ticker.cancel()
                self._ticker = None
            if self._live is not None:
                self._live.update(styled([]), refresh=True)
                self._live.stop()
                self._live = None
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False)
            self._live.start()
            self._ticker = asyncio.create_task(self._tick())
        size = self._console.size
        region = styled(self._board.region(size.width - 1, size.height - 1, self._frame))
        self._live.update(region, refresh=True)

    async def _tick(self) -> None:
        """Animate the spinner while cards are open."""
        while True:
            await asyncio.sleep(_FRAME_SECONDS)
            self._frame += 1
            self._draw()
