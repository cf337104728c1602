"""A bot of the client's own, where none runs: started, awaited, and stopped with the client.

The child gets two descriptors by number in its environment. It writes `ready` and a line end to
`DEPLOYBOT_READY_FD` when it listens, and closes it. It stops, as on SIGTERM, when `DEPLOYBOT_LIFE_FD`
ends: so it goes with its client, however that dies.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

from deploybot.errors import UserError

READY_FD = "DEPLOYBOT_READY_FD"
LIFE_FD = "DEPLOYBOT_LIFE_FD"
_READY_WITHIN = 30.0
_STOP_WITHIN = 15.0
_KEPT_BYTES = 4000


class OwnBot:
    """A child process that runs the bot. `command` is its argument vector."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._output = b""
        self._drain: asyncio.Task[None] | None = None
        self._life = -1

    async def start(self) -> None:
        """Start it and wait until it listens; UserError with its last words where it does not."""
        ready, ready_child = os.pipe()
        life_child, self._life = os.pipe()
        environment = {**os.environ, READY_FD: str(ready_child), LIFE_FD: str(life_child)}
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
                env=environment,
                pass_fds=(ready_child, life_child),
                start_new_session=True,
            )
        finally:
            os.close(ready_child)
            os.close(life_child)
        self._drain = asyncio.create_task(self._read_output(self._process))
        if not await _said_ready(ready):
            await self.stop()
            words = self.last_words or "It said nothing."
            raise UserError(f"No bot runs, and one could not be started:\n{words}", hint="Try: deploybot run")

    async def stop(self) -> None:
        """Stop it as SIGTERM would: what runs on servers goes on there, and the next bot takes it up."""
        if self._process is None:
            return
        # Not by a signal: Popen looks first whether it has ended, which takes its exit code from asyncio.
        os.close(self._life)
        try:
            async with asyncio.timeout(_STOP_WITHIN):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        if self._drain is not None:
            await asyncio.wait((self._drain,), timeout=1.0)
            self._drain.cancel()
        self._process = None

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    @property
    def last_words(self) -> str:
        """The end of what it has printed so far."""
        return self._output.decode("utf-8", "replace").strip()

    async def _read_output(self, process: asyncio.subprocess.Process) -> None:
        """Keep the last of what it prints, so that it never waits for a reader."""
        assert process.stdout is not None  # noqa: S101  it was asked for above
        while chunk := await process.stdout.read(65_536):
            self._output = (self._output + chunk)[-_KEPT_BYTES:]


async def _said_ready(descriptor: int) -> bool:
    """Whether the other end of a pipe says that it is ready, before it closes and in time."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        async with asyncio.timeout(_READY_WITHIN):
            return (await reader.readline()).strip() == b"ready"
    except TimeoutError:
        return False
    finally:
        transport.close()
