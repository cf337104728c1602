"""Where a script's answers go: plain lines, JSON lines, or a terminal whose last card is redrawn in place."""

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
    """Where answers go. `broken` says that nobody reads them any more."""

    broken: bool

    def show(self, show: Show) -> None:
        """Print a card, or what is new of it."""

    def done(self, done: Done, code: int) -> None:
        """A command is answered, with the exit code that it stands for."""

    def lose_sight(self) -> None:
        """The bot went away: what it showed last is not kept true any more."""

    def note(self, sentence: str) -> None:
        """Say something that is no answer, on stderr."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class _Lines:
    """A printer's stream of lines, and stderr beside it."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.broken = False

    def note(self, sentence: str) -> None:
        """Say something that is no answer, on stderr."""
        sys.stderr.write(sentence + "\n")

    def lose_sight(self) -> None:
        """Nothing: what was printed was true when it was."""

    def close(self) -> None:
        """Nothing to put right."""

    def _write(self, lines: list[str]) -> None:
        """Write lines at once, unless the reader has left."""
        if not lines or self.broken:
            return
        try:
            self._out.write("".join(f"{line}\n" for line in lines))
            self._out.flush()
        except BrokenPipeError:
            self.broken = True
            # The interpreter flushes stdout once more when it ends, and would complain then.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._out.fileno())


class PlainPrinter(_Lines):
    """Lines for files and pipes: each line of a card once, and again only when it says something new."""

    def __init__(self, out: TextIO, symbols: Symbols) -> None:
        super().__init__(out)
        self._board = OpenCards(symbols)
        self._symbols = symbols
        self._printed: defaultdict[str, set[str]] = defaultdict(set)

    def show(self, show: Show) -> None:
        """Print the lines that are new; a time that went on makes no line new."""
        if show.card.stream:
            self._write([row_text(row) for row in self._board.put(show, None)])
            return
        printed = self._printed[show.message]
        lines = [row_text(row) for row in rows(show.card, None, self._symbols)]
        self._write([line for line in lines if _TIMES.sub("0", line) not in printed])
        printed.update(_TIMES.sub("0", line) for line in lines)

    def done(self, done: Done, code: int) -> None:
        """Nothing to say: the cards said it."""


class JsonPrinter(_Lines):
    """One JSON object a line: the bot's messages as they are, and `exit` in the last of each command."""

    def show(self, show: Show) -> None:
        """Print the message."""
        self._write([to_json(show).encode("utf-8", "replace").decode()])

    def done(self, done: Done, code: int) -> None:
        """Print how the command ended."""
        self._write([json.dumps({"type": "done", "request": done.request, "ok": done.ok, "exit": code})])


class LivePrinter:
    """A terminal: what has ended is printed, what is open is redrawn below it."""

    def __init__(self, console: RichConsole, symbols: Symbols) -> None:
        self._console = console
        self._board = OpenCards(symbols)
        self._frame = 0
        self._live: Live | None = None
        self._ticker: asyncio.Task[None] | None = None
        self.broken = False

    def show(self, show: Show) -> None:
        """Print what has ended, redraw what is open."""
        self._say(self._board.put(show, self._console.width))
        self._draw()

    def done(self, done: Done, code: int) -> None:  # noqa: ARG002  the cards said it
        """Print what the command left open."""
        self._say(self._board.answered(done.request, self._console.width))
        self._draw()

    def lose_sight(self) -> None:
        """Redraw what is open as unknown."""
        self._board.lose_sight()
        self._draw()

    def note(self, sentence: str) -> None:
        """Say something on stderr."""
        self.close()
        sys.stderr.write(sentence + "\n")

    def close(self) -> None:
        """Take the region away; open cards are printed as they were last."""
        left = self._board.leave(self._console.width)
        self._draw()
        self._say(left)

    def _say(self, lines: list[Row]) -> None:
        """Print rows above the region."""
        if lines:
            self._console.print(styled(lines), soft_wrap=True, highlight=False, end="\n")

    def _draw(self) -> None:
        """Draw the region, or take it away when nothing is open."""
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
        """Turn the sign of what is busy."""
        while True:
            await asyncio.sleep(_FRAME_SECONDS)
            self._frame += 1
            self._draw()
