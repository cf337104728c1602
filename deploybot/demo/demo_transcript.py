"""The demo's output: narration, what people type, what the bot answers, and the results of the checks."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import TextIO

from deploybot.card import Card
from deploybot.chat.console.child_bot import OwnBot
from deploybot.chat.console.console_protocol import Show, decode_answer
from deploybot.chat.console.script_output import PlainPrinter, Printer
from deploybot.chat.console.styled_text import UNICODE
from deploybot.demo.demo_server import DemoMachine
from deploybot.demo.demo_setup import DemoSetup
from deploybot.errors import UserError

ANA, BEN, CEM = "ana", "ben", "cem"
_ANSWER_WITHIN = 90.0
_ASK_WITHIN = 5.0
_PAUSE = 0.05
_WIDTH = 78


class TooLate(UserError):
    """Something that the demo waits for did not happen in time."""


@dataclass(slots=True)
class DemoAnswer:
    """The answer so far, and the exit code once it is known."""

    lines: list[str] = field(default_factory=list)
    code: int | None = None

    @property
    def text(self) -> str:
        """Return all lines."""
        return "\n".join(self.lines)


class ListeningConsole:
    """The messages to everyone at the console, each with its states in order."""

    def __init__(self, printer: Printer) -> None:
        """Take the printer of the messages."""
        self._printer = printer
        self._cards: dict[str, list[Card]] = {}

    def take(self, line: bytes) -> None:
        """Take a line of `deploybot chat --listen --json`."""
        show = decode_answer(line)
        if isinstance(show, Show):
            self._cards.setdefault(show.message, []).append(show.card)
            self._printer.show(show)

    def holds(self, *texts: str) -> bool:
        """Return whether a message contained all of the texts in one of its states."""
        return any(all(text in _text(card) for text in texts) for cards in self._cards.values() for card in cards)

    def messages(self, text: str) -> int:
        """Return how many messages contained the text."""
        return sum(any(text in _text(card) for card in cards) for cards in self._cards.values())


class DemoTranscript:
    """Writes to `out`, and collects wrong outcomes. `bots` are those that ran, for their last output."""

    def __init__(self, town: DemoSetup, out: TextIO) -> None:
        """Take the demo that is played, and the output."""
        self.town = town
        self._out = out
        self.right = 0
        self.wrong: list[str] = []
        self.bots: list[OwnBot] = []
        self._output: list[str] = []

    def title(self, text: str) -> None:
        """Begin a scene."""
        self._write("", f"── {text} ".ljust(_WIDTH, "─"))

    def explain(self, *lines: str) -> None:
        """Explain something to the audience."""
        self._write("", *(f"# {line}" for line in lines))

    def type(self, line: str) -> None:
        """Show a line that is typed into a shell."""
        self._write("", f"$ {line}")

    async def ask(self, person: str, line: str, *holds: str, code: int = 0) -> DemoAnswer:
        """Type a line into `deploybot chat` as a person. Compare the exit code and what the answer `holds`."""
        answer = DemoAnswer()
        await self.type_command(answer, person, line)
        self._compare_answer(line, answer, holds, code)
        return answer

    async def type_command(self, answer: DemoAnswer, person: str, line: str) -> None:
        """Type a line without comparing. `answer` fills while the answer arrives."""
        self._write("", f"{person}> {line}")
        speaker = () if person == ANA else ("--as", person)
        await self._run(answer, "chat", *speaker, "-c", line)

    @contextlib.asynccontextmanager
    async def meanwhile(self, line: str, *holds: str, code: int = 0) -> AsyncIterator[DemoAnswer]:
        """Type a line as Ana in another terminal, and yield its answer so far. It is shown and compared at the end."""
        answer = DemoAnswer()
        self._write("", f"{ANA}> {line}", "  (in another terminal, which is shown again when this has ended)")
        typing = asyncio.create_task(self._run(answer, "chat", "-c", line, shown=False))
        try:
            yield answer
            await typing
        finally:
            typing.cancel()
            await asyncio.gather(typing, return_exceptions=True)
        self._write("", "# The other terminal:", f"{ANA}> {line}", *answer.lines)
        self._compare_answer(line, answer, holds, code)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[ListeningConsole]:
        """Run a console that listens in the meantime. Messages are shown as they arrive."""
        self.type("deploybot chat --listen")
        process = await asyncio.create_subprocess_exec(
            *self.town.command("chat", "--listen", "--json"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        console = ListeningConsole(PlainPrinter(self._out, UNICODE))
        reading = asyncio.create_task(_hand_on(process, console))
        try:
            yield console
        finally:
            await _left(process, reading)

    async def shell(self, *words: str, holds: tuple[str, ...] = ()) -> DemoAnswer:
        """Run `deploybot WORDS` as in a terminal."""
        answer = DemoAnswer()
        self.type(f"deploybot {' '.join(words)}")
        await self._run(answer, *words)
        self._compare_answer(" ".join(words), answer, holds, 0)
        return answer

    async def serves(self, environment: str, release: str, *servers: DemoMachine) -> None:
        """Ask the shop itself which release it is, on each of the servers, and compare."""
        for server in servers or (DemoMachine(self.town.folder),):
            url = self.town.url(environment, server.address)
            where = f"{environment} on {server.name}" if servers else environment
            self.compare(f"{where}, asked at {url}", await asyncio.to_thread(_get, url), f"shop {release}")

    def kept_secret(self) -> None:
        """Check that the shop's secret is in none of the answers, and in none of the bot's files."""
        key, data = self.town.payment_key, self.town.folder / "data"
        found = ["an answer"] if any(key in line for line in self._output) else []
        found += [file.name for file in data.rglob("*") if file.is_file() and key.encode() in file.read_bytes()]
        self.compare(
            "the payment key, in all answers and the bot's own files", ", ".join(found) or "nowhere", "nowhere"
        )

    def compare(self, what: str, got: str, wanted: str) -> None:
        """Show an outcome. If it is not the wanted one, the demo has failed."""
        if self._note(f"{what}: {got} instead of {wanted}", right=got == wanted):
            self._write(f"  => {what}: {got}")

    async def until(self, what: str, condition: Callable[[], bool], within: float) -> None:
        """Wait for something that sends no event. Raises TooLate after `within` seconds."""
        end = time.monotonic() + within
        while not condition():
            if time.monotonic() > end:
                raise TooLate(f"{what}: that did not happen within {within:.0f} s")
            await asyncio.sleep(_PAUSE)

    def _compare_answer(self, line: str, answer: DemoAnswer, holds: tuple[str, ...], code: int) -> None:
        self._note(f"`{line}` ended with {answer.code} instead of {code}", right=answer.code == code)
        for text in holds:
            self._note(f"the answer to `{line}` does not contain “{text}”", right=text in answer.text)

    def _note(self, trouble: str, *, right: bool) -> bool:
        if right:
            self.right += 1
        else:
            self.wrong.append(trouble)
            self._write(f"  => WRONG: {trouble}")
        return right

    async def _run(self, answer: DemoAnswer, *words: str, shown: bool = True) -> None:
        """Run a subcommand, and show its output as it arrives."""
        process = await asyncio.create_subprocess_exec(
            *self.town.command(*words),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONIOENCODING": "utf-8", "COLUMNS": str(_WIDTH)},
        )
        assert process.stdout is not None  # noqa: S101  a pipe was requested
        try:
            async with asyncio.timeout(_ANSWER_WITHIN):
                async for line in process.stdout:
                    answer.lines.append(line.decode("utf-8", "replace").rstrip("\n"))
                    self._output.append(answer.lines[-1])
                    if shown:
                        self._write(answer.lines[-1])
                answer.code = await process.wait()
        except TimeoutError:
            raise TooLate(f"`deploybot {' '.join(words)}` did not end within {_ANSWER_WITHIN:.0f} s") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    def _write(self, *lines: str) -> None:
        self._out.write("".join(f"{line}\n" for line in lines))
        self._out.flush()


async def _hand_on(process: asyncio.subprocess.Process, console: ListeningConsole) -> None:
    """Pass on the output of a listening console, until it ends."""
    assert process.stdout is not None  # noqa: S101  a pipe was requested
    async for line in process.stdout:
        console.take(line)


async def _left(process: asyncio.subprocess.Process, reading: asyncio.Task[None]) -> None:
    """End a listening console, as Ctrl-C would."""
    process.send_signal(signal.SIGINT)
    try:
        async with asyncio.timeout(_ASK_WITHIN):
            await reading
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()


def _text(card: Card) -> str:
    """Return all texts of a card."""
    lines = (f"{line.name} {line.text}" for line in card.lines)
    return "\n".join((card.title, card.text, *lines, *card.code, card.footer))


def _get(url: str) -> str:
    """Return the text of a page, or the error if there is no answer."""
    try:
        with urllib.request.urlopen(url, timeout=_ASK_WITHIN) as answer:  # noqa: S310  http, and made here
            return str(answer.read(1000).decode()).strip()
    except OSError as error:
        return f"no answer ({error})"
