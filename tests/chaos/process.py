"""A bot as a process of its own: started, watched call by call, killed. See `Bot`."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from deploybot.chat.console.child_bot import READY_FD
from tests.chaos.points import Failpoint

READY_WITHIN = 30.0
STOP_WITHIN = 10.0
_TAIL = 3000


@dataclass(frozen=True, slots=True)
class Call:
    """A moment of a call that the bot told of; `at` in monotonic seconds."""

    at: float
    name: str
    moment: str
    words: str

    @property
    def remote(self) -> bool:
        """Whether it went to a server."""
        return self.name.startswith("host.")


@dataclass(slots=True)
class Life:
    """One life of the bot: since when, what it did so far, and how it ended (`code` is None while it lives)."""

    since: float
    calls: list[Call] = field(default_factory=list)
    open: int = 0
    ready: bool = False
    code: int | None = None

    def add(self, call: Call) -> None:
        """Take note of a call's moment."""
        self.calls.append(call)
        self.open += {"before": 1, "within": 0}.get(call.moment, -1)

    def comes_to(self, point: Failpoint, since: float) -> bool:
        """Whether it has come to a failpoint, counted from a time on."""
        times = (call for call in reversed(self.calls) if (call.name, call.moment) == (point.name, point.moment))
        return sum(call.at > since for call in times) >= point.count


class Bot:
    """Starts bots, one at a time. `died` is told of every end."""

    def __init__(self, config: Path, log: Path) -> None:
        """Take bot.toml, and where what the bots print is added."""
        self._config = config
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._moved = asyncio.Event()
        self.life = Life(0.0, code=0)

    @property
    def alive(self) -> bool:
        """Whether it lives, as far as is known."""
        return self.life.code is None

    async def start(self, doom: Failpoint | None = None) -> bool:
        """Start one, and wait until it is ready; False where it died before. `doom` may already be on the way."""
        ours, theirs = socket.socketpair()
        ready, ready_child = os.pipe()
        self.life = Life(time.monotonic())
        with theirs, self._log.open("ab") as log:
            ours.sendall(_order(doom))
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.chaos.bot", str(self._config), str(theirs.fileno())),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, READY_FD: str(ready_child)},
                pass_fds=(theirs.fileno(), ready_child),
                start_new_session=True,
            )
        os.close(ready_child)
        reader, self._writer = await asyncio.open_unix_connection(sock=ours)
        self._reading = asyncio.create_task(self._read(reader, self._process, self.life))
        self.life.ready = await _is_ready(ready)
        self._moved.set()
        return self.life.ready

    async def back(self, *, within: float) -> bool:
        """Wait until one is ready; False where none was in time."""
        return await self.until(lambda life: life.ready and life.code is None, within=within)

    def arm(self, doom: Failpoint | None) -> None:
        """Set the failpoint at which it dies, or take it away."""
        if self._writer is not None and self.alive:
            self._writer.write(_order(doom))

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """Send it a signal."""
        if self._process is not None and self.alive:
            with suppress(ProcessLookupError):
                self._process.send_signal(how)

    async def ended(self) -> int:
        """Wait for its end; its exit code, negative for a signal."""
        await self.until(lambda life: life.code is not None, within=3600)
        return self.life.code or 0

    async def stop(self) -> float:
        """Stop it as a service manager does; how many seconds that took."""
        began = time.monotonic()
        self.kill(signal.SIGTERM)
        if not await self.until(lambda life: life.code is not None, within=STOP_WITHIN + 5):
            self.kill()
            await self.ended()
        return time.monotonic() - began

    async def until(self, condition: Callable[[Life], bool], *, within: float) -> bool:
        """Wait for something that calls or an end tell of; False after `within` seconds."""
        try:
            async with asyncio.timeout(within):
                while not condition(self.life):
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    def look_again(self) -> None:
        """Have those who wait in `until` ask their conditions anew."""
        self._moved.set()

    async def quiet(self, *, for_seconds: float) -> bool:
        """Wait until it has done nothing for a while, and no call is open; False where it died."""
        while self.alive:
            self._moved.clear()
            if not await _happens(self._moved, for_seconds) and self.life.open == 0:
                return True
        return False

    def last_words(self) -> str:
        """The end of what the bots printed."""
        return self._log.read_bytes()[-_TAIL:].decode("utf-8", "replace") if self._log.exists() else ""

    async def _read(self, reader: asyncio.StreamReader, process: asyncio.subprocess.Process, life: Life) -> None:
        with suppress(ConnectionError):
            while line := await reader.readline():
                at, name, moment, words = line.decode().rstrip("\n").split(" ", 3)
                life.add(Call(float(at), name, moment, words))
                self._moved.set()
        life.code = await process.wait()
        self._moved.set()
        if self._writer is not None:
            self._writer.close()


def _order(doom: Failpoint | None) -> bytes:
    return f"kill {doom.name} {doom.moment} {doom.count}\n".encode() if doom else b"spare\n"


async def _happens(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def _is_ready(descriptor: int) -> bool:
    """Whether the other end of a pipe says `ready` before it closes, and in time."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    try:
        async with asyncio.timeout(READY_WITHIN):
            return (await reader.readline()).strip() == b"ready"
    except TimeoutError:
        return False
    finally:
        transport.close()
