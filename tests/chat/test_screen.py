"""The console at a real terminal: tmux runs the client, and what its screen shows is read back."""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploybot.chat.console.console_protocol import SOCKET
from tests.chat.stub import STEPS, Bot

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent

pytestmark = pytest.mark.needs("tmux")


@dataclass
class Terminal:
    """A terminal of tmux's, with a server of its own."""

    folder: Path

    @property
    def words(self) -> list[str]:
        return ["tmux", "-f", os.devnull, "-S", str(self.folder / "tmux")]

    async def run(self, *words: str) -> str:
        process = await asyncio.create_subprocess_exec(*self.words, *words, stdout=subprocess.PIPE)
        return (await process.communicate())[0].decode()

    async def open(self, *words: str, width: int = 80, height: int = 24, pace: float = 0.4) -> None:
        env = {
            "PYTHONPATH": str(ROOT),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "LANG": "C.UTF-8",
            "PACE": f"{pace}",
            "COLUMNS": "80",
        }
        sets = [f"{name}={value}" for name, value in env.items()]
        client = [sys.executable, str(HERE / "run_client.py"), str(self.folder / "data"), *words]
        command = shlex.join(["env", *sets, *client]) + "; echo ended with $?; exec sleep 1000"
        await self.run("-u", "new-session", "-d", "-x", str(width), "-y", str(height), command)

    async def type(self, *keys: str) -> None:
        await self.run("send-keys", *keys)

    async def screen(self, *, history: bool = False) -> str:
        shown = await self.run("capture-pane", "-p", *(["-S", "-500"] if history else []))
        return "\n".join(line.rstrip() for line in shown.rstrip().splitlines())

    async def until(self, text: str, within: float = 15, *, prompt: str = "") -> str:
        """The screen once it shows this text, and has this last line."""
        shown = ""
        try:
            async with asyncio.timeout(within):
                while text not in (shown := await self.screen()) or not shown.endswith(prompt):  # noqa: ASYNC110  tmux has no event for this
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"{text!r} is not on the screen:\n{shown}")
        return shown


@pytest.fixture
async def terminal(tmp_path: Path) -> AsyncIterator[Terminal]:
    terminal = Terminal(tmp_path)
    yield terminal
    await terminal.run("kill-server")


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    bot = Bot(tmp_path / "data" / SOCKET, pace=0.4)
    await bot.console.start()
    yield bot
    await bot.console.close()


async def test_a_deployment_is_redrawn_in_place(terminal: Terminal, bot: Bot) -> None:
    await terminal.open("--as", "ben")
    first = await terminal.until("ben>")
    greeting = [
        f"deploybot 0.0-stub, you are console:{os.getuid()}/ben",
        "Type help; Tab completes, Ctrl-D leaves.",
    ]
    assert first.splitlines() == [*greeting, "ben>"]
    bot.steps = asyncio.Semaphore(1)
    await terminal.type("deploy ok", "Enter")
    going = await terminal.until("fetch 0.1 s, …")
    assert [line.strip() for line in going.splitlines()][-5:] == [
        "replaces v1 (abcdef0123)",
        going.splitlines()[-4].strip(),
        "by ben",
        "▸ Cancel: cancel #1",
        "ben>",
    ]
    bot.steps.release()
    await terminal.until("build 0.1 s, …")
    for _ in STEPS[1:]:
        bot.steps.release()
    ended = await terminal.until("— done", prompt="\nben>")
    assert ended.splitlines() == [
        *greeting,
        "ben> deploy ok",
        "✓ #1 deploy v2 (0123456789) to shop staging — done",
        "  replaces v1 (abcdef0123)",
        "  ✓ web1  fetch 0.1 s, build 0.1 s, switch 0.1 s",
        "  by ben, took 0.3 s",
        "",
        "ben>",
    ]
    assert bot.received[0].identity.user == f"{os.getuid()}/ben"


async def test_typing_goes_on_while_cards_change(terminal: Terminal, bot: Bot) -> None:
    await terminal.open()
    await terminal.until("deploybot>")
    for how in ("ok", "bad", "ok"):
        await terminal.type(f"deploy {how}", "Enter")
    await terminal.type("echo typed mean")
    await terminal.until("deploybot> echo typed mean")
    await terminal.until("#3 deploy")
    await terminal.type("while", "Enter")
    await terminal.until("\ntyped meanwhile\n")
    shown = await terminal.until("✓ #3 deploy v2 (0123456789) to shop staging — done", prompt="\ndeploybot>")
    assert shown.count("#1 deploy") == shown.count("#2 deploy") == shown.count("#3 deploy") == 1
    assert "✗ #2 deploy v2 (0123456789) to shop staging — failed" in shown
    assert "\ntyped meanwhile\n" in shown
    assert len(bot.received) == 4


