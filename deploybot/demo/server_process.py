"""Run the demo's SSH servers as processes that end with everything that they started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator

from deploybot.demo.demo_server import DemoMachine
from deploybot.demo.stray_processes import end_strays
from deploybot.errors import UserError

_READY_WITHIN = 30.0
_END_WITHIN = 10.0
_SERVER = "import sys; from deploybot.demo.demo_server import main; main(*sys.argv[1:])"


@contextlib.asynccontextmanager
async def running_server(machine: DemoMachine) -> AsyncIterator[int]:
    """Run the SSH server as a process in its own session. Yield its port. Everything that it started ends with it."""
    machine.home.mkdir(parents=True)
    with machine.log.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _SERVER, str(machine.folder), machine.name, machine.address),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield await _port(process, machine)
    finally:
        await _end(process)
        await asyncio.to_thread(end_strays, machine.mark)


async def _port(process: asyncio.subprocess.Process, machine: DemoMachine) -> int:
    """Return the port that the server prints when it is ready."""
    assert process.stdout is not None  # noqa: S101  a pipe was requested
    try:
        async with asyncio.timeout(_READY_WITHIN):
            word, _, port = (await process.stdout.readline()).partition(b" ")
    except TimeoutError:
        word, port = b"", b""
    if word != b"ready":
        words = machine.log.read_text(errors="replace").strip() or "It printed nothing."
        raise UserError(f"The demo's SSH server did not start:\n{words}")
    return int(port)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close the process's stdin, which ends it. Kill it if that does not work."""
    assert process.stdin is not None  # noqa: S101  a pipe was requested
    process.stdin.close()
    try:
        async with asyncio.timeout(_END_WITHIN):
            await process.wait()
    except TimeoutError:
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
