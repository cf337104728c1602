"""A machine of the laboratory, made of Linux namespaces: see `Box`."""

from __future__ import annotations

import shlex
import signal
import subprocess
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.run import LabError, children, environment, processes, run, send, until

if TYPE_CHECKING:
    from collections.abc import Callable

GROUP = 61000
"""The group of all laboratory users, which may use the laboratory's Docker sockets."""

_BOOT = """set -e
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/sshd
for name in passwd group shadow; do mount --bind "$1/$name" "/etc/$name"; done
if [ -e /etc/resolv.conf ]; then mount --bind "$1/resolv.conf" /etc/resolv.conf; fi
mount --bind "$1/boot_id" /proc/sys/kernel/random/boot_id
hostname "$2"
ip link set lo up
echo up
exec cat >/dev/null
"""


@dataclass(frozen=True)
class Account:
    """The unix user of a box. `home` is the path its own machine knows it by."""

    home: Path
    uid: int
    name: str = "deploy"
    shell: str = "/bin/sh"
    password: str | None = None


@dataclass(frozen=True)
class Link:
    """How a box hangs on the laboratory's bridge."""

    bridge: str
    port: str
    address: str
    prefix: int
    gateway: str

    @property
    def mac(self) -> str:
        """The hardware address: the same after a reboot, as neighbours remember it."""
        return "02:00:" + ":".join(f"{int(part):02x}" for part in self.address.split("."))


@dataclass(frozen=True)
class Service:
    """A program that runs inside a box until it is stopped. `pid` is as seen from outside."""

    launcher: subprocess.Popen[bytes]
    pid: int

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.launcher.poll() is None

    def send(self, what: signal.Signals) -> None:
        """Send it a signal; none where it has ended: its number may be another's by now."""
        if not self.alive:
            return
        send([self.pid], what)
        if what != signal.SIGSTOP:
            # nsenter stops with its child and would never notice that the child went on. Woken, it wakes its child.
            send([self.launcher.pid], signal.SIGCONT)

    def stop(self, what: signal.Signals = signal.SIGTERM, *, within: float = 20) -> None:
        """Signal it, and return when it has ended; after `within` seconds kill it."""
        self.send(what)
        try:
            self.launcher.wait(within)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self.launcher.wait(within)


