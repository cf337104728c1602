"""One open connection to one server: its sessions, what runs over them, and the sockets forwarded through it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncssh

from deploybot.errors import BadAnswer, Unreachable
from deploybot.metrics import METRICS
from deploybot.ports import LONG_SESSIONS
from deploybot.ssh import remote_shell, ssh_errors
from deploybot.ssh.remote_command import Broken, Exchange, Flooded, opened
from deploybot.ssh.runner_answers import RunnerAnswer, parse

SESSIONS = 8
"""How many a connection has at once: sshd allows 10 (MaxSessions), and counts one until its process is gone."""
FOLLOWERS = 2
"""How many of them may stay to hear of a job's end, after they have started it."""
LONGEST_ANSWER = 4_194_304
LONGEST_WORD = 262_144
"""Bytes of an answer that holds no log, and of what a login shell may say before any."""
_PAUSE = 0.02
_LONGEST_PAUSE = 0.5
_BUSY = {2, 4}
"""RFC 4254, 5.1: connect failed, as sshd says beyond MaxSessions, and resource shortage."""
_numbers = itertools.count(1)


class SshConnection:
    """An open connection. It never comes back: the pool makes a new one."""

    def __init__(self, server: str, connection: asyncssh.SSHClientConnection, sockets: Path) -> None:
        """Take a connection that is logged in, and the folder where forwarded sockets may lie.

        `heard_at` is when a command came to its end last, 0.0 before: a shell that starts hangs now and then.
        """
        self.server = server
        self.connection = connection
        self._refusal = "the runner was not put there yet"
        self._sockets = sockets
        self._sessions = asyncio.Semaphore(SESSIONS)
        self._following = asyncio.Semaphore(FOLLOWERS)
        self._long = asyncio.Semaphore(LONG_SESSIONS)
        self._forwards: dict[str, Path] = {}
        self._forwarding = asyncio.Lock()
        self._preparing = asyncio.Lock()
        self._begun = False
        self.heard_at = 0.0

    @property
    def heard(self) -> bool:
        """Whether a command has come to its end yet."""
        return self.heard_at > 0

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent over it any more."""
        return self.connection.is_closed()

    @property
    def crowded(self) -> bool:
        """Whether as many sessions as may be are in use for long."""
        return self._long.locked()

    async def begun(self) -> None:
        """Run a command if none has been yet: until then sshd leaves Nagle's algorithm on, and forwarding is slow."""
        if not self._begun:
            await self.refused()

    async def refused(self) -> str:
        """Put the runner there, checked by its SHA-256, unless that is done; why the server refuses, or empty."""
        async with self._preparing:
            if self._refusal:
                self._refusal = await self._prepare()
            return self._refusal

    def lost_runner(self, said: str) -> None:
        """Note that the runner did not answer, and what the server said instead: it will be put there again."""
        self._refusal = said

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
        """Run a command with `data` as its stdin, which stays open with `more`; it is left when the block is.

        Waits while the server has no session to spare. Raises Unreachable when the link breaks, BadAnswer when more
        comes than may.
        """
        # From here on nobody need run a first command of their own: this one is on its way.
        self._begun = True
        try:
            async with self._sessions, self._exchange(command) as exchange:
                await exchange.write(data)
                if not more:
                    exchange.write_eof()
                yield exchange
                self.heard_at = time.time()
                METRICS.ssh_commands.add(self.server, "ok")
        except Broken as problem:
            METRICS.ssh_commands.add(self.server, "failed")
            hint = "What runs there goes on; the next call connects again."
            raise Unreachable(self.server, ssh_errors.BROKE, hint=hint) from problem
        except Flooded as problem:
            METRICS.ssh_commands.add(self.server, "failed")
            raise BadAnswer(self.server, str(problem)) from problem

    @asynccontextmanager
    async def long_session(self, command: str, data: bytes = b"") -> AsyncIterator[Exchange]:
        """The same for a command that takes its time; some sessions are always left for the short ones."""
        async with self._long, self.session(command, data, more=True) as exchange:
            yield exchange

    @asynccontextmanager
    async def following(self) -> AsyncIterator[bool]:
        """Whether the session that the caller has may stay to hear of a job's end, while the block runs."""
        if self._following.locked():
            yield False
        else:
            async with self._following:
                yield True

    async def ask(self, verb: str, *words: str | int, data: bytes = b"") -> RunnerAnswer:
        """Let the runner do a short thing. Raises Unreachable when no whole answer comes."""
        said = ""
        for _ in range(2):
            if said := await self.refused():
                break
            async with self.session(remote_shell.runner().command(verb, *words), data) as exchange:
                output = await exchange.rest(LONGEST_ANSWER)
                answer = parse(output)
                if answer is not None:
                    return answer
                await exchange.status()
                said = ssh_errors.no_answer(output, exchange.errors)
                self.lost_runner(said)
        raise Unreachable(self.server, said)

    async def forward(self, remote: str) -> Path:
        """A local socket that leads to a Unix socket on the server, for as long as this connection lives."""
        async with self._forwarding:
            # What clears up temporary folders takes sockets, too.
            if remote not in self._forwards or not self._forwards[remote].exists():
                local = self._sockets / f"{next(_numbers)}.sock"
                await self.connection.forward_local_path(str(local), remote)
                self._forwards[remote] = local
            return self._forwards[remote]

    def gone(self) -> None:
        """Remove what the connection leaves behind: asyncssh closes forwarded sockets and keeps their files."""
        for local in self._forwards.values():
            with contextlib.suppress(OSError):
                local.unlink()
        self._forwards.clear()

    @asynccontextmanager
    async def _exchange(self, command: str) -> AsyncIterator[Exchange]:
        async with AsyncExitStack() as stack:
            pause = _PAUSE
            while (exchange := await self._try(stack, command)) is None:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            yield exchange

    async def _try(self, stack: AsyncExitStack, command: str) -> Exchange | None:
        """Open a session; None where the server has none to spare right now."""
        try:
            return await stack.enter_async_context(opened(self.connection, command))
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
