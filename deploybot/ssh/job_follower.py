"""Follows a job from its start to its end over the one session that started it."""

from __future__ import annotations

import asyncio

from deploybot.errors import Unreachable
from deploybot.ssh import ssh_errors
from deploybot.ssh.remote_command import Exchange, Flooded
from deploybot.ssh.runner_answers import RunnerAnswer, has_started, parse
from deploybot.ssh.ssh_connection import LONGEST_ANSWER, LONGEST_WORD, SshConnection

AT_ONCE = 0.15
"""Seconds that are given to a job that may be a short one before it is told as running."""


class NoAnswer(Exception):
    """The shell there ended without an answer of the runner; the text is what it said instead."""


class JobFollower:
    """One call of `start` on its way. `answer` is None until the end was seen, for ever where the link broke."""

    def __init__(self, link: SshConnection, command: str, data: bytes) -> None:
        """Start at once."""
        self.answer: RunnerAnswer | None = None
        self._begun = asyncio.Event()
        self._task = asyncio.create_task(self._follow(link, command, data))
        self._task.add_done_callback(self._over)

    @property
    def done(self) -> bool:
        """Whether nothing more will come."""
        return self._task.done()

    async def begin(self) -> None:
        """Return when the job is taken and, if it was a short one, has ended. Raises Unreachable, NoAnswer."""
        try:
            await self._begun.wait()
            await self.wait(AT_ONCE)
        except asyncio.CancelledError:
            self.leave()
            raise
        if self._task.done():
            self._task.result()

    async def wait(self, timeout: float) -> bool:
        """Whether it is done, after at most `timeout` seconds."""
        await asyncio.wait({self._task}, timeout=timeout)
        return self._task.done()

    def leave(self) -> None:
        """Follow it no longer; the job goes on."""
        self._task.cancel()

    async def _follow(self, link: SshConnection, command: str, data: bytes) -> None:
        try:
            async with link.session(command, data) as exchange:
                output = await self._until_started(exchange)
                async with link.following() as granted, asyncio.timeout(None if granted else AT_ONCE):
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
                said = ssh_errors.plain_bytes(output)
                raise Flooded(f"it says more than {LONGEST_WORD:,} bytes before it begins: `{said}`")
        if has_started(output):
            self._begun.set()
        return bytes(output)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._begun.set()
        if not task.cancelled():
            task.exception()
