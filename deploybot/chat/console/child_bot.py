"""Start a bot for a client if none runs, wait until it listens, and stop or leave it at the end.

The child gets the numbers of two file descriptors in its environment. It writes `ready` and a newline to
`DEPLOYBOT_READY_FD` when it listens. `DEPLOYBOT_LIFE_FD` is closed when the client exits, even by a crash. An ordinary
bot then stops, as on SIGTERM. A temporary one (`run --temporary`) writes a `Parting` to the first descriptor, and runs
until everything that was started has ended.
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
    """A bot process in a separate session, so that no signal of the terminal reaches it.

    `command` is its argument vector. `pid` is its process id, also after its end.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self.pid = 0
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._output = b""
        self._tasks: list[asyncio.Task[None]] = []
        self._transports: list[asyncio.ReadTransport] = []
        self._ready = asyncio.StreamReader()
        self._life = -1
        self._over = asyncio.Event()

    async def start(self) -> None:
        """Start the bot and wait until it listens. Raises UserError with its last output if it does not."""
        ready, ready_child = os.pipe()
        life_child, self._life = os.pipe()
        try:
            self._process = self._spawned(ready_child, life_child)
            self.pid = self._process.pid
        finally:
            os.close(ready_child)
            os.close(life_child)
        watch = threading.Thread(target=self._watch, args=(self._process, asyncio.get_running_loop()), daemon=True)
        watch.start()
        self._ready = await self._reader(ready)
        assert self._process.stdout is not None  # noqa: S101  stdout is a pipe, see `_spawned`
        output = await self._reader(os.dup(self._process.stdout.fileno()))
        self._process.stdout.close()
        self._tasks.append(asyncio.create_task(self._keep(output)))
        if await self._line(_READY_WITHIN) != b"ready\n":
            await self.stop()
            words = self.last_words or "It printed nothing."
            raise UserError(f"No bot is running, and one could not be started:\n{words}", hint="Try: deploybot run")

    async def stop(self) -> None:
        """Stop the bot as SIGTERM would. Jobs on servers continue, and the next bot resumes them."""
        if self._process is None:
            return
        self._let_go()
        if not await self.gone(_STOP_WITHIN):
            self._process.kill()
            await self.gone(_STOP_WITHIN)
        await self._close()

    async def leave(self) -> Parting | None:
        """Leave a temporary bot. Wait for its end unless it stays. Return its last message, if any."""
        if self._process is None:
            return None
        self._let_go()
        parting = read_parting(await self._line(_STOP_WITHIN))
        if parting is None or not parting.stays:
            await self.gone(_STOP_WITHIN)
        await self._close()
        return parting

    async def gone(self, within: float) -> bool:
        """Wait at most `within` seconds for the bot's end. Return whether it has ended."""
        try:
            async with asyncio.timeout(within):
                await self._over.wait()
        except TimeoutError:
            return False
        return True

    @property
    def last_words(self) -> str:
        """Return the end of the bot's output so far."""
        return self._output.decode("utf-8", "replace").strip()

    def _spawned(self, ready: int, life: int) -> subprocess.Popen[bytes]:
        """Start the process. It is not asyncio's, which kills a child that outlives its parent's loop."""
        return subprocess.Popen(  # noqa: S603  this runs the bot itself
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, READY_FD: str(ready), LIFE_FD: str(life)},
            pass_fds=(ready, life),
            start_new_session=True,
        )

    async def _reader(self, descriptor: int) -> asyncio.StreamReader:
        """Return a reader for a pipe."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
        )
        self._transports.append(transport)
        return reader

    async def _line(self, within: float) -> bytes:
        """Read the next line that the bot sends its client. Return b"" if it has ended or sends nothing in time."""
        try:
            async with asyncio.timeout(within):
                return await self._ready.readline()
        except (TimeoutError, ValueError):
            return b""

    def _watch(self, process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop) -> None:
        """Wait for the bot's end, in a thread that no client waits for."""
        process.wait()
        with contextlib.suppress(RuntimeError):  # the loop is closed: the client exited first
            loop.call_soon_threadsafe(self._over.set)

    def _let_go(self) -> None:
        """Close the descriptor, so that the bot notices that its client has left."""
        if self._life >= 0:
            os.close(self._life)
        self._life = -1

    async def _close(self) -> None:
        """Read the rest of the output for a second at most, then close the pipes."""
        if self._over.is_set() and self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)
        for task in self._tasks:
            task.cancel()
        for transport in self._transports:
            transport.close()
        self._process = None

    async def _keep(self, output: asyncio.StreamReader) -> None:
        """Keep the end of the output. Read on, so that the bot never blocks on a full pipe."""
        while chunk := await output.read(65_536):
            self._output = (self._output + chunk)[-_KEPT_BYTES:]
