"""The demo's SSH server, a process of its own.

It lets one user in by one key, runs what it is asked to by `/bin/sh -c` in a home of its own, takes files by SFTP,
and forwards TCP to this machine alone. It says `ready PORT` on stdout, and ends, with all that it has started, when
its stdin does: so it outlives the bot, and nothing outlives the demo.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from deploybot.demo.stray_processes import MARK, end_strays

USER = "deploy"
_END_WITHIN = 2.0
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Keys:
    """Where the keys of the server are: its own, and the one that opens it."""

    folder: Path

    @property
    def host(self) -> Path:
        """The server's private key."""
        return self.folder / "host_key"

    @property
    def client(self) -> Path:
        """The private key that it lets in."""
        return self.folder / "client_key"

    def make(self) -> str:
        """Make both; the server's public key as bot.toml wants it."""
        self.folder.mkdir(mode=0o700)
        made = {path: asyncssh.generate_private_key("ssh-ed25519") for path in (self.host, self.client)}
        for path, key in made.items():
            path.touch(mode=0o600)
            key.write_private_key(str(path))
        return made[self.host].export_public_key().decode().strip()


class DemoDoor(asyncssh.SSHServer):
    """Lets one user in with one key, and connections through to this machine alone."""

    def __init__(self, key: asyncssh.SSHKey) -> None:
        """Take the key that opens."""
        self._key = key

    def public_key_auth_supported(self) -> bool:
        """Keys open it; without another method offered, nothing else does."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether this key opens it for this user; asyncssh has the client prove that it holds the key."""
        return username == USER and key.public_data == self._key.public_data

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        """Whether a TCP connection may be forwarded."""
        del dest_port, orig_host, orig_port
        return dest_host in _LOCAL


def login_environment(folder: Path) -> dict[str, str]:
    """What a session gets, and the mark by which its processes are found; nothing of whoever plays the demo."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return {
        "HOME": str(home(folder)),
        "USER": USER,
        "LOGNAME": USER,
        "SHELL": "/bin/sh",
        "PATH": path,
        "LANG": "C.UTF-8",
        MARK: str(folder),
    }


def home(folder: Path) -> Path:
    """The home of the server's user."""
    return folder / "server" / "home"


class Sessions:
    """Runs what sessions ask for."""

    def __init__(self, folder: Path) -> None:
        """Take the demo's folder."""
        self._environment = login_environment(folder)
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, session: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run what a session asks for, beside the others."""
        task = asyncio.create_task(self._run(session))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def ended(self) -> None:
        """Return when no session is left, or after two seconds."""
        if self._running:
            await asyncio.wait(self._running, timeout=_END_WITHIN)

    async def _run(self, session: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run one command; its channel ends when the command and its output have, as with OpenSSH.

        When the client goes away first, the command finds its stdin ended and its output closed, and lives on.
        """
        if session.command is None:
            session.stderr.write(b"This server runs commands; it has no shell to type at.\n")
            session.exit(1)
            return
        (stdin, to_stdin), (from_stdout, stdout), (from_stderr, stderr) = os.pipe(), os.pipe(), os.pipe()
        process = await asyncio.create_subprocess_exec(
            "/bin/sh",
            "-c",
            session.command,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=self._environment,
            cwd=self._environment["HOME"],
            start_new_session=True,
        )
        for descriptor in (stdin, stdout, stderr):
            os.close(descriptor)
        with contextlib.suppress(OSError, asyncssh.Error):
            await session.redirect(to_stdin, from_stdout, from_stderr, send_eof=False)
            await _flow(session)
        code = await process.wait()
        with contextlib.suppress(OSError):
            if code < 0:
                session.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
            else:
                session.exit(code)
        await session.wait_closed()


async def _flow(session: asyncssh.SSHServerProcess[bytes]) -> None:
    """Return when the command's output has ended, or the channel has."""

    async def output() -> None:
        await session.stdout.drain()
        await session.stderr.drain()

    # asyncssh 2.24 wakes nobody who waits for redirected output when the connection is lost.
    tasks = {asyncio.create_task(output()), asyncio.create_task(session.channel.wait_closed())}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _tell(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    # asyncssh 2.24 stumbles inside the loop where a command prints, or ends, after its client has gone.
    error = context.get("exception")
    if not (isinstance(error, BrokenPipeError | KeyError) and _raised_in(error).startswith("asyncssh.")):
        loop.default_exception_handler(context)


def _raised_in(error: BaseException) -> str:
    """The name of the module that raised an error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals["__name__"]) if frames else ""


async def serve(folder: Path) -> None:
    """Listen on a free port of 127.0.0.1, say which, and go on until stdin ends."""
    keys, sessions, life = Keys(folder / "keys"), Sessions(folder), asyncio.StreamReader()
    opener = asyncssh.read_private_key(str(keys.client))
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_tell)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(life), sys.stdin.buffer)
    async with await asyncssh.listen(
        "127.0.0.1",
        0,
        config=None,
        server_factory=lambda: DemoDoor(opener),
        server_host_keys=[str(keys.host)],
        agent_forwarding=False,
        allow_pty=False,
        encoding=None,
        process_factory=sessions.begin,
        sftp_factory=asyncssh.SFTPServer,
    ) as acceptor:
        sys.stdout.write(f"ready {acceptor.get_port()}\n")
        sys.stdout.flush()
        await life.read()
        acceptor.close()
        await asyncio.to_thread(end_strays, folder)
        await sessions.ended()


def main(folder: Path) -> None:
    """Serve this folder until stdin ends."""
    # Paths that clients give without a beginning begin where this process is.
    os.chdir(home(folder))
    try:
        asyncio.run(serve(folder))
    finally:
        end_strays(folder)
