"""The command line of the demo: at a terminal it ends at the prompt, elsewhere it plays a session automatically."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from subprocess import CalledProcessError
from types import FrameType
from typing import TextIO

import click

from deploybot.demo.demo_session import play
from deploybot.demo.demo_setup import folder_of, lacks, town
from deploybot.demo.demo_terminal import visit
from deploybot.demo.demo_transcript import DemoTranscript
from deploybot.errors import DeploybotError
from deploybot.units import show_duration

RIGHT, WRONG, STOPPED = 0, 1, 130
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@click.command("demo", context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--dir", "folder", type=click.Path(path_type=Path), help="Use this new folder.")
@click.option("--keep", is_flag=True, help="Keep the folder at the end.")
@click.option("--play", "scripted", is_flag=True, help="Play the session, even at a terminal.")
def _demo(folder: Path | None, *, keep: bool, scripted: bool) -> int:
    """Try the bot with a server, a repository and users that it sets up for you.

    Everything is real, is in one folder, and is deleted at the end. At a terminal, you get the prompt and some
    commands to try. Elsewhere, a session is played, and each outcome is checked with the app itself. The exit code
    is 0 if all were right, and 1 if not.
    """
    if lack := lacks():
        raise click.ClickException(lack)
    alone = scripted or not (sys.stdin.isatty() and sys.stdout.isatty())
    with _held_back(), folder_of(folder, keep=keep) as where:
        code = _until_stopped(_played(where, sys.stdout) if alone else _visited(where))
    click.echo(f"Everything is stopped. The files are in {where}." if keep else "Everything is deleted.")
    return code


def main(arguments: Sequence[str]) -> int:
    """Run the demo and return the exit code. Setup errors are printed to stderr."""
    try:
        code: int = _demo.main(list(arguments), prog_name="deploybot demo", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except DeploybotError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG
    except CalledProcessError as error:
        sys.stderr.write(f"git does not do what it should: {error.stderr.decode(errors='replace')}\n")
        return WRONG
    return code


@contextlib.contextmanager
def _held_back() -> Iterator[None]:
    """Block signals while the folder is made or deleted. Ignore them afterwards, because the process is about to end.

    A closed terminal sends more than one signal, and so does a person whose Ctrl-C is not answered at once.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        for number in _ENDING:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


def _until_stopped(work: Coroutine[None, None, int]) -> int:
    """Run the work to its end. Ctrl-C, TERM and a closed terminal end it early, with everything cleaned up."""

    async def doing() -> int:
        task = asyncio.create_task(work)
        with _ended_by(task):
            try:
                return await task
            except asyncio.CancelledError:
                return STOPPED

    return asyncio.run(doing())


@contextlib.contextmanager
def _ended_by(task: asyncio.Task[int]) -> Iterator[None]:
    """Unblock the signals and let the first one cancel the task. A later one does not interrupt the clean-up.

    These are not handlers of the loop: when a loop closes, it gives its signals their defaults back, and then a signal
    that arrives in a thread of the loop which has not ended yet ends the process before its folder is deleted.
    """
    loop = asyncio.get_running_loop()

    def end() -> None:
        if not task.cancelling():
            task.cancel()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if not task.done():
            loop.call_soon_threadsafe(end)

    for number in _ENDING:
        signal.signal(number, on_signal)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


async def _played(folder: Path, out: TextIO) -> int:
    """Run the session without a person. Return the exit code."""
    began = time.monotonic()
    async with town(folder) as made:
        stage = DemoTranscript(made, out)
        stage.explain(
            "deploybot demo: a web shop in a git repository with the releases v1 to v4, and a server",
            f"reached by SSH, all in {folder}",
        )
        try:
            await play(stage)
        except DeploybotError as error:
            stage.wrong.append(str(error))
    took = show_duration(time.monotonic() - began)
    stage.title("The end")
    if stage.wrong:
        stage.explain(
            f"{len(stage.wrong)} of {stage.right + len(stage.wrong)} outcomes were wrong, in {took}:", *stage.wrong
        )
        for bot in stage.bots:
            stage.explain("The last words of a bot that ran:", *bot.last_words.splitlines())
        return WRONG
    stage.explain(f"All {stage.right} outcomes were right, in {took}.")
    return RIGHT


async def _visited(folder: Path) -> int:
    """Run the session of a person at a terminal. Return the exit code."""
    click.echo("Setting up a server, a repository and two users …")
    async with town(folder) as made:
        return await visit(made)
