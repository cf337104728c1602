"""`deploybot chat`: the console's client, at a terminal or in a script."""

from __future__ import annotations

import asyncio
import io
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TextIO

from rich.console import Console as RichConsole

from deploybot.chat.console.bot_connection import WantedBot
from deploybot.chat.console.console_protocol import SOCKET
from deploybot.chat.console.script_client import NO_BOT, UNKNOWN, ScriptClient, lines_of, only
from deploybot.chat.console.script_output import JsonPrinter, LivePrinter, PlainPrinter, Printer
from deploybot.chat.console.styled_text import ASCII, UNICODE, Symbols
from deploybot.errors import UserError
from deploybot.settings import Settings

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}", re.ASCII)


def main(
    settings: Settings,
    *,
    line: str | None = None,
    json: bool = False,
    as_name: str | None = None,
    wait: bool = True,
    listen: bool = False,
    command: tuple[str, ...] | None = None,
) -> int:
    """Connect to the bot of these settings. Return the exit code.

    With `line`, or if stdin or stdout is not a terminal, commands run as in a script. Exit codes: 0 success; 1 the
    command failed or was refused, or its deployment failed; 2 wrong usage or no bot; 3 the result is unknown. `json`
    prints one JSON object per message. `as_name` is the name of the person. `wait` waits until a deployment has ended.
    `listen` sends no command and shows the cards for everybody. `command` starts a bot if none runs; the default is
    `deploybot run --temporary` with the same bot.toml.
    """
    interactive = line is None and not json and not listen and sys.stdin.isatty() and sys.stdout.isatty()
    _replace_errors(sys.stdin, sys.stdout, sys.stderr)
    try:
        _check_words(line, as_name, listen=listen)
        own = command if command is not None else _own_bot(settings)
        path = (settings.bot.data / SOCKET).absolute()
        joins = interactive or listen
        wanted = WantedBot(path=path, name=as_name or "", room=joins, person=interactive, command=own)
        if interactive:
            return asyncio.run(_interactive(wanted))
        script = ScriptClient(wanted, _printer(json=json), wait=wait)
        return asyncio.run(script.listen() if listen else script.run(_lines(line)))
    except UserError as error:
        return _fail(error)
    except KeyboardInterrupt:
        return UNKNOWN


def _check_words(line: str | None, as_name: str | None, *, listen: bool) -> None:
    """Raise UserError if options on the command line are invalid or contradict each other."""
    if as_name and not _NAME.fullmatch(as_name):
        raise UserError(f"`{as_name}` is not a person's name.", hint="Use a-z, 0-9, _ and -, as in --as ben.")
    if line is not None and (not line.strip() or "\n" in line.strip()):
        raise UserError("-c takes one command.", hint="As in: deploybot chat -c 'status'")
    if line is not None and listen:
        raise UserError("--listen takes no command.", hint="Use either --listen or -c.")


def _own_bot(settings: Settings) -> tuple[str, ...]:
    """Return the command that starts a temporary bot with this bot.toml, or () if the settings have no file."""
    if settings.path is None:
        return ()
    return (sys.executable, "-m", "deploybot", "-c", str(settings.path), "run", "--temporary")


async def _interactive(wanted: WantedBot) -> int:
    """Run the console for a person at a terminal. This imports prompt_toolkit, which scripts do not need."""
    from deploybot.chat.console.interactive_screen import Screen, history  # noqa: PLC0415  a tenth of a second that scripts save

    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return await Screen(wanted, RichConsole(), _symbols(sys.stdout), history(Path(state) / "deploybot")).run()


def _lines(line: str | None) -> AsyncIterator[str]:
    """Yield the given command, or else the commands from stdin."""
    return lines_of(sys.stdin) if line is None else only(line.strip())


def _printer(*, json: bool) -> Printer:
    """Return a printer: JSON if requested, a live display at a terminal, otherwise plain lines."""
    if json:
        return JsonPrinter(sys.stdout)
    symbols = _symbols(sys.stdout)
    if sys.stdout.isatty():
        return LivePrinter(RichConsole(), symbols)
    return PlainPrinter(sys.stdout, symbols)


def _symbols(out: TextIO) -> Symbols:
    """Return the symbols that the output's encoding can show."""
    return UNICODE if (out.encoding or "").lower().replace("-", "").startswith("utf") else ASCII


def _replace_errors(*streams: TextIO) -> None:
    """Print a question mark for characters that a stream's encoding cannot represent, instead of raising."""
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _fail(error: UserError) -> int:
    """Print why there is no console, and return the exit code."""
    hint = f"\n  {error.hint}" if error.hint else ""
    sys.stderr.write(f"{error.sentence}{hint}\n")
    return NO_BOT
