"""One open connection to one server: its sessions, the commands in them, and the sockets forwarded through it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncssh

from deploybot.backoff import Backoff
from deploybot.errors import BadAnswer, ServerDown, Unreachable
from deploybot.metrics import METRICS
from deploybot.ssh import remote_shell, ssh_errors
from deploybot.ssh.remote_command import Broken, Exchange, Flooded, opened
from deploybot.ssh.runner_answers import RunnerAnswer, parse
from deploybot.ssh.session_limits import SessionLimits

LONGEST_ANSWER = 4_194_304
LONGEST_WORD = 262_144
"""Maximum bytes of an answer without a log, and of login shell output before an answer."""
_BUSY_PAUSES = Backoff(0.02, 0.5)
_BUSY = {2, 4}
"""RFC 4254, 5.1: connect failed, which sshd reports beyond MaxSessions, and resource shortage."""
_numbers = itertools.count(1)


class SshConnection:
    """An open connection. It is never reopened: the pool creates a new one."""

    def __init__(self, server: str, client: asyncssh.SSHClientConnection, sockets: Path) -> None:
        """Wrap a logged-in connection; `sockets` is the folder for forwarded sockets.

        `answered_at` is when a command last completed, or 0.0 before the first: a starting shell sometimes hangs.
        """
        self.server = server
        self.client = client
        self._refusal = "the runner is not installed there yet"
        self._sockets = sockets
        self.limits = SessionLimits()
        self._forwards: dict[str, Path] = {}
        self._forwarding = asyncio.Lock()
        self._preparing = asyncio.Lock()
        self._begun = False
        self.answered_at = 0.0

    @property
    def answered(self) -> bool:
        """Return whether a command has completed on this connection."""
        return self.answered_at > 0

    @property
    def closed(self) -> bool:
        """Return whether the connection is closed."""
        return self.client.is_closed()

    @property
    def crowded(self) -> bool:
        """Return whether all sessions for long commands are in use."""
        return self.limits.long.locked()

    async def begun(self) -> None:
        """Run a first command if there was none. Until then sshd keeps Nagle's algorithm on, so forwarding is slow."""
        if not self._begun:
            await self.refused()

    async def refused(self) -> str:
        """Install the runner once, checked by its SHA-256. Return why the server refused it, or empty."""
        async with self._preparing:
            if self._refusal:
                self._refusal = await self._prepare()
            return self._refusal

    def lost_runner(self, reason: str) -> None:
        """Note what the server printed instead of the runner's answer. The runner will be installed again."""
        self._refusal = reason

    async def _prepare(self) -> str:
        async with self.session(remote_shell.READ, remote_shell.runner().installer) as exchange:
            output = await exchange.rest(LONGEST_WORD)
            answer = parse(output)
            if answer is None:
                await exchange.status()
                return ssh_errors.no_answer(output, exchange.errors)
            return "" if answer.state == "ready" else answer.words

    @asynccontextmanager
    async def session(self, command: str, data: bytes = b"", *, more: bool = False) -> AsyncIterator[Exchange]:
        """Run a command with `data` as its stdin, which stays open with `more`. Close the session on exit.

        Waits until the server has a free session. Raises Unreachable if the connection breaks, BadAnswer if the output
        exceeds its limit.
        """
        # This counts as the first command, so no caller needs to run one.
        self._begun = True
        try:
            async with self.limits.every, self._exchange(command) as exchange:
                await exchange.write(data)
                if not more:
                    exchange.write_eof()
                yield exchange
                self.answered_at = time.time()
                METRICS.ssh_commands.add(self.server, "ok")
        except Broken as problem:
            METRICS.ssh_commands.add(self.server, "failed")
            hint = "Running jobs continue there; the next call reconnects."
            raise ServerDown(self.server, ssh_errors.BROKE, hint=hint, broke=True) from problem
        except Flooded as problem:
            METRICS.ssh_commands.add(self.server, "failed")
            raise BadAnswer(self.server, str(problem)) from problem

    @asynccontextmanager
    async def long_session(self, command: str, data: bytes = b"") -> AsyncIterator[Exchange]:
        """Run a long command, as in `session`. Some sessions always stay free for short commands."""
        async with self.limits.long, self.session(command, data, more=True) as exchange:
            yield exchange

    async def ask(self, verb: str, *words: str | int, data: bytes = b"") -> RunnerAnswer:
        """Run a short runner command. Raises Unreachable if no complete answer arrives."""
        reason = ""
        for _ in range(2):
            if reason := await self.refused():
                break
            async with self.session(remote_shell.runner().command(verb, *words), data) as exchange:
                output = await exchange.rest(LONGEST_ANSWER)
                answer = parse(output)
                if answer is not None:
                    return answer
                await exchange.status()
                reason = ssh_errors.no_answer(output, exchange.errors)
                self.lost_runner(reason)
        raise Unreachable(self.server, reason)

    async def forward(self, remote: str) -> Path:
        """Return a local socket that leads to a Unix socket on the server while this connection is open."""
        async with self._forwarding:
            # Cleaners of temporary folders delete sockets, too.
            if remote not in self._forwards or not self._forwards[remote].exists():
                local = self._sockets / f"{next(_numbers)}.sock"
                await self.client.forward_local_path(str(local), remote)
                self._forwards[remote] = local
            return self._forwards[remote]

    def gone(self) -> None:
        """Delete the files of forwarded sockets, which asyncssh closes but leaves in place."""
        for local in self._forwards.values():
            with contextlib.suppress(OSError):
                local.unlink()
        self._forwards.clear()

    @asynccontextmanager
    async def _exchange(self, command: str) -> AsyncIterator[Exchange]:
        async with AsyncExitStack() as stack:
            for pause in _BUSY_PAUSES:
                if (exchange := await self._try(stack, command)) is not None:
                    yield exchange
                    return
                await asyncio.sleep(pause)

    async def _try(self, stack: AsyncExitStack, command: str) -> Exchange | None:
        """Open a session. Return None if the server has none free now."""
        try:
            return await stack.enter_async_context(opened(self.client, command))
        except asyncssh.ChannelOpenError as problem:
            if self.closed:
                raise Broken from problem
            if problem.code not in _BUSY:
                raise Unreachable(
                    self.server, f"no command can be run: {ssh_errors.plain(problem.reason)}"
                ) from problem
            return None
        except (asyncssh.Error, OSError) as problem:
            raise Broken from problem
