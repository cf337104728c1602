"""The demo at a terminal: something that is already deployed, something to try, and the prompt."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import click

from deploybot.demo.demo_setup import DemoSetup
from deploybot.errors import UserError

_SET_UP_WITHIN = 60.0
_LEAVE_WITHIN = 20.0

_TRY = """
v1 of the shop runs in staging ({staging}) and production ({production}). Try:

  deploy shop@v2 to production      shows what it changes, and checks its health
  deploy shop@v3 to production      a broken release: it is rolled back
  rollback shop from production     or history shop, logs shop follow, status, help
  deploy shop@v4 to production      takes some seconds. Kill the bot meanwhile, in another terminal:
                                      kill -9 $(cat {lock})
You are ana, the administrator. In another terminal you can be ben, who may only view:
  {chat} --as ben
exit ends the demo and deletes everything.
"""


async def visit(town: DemoSetup) -> int:
    """Add the people, deploy v1, print some commands to try, and leave the person at the prompt."""
    await _run(town, "allow", "ana", "admin")
    await _run(town, "allow", "ben", "viewer", "--identity", f"console:{os.getuid()}/ben")
    await _run(town, "chat", lines="deploy shop@v1 to staging\ndeploy shop@v1 to production\n")
    click.echo(
        _TRY.format(
            staging=town.url("staging"),
            production=town.url("production"),
            lock=town.folder / "data" / "deploybot.lock",
            chat=f"{_deploybot()} --config {town.config} chat",
        )
    )
    return await _prompt(town)


def _deploybot() -> str:
    """Return the command that calls this program from another terminal."""
    beside = shutil.which("deploybot", path=str(Path(sys.executable).parent))
    return beside or f"{sys.executable} -m deploybot"


async def _run(town: DemoSetup, *words: str, lines: str = "") -> None:
    """Run a subcommand with these lines as stdin. Raises UserError with its output if it fails."""
    process = await asyncio.create_subprocess_exec(
        *town.command(*words), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(_SET_UP_WITHIN):
            output, _ = await process.communicate(lines.encode())
    except TimeoutError:
        raise UserError(f"`deploybot {words[0]}` did not end within {_SET_UP_WITHIN:.0f} s.") from None
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        raise UserError(f"`deploybot {words[0]}` failed:\n{output.decode(errors='replace')}")


async def _prompt(town: DemoSetup) -> int:
    """Run `deploybot chat` at this terminal, with its own bot, which it restarts if the bot dies."""
    # Ctrl-C is for the prompt, which belongs to the same process group. Not a handler of the loop: see `_ended_by`.
    signal.signal(signal.SIGINT, lambda *_: None)
    process = await asyncio.create_subprocess_exec(
        *town.command("chat"), env=os.environ | {"XDG_STATE_HOME": str(town.folder / "state")}
    )
    try:
        return await process.wait()
    finally:
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(_LEAVE_WITHIN):
                await process.wait()
