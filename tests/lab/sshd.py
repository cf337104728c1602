"""Real OpenSSH servers: see `Sshd`."""

from __future__ import annotations

import shutil
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.box import GROUP
from tests.lab.run import descendants, program, run, send, state, until

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.lab.box import Box, Service

PORT = 22
COMPOSE_PLUGIN = Path("/usr/local/lib/docker/cli-plugins/docker-compose")
COMPOSE_ALONE = Path("/usr/local/lib/deploybot-lab")
"""Where `tests/lab/install` keeps `docker-compose`, the form with a dash."""
COMPOSE_1 = COMPOSE_ALONE / "1"
"""Where it keeps the `docker-compose` of old, version 1.29."""
COMPOSE_5 = COMPOSE_ALONE / "5"
"""Where it keeps the `docker-compose` of version 5."""


@dataclass(frozen=True, kw_only=True)
class Access:
    """How a server lets its user in, and what differs from OpenSSH as installed.

    With a `password` only that opens it; with `certificate` only a key signed by
    the server's user CA; else the user's own key. `chroot` is a root directory for
    sessions. `lines` are more lines of sshd_config(5). `path` is the
    sessions' PATH, `time_zone` their TZ. Without `compose_plugin`, `docker compose` is no command there.
    """

    password: str | None = None
    certificate: bool = False
    chroot: Path | None = None
    lines: tuple[str, ...] = ()
    path: str = "/usr/bin:/bin"
    time_zone: str = ""
    compose_plugin: bool = True


class Sshd:
    """An OpenSSH server in a box of its own, with a host key, a user and the user's key.

    Everything not named in `Access` is OpenSSH's default: MaxSessions is 10.
    """

    def __init__(self, box: Box, access: Access) -> None:
        """Make keys and configuration; `start` starts it."""
        self.box = box
        self.access = access
        self.port = PORT
        self._files = box.directory / "ssh"
        self._service: Service | None = None
        self._files.mkdir()
        self.host_key = _key(self._files / "host")
        self.client_key = self._files / "client"
        self.client_public_key = _key(self.client_key)
        self._let_in()
        self._configure()
        box.on_boot.append(self.start)

    @property
    def address(self) -> str:
        """The IPv4 address it listens on."""
        return self.box.address

    @property
    def user(self) -> str:
        """The unix user to log in as."""
        return self.box.account.name

    @property
    def home(self) -> Path:
        """The user's home, as a path on the machine the tests run on."""
        home = self.box.account.home
        return self.access.chroot / home.relative_to("/") if self.access.chroot else home

    @property
    def password(self) -> str | None:
        """The user's password, when that is the way in."""
        return self.access.password

    @property
    def certificate(self) -> Path:
        """The certificate of `client_key`, where `Access.certificate` asks for one."""
        return self._files / "client-cert.pub"

    @property
    def ssh_target(self) -> str:
        """`user@address:port`, as bot.toml wants it."""
        return f"{self.user}@{self.address}:{self.port}"

    @property
    def log(self) -> str:
        """What sshd wrote so far (LogLevel VERBOSE)."""
        return (self._files / "log").read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Whether it accepts connections, or would if it were not paused."""
        return self._service is not None and self._service.alive

    def start(self) -> None:
        """Start it, and return when it accepts connections."""
        if self.running:
            return
        config = self._files / "config"
        self._service = self.box.serve("/usr/sbin/sshd", "-D", "-e", "-f", config, log=self._files / "log")
        until(self._answers, within=60, what=f"sshd of {self.box.name}")

    def stop(self) -> None:
        """End the server and its sessions. What sessions started in the background lives on."""
        if self._service:
            sessions = self._sessions()
            self._service.stop(signal.SIGKILL)
            send(sessions, signal.SIGKILL)
            ended = partial(_ended, sessions)
            until(ended, within=60, what=f"end of the sessions of {self.box.name}")
        self._service = None

    def restart(self) -> None:
        """Stop it, and start it again."""
        self.stop()
        self.start()

    def kill_sessions(self) -> None:
        """Kill -9 every session: connections break in mid-step, remote programs live on."""
        send(self._sessions(), signal.SIGKILL)
        until(lambda: not self._sessions(), within=30, what=f"end of the sessions of {self.box.name}")

    def pause(self) -> None:
        """Make the server hang: connections stay open, nothing answers, new ones are not greeted."""
        until(self._hangs, within=30, what=f"pause of {self.box.name}")

    def resume(self) -> None:
        """End a pause."""
        send(self._sessions(), signal.SIGCONT)
        if self._service:
            self._service.send(signal.SIGCONT)

    def mend(self) -> None:
        """Put it right after a test: not paused, and running. Files and processes stay."""
        self.resume()
        self.start()

    def reboot(self) -> None:
        """Reset the whole machine: everything on it dies, the boot id changes, services start."""
        self.box.reboot()

    def processes(self) -> list[int]:
        """Return what runs as the user, sessions not included, by process ids seen from outside."""
        sessions = set(self._sessions())
        return [pid for pid in self.box.pids() if pid not in sessions and _owner(pid) == self.box.account.uid]

    def _listener(self) -> list[int]:
        return [self._service.pid] if self._service else []

    def _sessions(self) -> list[int]:
        return [pid for top in self._listener() for pid in descendants(top) if program(pid).startswith("sshd")]

    def _hangs(self) -> bool:
        # A session may be starting another process: look again until there is none awake.
        awake = [pid for pid in (*self._listener(), *self._sessions()) if state(pid) not in "TXZ"]
        send(awake, signal.SIGSTOP)
        return not awake

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection((self.address, self.port), 1) as connection:
            return connection.recv(4) == b"SSH-"
        return False

    def _let_in(self) -> None:
        home = self.home
        home.mkdir(mode=0o700, exist_ok=True)
        shutil.chown(home, self.box.account.uid, GROUP)
        if self.access.certificate:
            _key(self._files / "ca")
            run(
                *("ssh-keygen", "-q", "-s", self._files / "ca", "-I", "laboratory"),
                *("-n", self.user, self._files / "client.pub"),
            )
        elif not self.access.password:
            (self._files / "authorized_keys").write_text(self.client_public_key + "\n")

    def _configure(self) -> None:
        access = self.access
        lines = [
            *access.lines,
            f"ListenAddress {self.address}:{self.port}",
            f"HostKey {self._files}/host",
            f"AuthorizedKeysFile {self._files}/authorized_keys",
            # The keys lie below a directory that anyone may write to.
            "StrictModes no",
            "UsePAM no",
            "PidFile none",
            "LogLevel VERBOSE",
            "Subsystem sftp internal-sftp",
            "KbdInteractiveAuthentication no",
            f"PasswordAuthentication {'yes' if access.password else 'no'}",
            # Of several lines only the first would count.
            f"SetEnv PATH={access.path}" + (f" TZ={access.time_zone}" if access.time_zone else ""),
        ]
        if access.certificate:
            lines.append(f"TrustedUserCAKeys {self._files}/ca.pub")
        if access.chroot:
            # ChrootDirectory wants a path nobody else may write to, all the way up.
            lines.append("ChrootDirectory /mnt")
        (self._files / "config").write_text("\n".join(lines) + "\n")


def _key(path: Path) -> str:
    """Make an Ed25519 key pair; return the public line, with no comment."""
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path)
    return path.with_suffix(".pub").read_text().strip()


def _ended(pids: Iterable[int]) -> bool:
    return all(state(pid) in "XZ" for pid in pids)


def _owner(pid: int) -> int:
    with suppress(OSError):
        return Path(f"/proc/{pid}").stat().st_uid
    return -1