class Box:
    """A machine: own processes, mounts, host name, accounts, boot id and (with a link) network.

    It shares the file system of the machine the tests run on, so paths mean the
    same inside and outside, except `/run` and `/proc`, which are its own.
    Everything inside dies, by the kernel's hand, when the box is stopped and when
    the process that made it is gone, however that ended.
    """

    def __init__(self, directory: Path, account: Account, link: Link | None = None) -> None:
        """Prepare a box that keeps its files in `directory`, whose name is its host name."""
        self.directory = directory
        self.name = directory.name
        self.account = account
        self.link = link
        self.log = directory / "log"
        self.on_boot: list[Callable[[], None]] = []
        self._init: subprocess.Popen[bytes] | None = None
        self._pid = 0
        self._holders: set[int] = set()
        self._services: list[Service] = []

    @property
    def address(self) -> str:
        """The IPv4 address of the box; loopback when it has no network of its own."""
        return self.link.address if self.link else "127.0.0.1"

    @property
    def running(self) -> bool:
        """Whether the box is up."""
        return self._init is not None and self._init.poll() is None

    def start(self) -> None:
        """Boot: a new boot id, no process, an empty `/run`; then everything in `on_boot`."""
        self._write_etc()
        init = self._unshare()
        assert init.stdout
        if init.stdout.readline() != b"up\n":
            raise LabError(f"{self.name} did not boot: {self.log.read_text()}")
        self._init = init
        (self._pid,) = children(init.pid)
        self._holders = {self._pid, *children(self._pid)}
        if self.link:
            self._plug(self.link)
        for service in self.on_boot:
            service()

    def stop(self) -> None:
        """Take the power away: nothing inside is asked, everything is dead on return."""
        if self._init:
            assert self._init.stdin
            assert self._init.stdout
            self._init.stdin.close()
            self._init.wait(20)
            for service in self._services:
                service.stop(signal.SIGKILL)
            self._services.clear()
            self._init.stdout.close()
            self._unplug()
        self._init = None

    def reboot(self) -> None:
        """Take the power away, and boot again."""
        self.stop()
        self.start()

    def run(self, *argv: str | Path, stdin: str | bytes = b"", within: float = 120) -> str:
        """Run a program inside as root, to its end; return its stdout. Raises LabError."""
        return run(*self._inside(), *argv, stdin=stdin, within=within)

    def serve(self, *argv: str | Path, log: Path, env: dict[str, str] | None = None) -> Service:
        """Start a program inside as root, its output appended to `log`."""
        words = [str(word) for word in (*self._inside(), *_environment(env), *argv)]
        with log.open("ab") as out:
            launcher = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment(),
                start_new_session=True,
            )
        until(
            lambda: children(launcher.pid) or launcher.poll() is not None,
            within=60,
            what=f"start of {argv[0]}",
        )
        if launcher.poll() is not None:
            raise LabError(f"{shlex.join(words)} ended at once: {log.read_text()}")
        service = Service(launcher, children(launcher.pid)[0])
        self._services.append(service)
        return service

    def pids(self) -> list[int]:
        """Return every process inside, but the two that hold the box together."""
        own = _pid_namespace(self._pid)
        return [pid for pid in processes() if _pid_namespace(pid) == own and pid not in self._holders]

    def see(self, path: Path) -> Path:
        """Return the path by which the tests see a path inside, also on the box's own mounts."""
        return Path(f"/proc/{self._pid}/root") / path.relative_to("/")

    def _inside(self) -> tuple[str, ...]:
        net = ("--net",) if self.link else ()
        return ("nsenter", f"--target={self._pid}", "--pid", "--mount", "--uts", *net, "--")

    def _unshare(self) -> subprocess.Popen[bytes]:
        net = ("--net",) if self.link else ()
        # docker-init reaps orphans as a real init does. Its child ends when the pipe
        # to the tests closes, and the kernel kills the rest of the box with it.
        argv = [
            *("unshare", "--pid", "--mount", "--uts", *net, "--fork", "--kill-child"),
            *("--mount-proc", "docker-init", "--", "sh"),
            *(str(self.directory / "etc/boot"), str(self.directory / "etc"), self.name),
        ]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                argv,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(),
                start_new_session=True,
            )

    def _plug(self, link: Link) -> None:
        run(
            *("ip", "-batch", "-"),
            stdin=f"link add {link.port} type veth peer name eth0 address {link.mac} netns {self._pid}\n"
            f"link set {link.port} master {link.bridge} up\n",
        )
        self.run(
            *("ip", "-batch", "-"),
            stdin=f"addr add {link.address}/{link.prefix} dev eth0\n"
            "link set eth0 up\n"
            f"route add default via {link.gateway}\n",
        )

    def _unplug(self) -> None:
        # The kernel removes it with the box, but not at once, and a reboot wants the name.
        if self.link:
            with suppress(LabError):
                run("ip", "link", "del", self.link.port)

    def _write_etc(self) -> None:
        etc = self.directory / "etc"
        etc.mkdir(exist_ok=True)
        user = self.account
        entry = f"{user.name}:x:{user.uid}:{GROUP}::{user.home}:{user.shell}\n"
        (etc / "passwd").write_text(Path("/etc/passwd").read_text() + entry)
        (etc / "group").write_text(Path("/etc/group").read_text() + f"lab:x:{GROUP}:\n")
        (etc / "shadow").write_text(f"{user.name}:{_hashed(user.password)}:19000:0:99999:7:::\n")
        (etc / "shadow").chmod(0o600)
        # Nothing answers there: looking up a name fails at once, and does not wait for a time-out.
        (etc / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        (etc / "boot").write_text(_BOOT)
        (etc / "boot_id").write_text(f"{uuid.uuid4()}\n")


def _environment(env: dict[str, str] | None) -> tuple[str, ...]:
    return ("env", *(f"{name}={value}" for name, value in (env or {}).items())) if env else ()


def _hashed(password: str | None) -> str:
    # "*" lets nobody in by password, and unlike "!" does not lock the account.
    if password is None:
        return "*"
    return run("busybox", "mkpasswd", "-m", "sha512", "-P", "0", stdin=password + "\n").strip()


def _pid_namespace(pid: int) -> str:
    with suppress(OSError):
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    return ""
