"""`deploybot ping`, against a real console socket."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploybot.cli import main
from tests.chat.stub import Bot

BOT = """
[bot]
data = "data"
[servers.web1]
ssh = "deploy@203.0.113.10"
password = { env = "NOT_SET_IN_THIS_SHELL" }
[apps.shop]
repo = "git@example.com:acme/shop.git"
strategy = "files"
directory = "/srv/shop"
environments.production.servers = ["web1"]
"""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot.toml whose secrets this shell does not have, as in a health check."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEPLOYBOT_CONFIG", raising=False)
    Path("bot.toml").write_text(BOT)
    Path("data").mkdir(mode=0o700)


@contextmanager
def _running(path: Path) -> Iterator[None]:
    """A console that listens, in a loop of its own: the command has one, too."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def do(work: object) -> None:
        assert asyncio.iscoroutine(work)
        asyncio.run_coroutine_threadsafe(work, loop).result(10)

    bot = Bot(path)
    try:
        do(bot.console.start())
        yield
        do(bot.console.close())
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def test_a_bot_that_runs_answers() -> None:
    with _running(Path("data/console.sock").absolute()):
        result = CliRunner().invoke(main, ["ping"])
    assert (result.exit_code, result.output) == (0, "deploybot 0.0-stub answers.\n")


def test_no_bot_is_1_and_none_is_started(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["ping"])
    assert result.exit_code == 1
    assert result.output == f"No bot listens on {tmp_path}/data/console.sock.\nStart one: deploybot run\n"
    assert not [*Path("data").iterdir()]


def test_something_else_at_the_socket_is_1() -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind("data/console.sock")
        other.listen()

        def hang_up() -> None:
            other.accept()[0].close()

        stranger = threading.Thread(target=hang_up)
        stranger.start()
        result = CliRunner().invoke(main, ["ping"])
        stranger.join(10)
    assert result.exit_code == 1
    assert result.output.splitlines()[0] in {
        "The connection to the bot was lost.",
        "The bot sent an unexpected answer.",
        "The bot is stopping.",
    }