async def test_a_small_terminal(terminal: Terminal, bot: Bot) -> None:
    await terminal.open(width=40, height=10)
    await terminal.until("deploybot>")
    for _ in range(6):
        await terminal.type("deploy ok", "Enter")
    shown = await terminal.until("#6 deploy", prompt="\ndeploybot>")
    assert len(shown.splitlines()) <= 10
    await asyncio.gather(*bot.tasks)
    await terminal.until("✓ #6 deploy", prompt="took 0.3 s\n\ndeploybot>")
    everything = await terminal.screen(history=True)
    for number in range(1, 7):
        assert everything.count(f"✓ #{number} deploy v2 (0123456789) to shop\n  staging — done\n") == 1


async def test_ctrl_c_stops_a_log_and_else_clears_the_line(terminal: Terminal, bot: Bot) -> None:
    bot.pace = 0.05
    await terminal.open()
    await terminal.until("deploybot>")
    await terminal.type("follow", "Enter")
    async with asyncio.timeout(15):
        while bot.sent < 100:  # noqa: ASYNC110  the bot counts, and has no event for it
            await asyncio.sleep(0.01)
    await terminal.until("shop staging, log-1  Ctrl-C stops it")
    await terminal.type("C-c")
    await terminal.until("log-1 ended after", prompt="\ndeploybot>")
    everything = (await terminal.screen(history=True)).splitlines()
    lines = [line for line in everything if line.startswith("line ")]
    assert lines == [f"line {number} of the log" for number in range(bot.sent)][-len(lines) :]
    await terminal.type("half a line")
    await terminal.until("deploybot> half a line")
    await terminal.type("C-c")
    await terminal.until("log-1 ended after", prompt="\ndeploybot>")
    assert "Traceback" not in await terminal.screen()


async def test_completion_and_leaving(terminal: Terminal, bot: Bot) -> None:
    await terminal.open()
    await terminal.until("deploybot>")
    await terminal.type("sta", "Tab")
    await terminal.until("deploybot> status")
    await terminal.type("Enter")
    assert "✗ blog  web2    v1" in await terminal.until("✓ shop  web1    v2")
    await terminal.type("claim SECRET-CODE", "Enter", "C-d")
    await terminal.until("ended with 0")
    assert bot.received[-1].text == "claim SECRET-CODE"
    history = terminal.folder / "state" / "deploybot" / "history"
    assert stat.S_IMODE(history.stat().st_mode) == 0o600
    assert "status" in history.read_text()
    assert "SECRET" not in history.read_text()


async def test_a_bot_that_goes_away_and_comes_back(terminal: Terminal, bot: Bot) -> None:
    await terminal.open()
    await terminal.until("deploybot>")
    await terminal.type("deploy ok", "Enter")
    await terminal.until("fetch 0.1 s")
    await bot.console.close()
    await terminal.until("The bot is stopping. Waiting for it to come back.")
    await terminal.type("echo lost", "Enter")
    await terminal.until("This was not answered: echo lost")
    await asyncio.gather(*bot.tasks)
    again = Bot(bot.path, cards=bot.cards)
    await again.console.start()
    await terminal.until("The bot is back.")
    await terminal.until("✓ #1 deploy v2 (0123456789) to shop staging — done")
    await terminal.type("echo found", "Enter")
    await terminal.until("\nfound\n")
    await again.console.close()


async def test_a_bot_of_its_own(terminal: Terminal) -> None:
    await terminal.open("--own", "python", str(HERE / "stub.py"), str(terminal.folder / "data"), pace=3.0)
    await terminal.until("deploybot>")
    await terminal.type("deploy ok", "Enter")
    await terminal.until("fetch 0.1 s")
    await terminal.type("C-d")
    shown = await terminal.until("ended with 0")
    assert "● #1 deploy v2 (0123456789) to shop staging — running" in shown
    assert not (terminal.folder / "data" / SOCKET).exists()


async def test_one_command_at_a_terminal_is_redrawn_too(terminal: Terminal, bot: Bot) -> None:
    bot.steps = asyncio.Semaphore(1)
    await terminal.open("-c", "deploy ok")
    going = await terminal.until("fetch 0.1 s, …")
    assert going.splitlines()[-1].strip() == "▸ Cancel: cancel #1"
    for _ in STEPS:
        bot.steps.release()
    shown = await terminal.until("ended with 0")
    assert shown.splitlines() == [
        "✓ #1 deploy v2 (0123456789) to shop staging — done",
        "  replaces v1 (abcdef0123)",
        "  ✓ web1  fetch 0.1 s, build 0.1 s, switch 0.1 s",
        "  by ben, took 0.3 s",
        "ended with 0",
    ]
    assert bot.cards["deployment:1"].final


async def test_text_from_outside_cannot_steer_the_terminal(terminal: Terminal, bot: Bot) -> None:
    await terminal.open()
    await terminal.until("deploybot>")
    mark = secrets.token_hex(4)
    await bot.say_tell(f"\x1b[2J\x1b]0;{mark}\x07[bold]{mark}[/bold]\x1b[31m\u202e end", bot_reply)
    shown = await terminal.until(f"[bold]{mark}[/bold] end")
    assert shown.startswith("deploybot 0.0-stub")
    assert mark not in await terminal.run("display-message", "-p", "#{pane_title}")


async def bot_reply(_: object) -> None:
    """Nobody waits."""
