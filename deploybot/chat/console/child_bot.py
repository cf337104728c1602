"""A bot that a client starts where none runs: awaited until it listens, then stopped or left to itself.

The child gets two descriptors by number in its environment. It writes `ready` and a line end to
`DEPLOYBOT_READY_FD` when it listens. When `DEPLOYBOT_LIFE_FD` ends, its client has left, however that died: an
ordinary bot then stops, as on SIGTERM. A temporary one (`run --temporary`) writes a `Parting` to the first, and goes on
until what was begun has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import threading
from collections.abc import Sequence

from deploybot.chat.console.client_exit import Parting, read_parting
from deploybot.errors import UserError

READY_FD = "DEPLOYBOT_READY_FD"
LIFE_FD = "DEPLOYBOT_LIFE_FD"
_READY_WITHIN = 30.0
_STOP_WITHIN = 15.0
_KEPT_BYTES = 4000


class OwnBot:
    """A process that runs the bot, in a session of its own: no signal of the terminal reaches it.

    `command` is its argument vector.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._output = b""
        self._tasks: list[asyncio.Task[None]] = []
        self._transports: list[asyncio.ReadTransport] = []
        self._ready = asyncio.StreamReader()
        self._life = -1
        self._over = asyncio.Event()

    async def start(self) -> None:
        """Start it and wait until it listens; UserError with its last words where it does not."""
        ready, ready_child = os.pipe()
        life_child, self._life = os.pipe()
        try:
            self._process = self._spawned(ready_child, life_child)
        finally:
            os.close(ready_child)
            os.close(life_child)
        watch = threading.Thread(target=self._watch, args=(self._process, asyncio.get_running_loop()), daemon=True)
        watch.start()
        self._ready = await self._reader(ready)
        assert self._process.stdout is not None  # noqa: S101  it was asked for
        output = await self._reader(os.dup(self._process.stdout.fileno()))
        self._process.stdout.close()
        self._tasks.append(asyncio.create_task(self._keep(output)))
        if await self._line(_READY_WITHIN) != b"ready\n":
            await self.stop()
            words = self.last_words or "It printed nothing."
            raise UserError(f"No bot runs, and one could not be started:\n{words}", hint="Try: deploybot run")

    async def stop(self) -> None:
        """Stop it as SIGTERM would: what runs on servers goes on there, and the next bot takes it up."""
        if self._process is None:
            return
        self._let_go()
        if not await self.gone(_STOP_WITHIN):
            self._process.kill()
            await self.gone(_STOP_WITHIN)
        await self._close()

    async def leave(self) -> Parting | None:
        """Leave a temporary bot to itself, and wait for its end where it does not stay; what it says, if anything."""
        if self._process is None:
            return None
        self._let_go()
        parting = read_parting(await self._line(_STOP_WITHIN))
        if parting is None or not parting.stays:
            await self.gone(_STOP_WITHIN)
        await self._close()
        return parting

    async def gone(self, within: float) -> bool:
        """Wait for its end, but not longer than so many seconds; whether it has ended."""
        try:
            async with asyncio.timeout(within):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    @property
    def last_words(self) -> str:
        """The end of what it has printed so far."""
        return self._output.decode("utf-8", "replace").strip()

    def _spawned(self, ready: int, life: int) -> subprocess.Popen[bytes]:
        """The process. Not asyncio's: that kills a child which outlives its parent's loop."""
        return subprocess.Popen(  # noqa: S603  the bot itself
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, READY_FD: str(ready), LIFE_FD: str(life)},
            pass_fds=(ready, life),
            start_new_session=True,
        )

    async def _reader(self, descriptor: int) -> asyncio.StreamReader:
        """A pipe, to be read."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
        )
        self._transports.append(transport)
        return reader

    async def _line(self, within: float) -> bytes:
        """The next line that it says to its client; empty when it has ended, or says nothing in time."""
        try:
            async with asyncio.timeout(within):
                return await self._ready.readline()
        except (TimeoutError, ValueError):
            return b""

    def _watch(self, process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop) -> None:
        """Notice its end, in a thread of its own that no client waits for."""
        process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: the client has left before
            loop.call_soon_threadsafe(self._over.set)

    def _let_go(self) -> None:
        """Let it notice that its client leaves."""
        if self._life >= 0:
            os.close(self._life)
        self._life = -1

    async def _close(self) -> None:
        """Take what it still prints, for a moment, and close what it was read by."""
        if self._over.is_set() and self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        for task in self._tasks:
            task.cancel()
        for transport in self._transports:
            transport.close()
        self._process = None

    async def _keep(self, output: asyncio.StreamReader) -> None:
        """Keep the last of what it prints, so that it never waits for a reader."""
        while chunk := await output.read(65_536):
            self._output = (self._output + chunk)[-_KEPT_BYTES:]
