"""A minimal Debian in a folder, entered by chroot with processes, mounts and a network of its own: see `Machine`."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TextIO

from tests.lab import debian
from tests.lab.run import environment, run

PACKAGES = ("python3", "python3-venv", "git", "make", "ca-certificates")
USER = "tester"
_WHEELS = Path("/srv/wheels")
_PATH = "/usr/local/bin:/usr/bin:/bin"

_ENTER = """set -e
root=$1 wheels=$2
shift 2
ip link set lo up
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for name in null zero full random urandom tty; do
    : >"$root/dev/$name"
    mount --bind "/dev/$name" "$root/dev/$name"
done
mount --bind "$wheels" "$root/srv/wheels"
exec chroot "$@"
"""


@dataclass(frozen=True)
class Machine:
    """Debian's smallest system and `PACKAGES`: no ssh, iproute2, procps or busybox, no locale, no time zones.

    It reaches no network. It shares the kernel and the processors of the machine the tests run on.
    """

    root: Path

    @classmethod
    def make(cls, suite: str, root: Path) -> Machine:
        """Unpack a Debian of `suite` in the folder `root`, with an ordinary user."""
        run("tar", "--extract", "--directory", root, "--file", debian.base(suite, PACKAGES))
        (root / _WHEELS.relative_to("/")).mkdir()
        run("chroot", root, "/usr/sbin/useradd", "--create-home", USER)
        return cls(root)

    @cached_property
    def debian(self) -> str:
        """The number of its release, such as 12."""
        lines = (self.root / "etc/os-release").read_text().splitlines()
        values = dict(line.split("=", 1) for line in lines if "=" in line)
        return values["VERSION_ID"].strip('"')

    @cached_property
    def python(self) -> str:
        """The version of its Python, such as 3.11."""
        return (self.root / "usr/bin/python3").readlink().name.removeprefix("python")

    def home(self, user: str) -> Path:
        """Return the home of a user, as a path inside."""
        return Path("/root") if user == "root" else Path("/home") / user

    def clone(self, repository: Path, user: str) -> None:
        """Clone the current commit of a repository into the home of a user."""
        inside = self.home(user) / "deploybot"
        outside = self.root / inside.relative_to("/")
        trusted = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
        run("git", "clone", "--quiet", "--depth", "1", f"file://{repository}", outside, env=trusted)
        run("chroot", self.root, "chown", "--recursive", f"{user}:{user}", inside)

    def call(self, user: str, command: str, *, wheels: Path, log: TextIO, within: float) -> int:
        """Run a shell command in the clone of a user, with what it prints in `log`; return its exit code.

        The environment holds what a login gives and the folder of `wheels`, nothing of the machine outside.
        Raises subprocess.TimeoutExpired after `within` seconds; everything inside is dead then.
        """
        home = self.home(user)
        variables = {
            "HOME": home,
            "USER": user,
            "LOGNAME": user,
            "PATH": _PATH + (":/usr/sbin:/sbin" * (user == "root")),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": _WHEELS,
        }
        words = [
            *("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"),
            *("sh", "-c", _ENTER, "bare", self.root, wheels, f"--userspec={user}:{user}", self.root),
            *("env", "-i", *(f"{name}={value}" for name, value in variables.items())),
            *("sh", "-c", f"cd {home}/deploybot && {command}"),
        ]
        done = subprocess.run(
            [str(word) for word in words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=environment(),
            timeout=within,
            check=False,
        )
        return done.returncode
