"""An SSH server of the demo, a separate process.

It lets one user log in with one key. It runs commands by `/bin/sh -c` in its own home folder, receives files by SFTP,
and forwards TCP only to this machine. It prints `ready PORT` to stdout. When its stdin ends, it ends with everything
that it started. So it survives the bot, and nothing survives the demo.

Each server has a folder and a loopback address of its own. The same path leads to a different folder on each, below
`OWN_FOLDER`, and the address that the bot calls 127.0.0.1 there is that of the server.
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
from typing import cast

import asyncssh

from deploybot.demo.stray_processes import MARK, end_strays

USER = "deploy"
_DESCRIPTOR = 63
OWN_FOLDER = f"/proc/self/fd/{_DESCRIPTOR}"
"""The folder of a server, for all processes that it starts: they have it open."""
_END_WITHIN = 2.0
_LOCAL = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True, slots=True)
class Keys:
    """The paths of the server's keys: its own, and the one that may log in."""

    folder: Path

    @property
    def host(self) -> Path:
        """Return the path of the server's private key."""
        return self.folder / "host_key"

    @property
    def client(self) -> Path:
        """Return the path of the private key that may log in."""
        return self.folder / "client_key"

    def make(self) -> str:
        """Make both keys. Return the server's public key in the format of bot.toml."""
        self.folder.mkdir(mode=0o700, parents=True)
        made = {path: asyncssh.generate_private_key("ssh-ed25519") for path in (self.host, self.client)}
        for path, key in made.items():
            path.touch(mode=0o600)
            key.write_private_key(str(path))
        return made[self.host].export_public_key().decode().strip()


@dataclass(frozen=True, slots=True)
class DemoMachine:
    """A server of the demo in `folder`: its name, and its loopback address."""

    folder: Path
    name: str = "local"
    address: str = "127.0.0.1"

    @property
    def root(self) -> Path:
        """Return the folder that has all its files."""
        return self.folder / "server" / ("" if self.name == "local" else self.name)

    @property
    def home(self) -> Path:
        """Return the home folder of its user."""
        return self.root / "home"

    @property
    def mark(self) -> Path:
        """Return the mark of the processes that it starts. No other server ends these."""
        return self.folder if self.name == "local" else self.root

    @property
    def log(self) -> Path:
        """Return the file with what it writes to stderr."""
        return self.root / "log"


class DemoDoor(asyncssh.SSHServer):
    """Lets one user log in with one key, and forwards connections only to this server."""

    def __init__(self, key: asyncssh.SSHKey, address: str) -> None:
        """Take the key that may log in, and the server's address."""
        self._key = key
        self._address = address
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Keep the connection, which forwards."""
        self._connection = conn

    def public_key_auth_supported(self) -> bool:
        """Allow keys. No other method is offered, so nothing else works."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Return whether this user may log in with this key. asyncssh makes the client prove that it has the key."""
        return username == USER and key.public_data == self._key.public_data

    def connection_requested(
        self, dest_host: str, dest_port: int, orig_host: str, orig_port: int
    ) -> asyncssh.SSHTCPSession[bytes] | bool:
        """Return the TCP connection to this server, or False for another one.

        asyncssh awaits what `forward_connection` returns, although its types do not say so.
        """
        del orig_host, orig_port
        if dest_host not in _LOCAL or self._connection is None:
            return False
        return cast("asyncssh.SSHTCPSession[bytes]", self._connection.forward_connection(self._address, dest_port))


def login_environment(machine: DemoMachine) -> dict[str, str]:
    """Return the environment of a session.

    It includes the server's address and the mark that identifies its processes. From the user's environment, only PATH
    and DOCKER_HOST are used.
    """
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    return {
        "HOME": str(machine.home),
        "USER": USER,
        "LOGNAME": USER,
        "SHELL": "/bin/sh",
        "PATH": path,
        "LANG": "C.UTF-8",
        "SHOP_HOST": machine.address,
        MARK: str(machine.mark),
    } | {name: os.environ[name] for name in ("DOCKER_HOST",) if name in os.environ}


class Sessions:
    """Runs the commands of sessions."""

    def __init__(self, machine: DemoMachine) -> None:
        """Take the server."""
        self._environment = login_environment(machine)
        self._running: set[asyncio.Task[None]] = set()

    def begin(self, session: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run a session's command in parallel with the others."""
        task = asyncio.create_task(self._run(session))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def ended(self) -> None:
        """Return when no session is left, or after two seconds."""
        if self._running:
            await asyncio.wait(self._running, timeout=_END_WITHIN)

    async def _run(self, session: asyncssh.SSHServerProcess[bytes]) -> None:
        """Run one command. Its channel ends when the command and its output have ended, as with OpenSSH.

        If the client goes away first, the command sees its stdin end and its output closed, but continues.
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
            pass_fds=(_DESCRIPTOR,),
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

    # asyncssh 2.24 does not wake tasks that wait for redirected output when the connection is lost.
    tasks = {asyncio.create_task(output()), asyncio.create_task(session.channel.wait_closed())}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _log_exception(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
    # asyncssh 2.24 raises inside the loop if a command prints, or ends, after its client has gone.
    error = context.get("exception")
    if not (isinstance(error, BrokenPipeError | KeyError) and _raised_in(error).startswith("asyncssh.")):
        loop.default_exception_handler(context)


def _raised_in(error: BaseException) -> str:
    """Return the name of the module that raised an error."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals["__name__"]) if frames else ""


async def serve(machine: DemoMachine) -> None:
    """Listen on a free port of 127.0.0.1, print it, and serve until stdin ends."""
    keys, sessions, life = Keys(machine.folder / "keys"), Sessions(machine), asyncio.StreamReader()
    opener = asyncssh.read_private_key(str(keys.client))
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_log_exception)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(life), sys.stdin.buffer)
    async with await asyncssh.listen(
        "127.0.0.1",
        0,
        config=None,
        server_factory=lambda: DemoDoor(opener, machine.address),
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
        await asyncio.to_thread(end_strays, machine.mark)
        await sessions.ended()


def main(folder: str, name: str, address: str) -> None:
    """Be a server of the demo in this folder until stdin ends."""
    machine = DemoMachine(Path(folder), name, address)
    # Relative paths from clients are relative to the working directory of this process.
    os.chdir(machine.home)
    os.dup2(os.open(machine.root, os.O_RDONLY | os.O_DIRECTORY), _DESCRIPTOR)
    try:
        asyncio.run(serve(machine))
    finally:
        end_strays(machine.mark)
