"""Follow a job from start to end over the session that started it."""

from __future__ import annotations

import asyncio

from deploybot.errors import Unreachable
from deploybot.ssh import ssh_errors
from deploybot.ssh.remote_command import Exchange, Flooded
from deploybot.ssh.runner_answers import RunnerAnswer, has_started, parse
from deploybot.ssh.ssh_connection import LONGEST_ANSWER, LONGEST_WORD, SshConnection

AT_ONCE = 0.15
"""Seconds to wait for a short job to end before it is reported as running."""


class NoAnswer(Exception):
    """The remote shell ended without an answer from the runner; the text is what it printed instead."""


class JobFollower:
    """One running `start` call. `answer` is None until the job ends, and stays None if the connection breaks."""

    def __init__(self, connection: SshConnection, command: str, data: bytes) -> None:
        """Start following at once."""
        self.answer: RunnerAnswer | None = None
        self._begun = asyncio.Event()
        self._task = asyncio.create_task(self._follow(connection, command, data))
        self._task.add_done_callback(self._over)

    @property
    def done(self) -> bool:
        """Return whether nothing more will arrive."""
        return self._task.done()

    async def begin(self) -> None:
        """Wait until the server took the job, then `AT_ONCE` seconds for its end. Raises Unreachable, NoAnswer."""
        try:
            await self._begun.wait()
            await self.wait(AT_ONCE)
        except asyncio.CancelledError:
            self.leave()
            raise
        if self._task.done():
            self._task.result()

    async def wait(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds. Return whether it is done."""
        await asyncio.wait({self._task}, timeout=timeout)
        return self._task.done()

    def leave(self) -> None:
        """Stop following the job. It keeps running."""
        self._task.cancel()

    async def _follow(self, connection: SshConnection, command: str, data: bytes) -> None:
        try:
            async with connection.session(command, data) as exchange:
                output = await self._until_started(exchange)
                async with connection.limits.following() as granted, asyncio.timeout(None if granted else AT_ONCE):
                    output += await exchange.rest(LONGEST_ANSWER)
                self.answer = parse(output)
                if self.answer is None and not has_started(output):
                    await exchange.status()
                    raise NoAnswer(ssh_errors.no_answer(output, exchange.errors))
        except (Unreachable, TimeoutError):
            if not self._begun.is_set():
                raise

    async def _until_started(self, exchange: Exchange) -> bytes:
        output = bytearray()
        while not has_started(output) and (data := await exchange.read()):
            output += data
            if len(output) > LONGEST_WORD and not has_started(output):
                text = ssh_errors.plain_bytes(output)
                raise Flooded(f"it printed more than {LONGEST_WORD:,} bytes before the job started: `{text}`")
        if has_started(output):
            self._begun.set()
        return bytes(output)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._begun.set()
        if not task.cancelled():
            task.exception()
