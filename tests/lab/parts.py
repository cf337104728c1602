"""What of the laboratory this machine lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

from tests.lab.run import environment
from tests.lab.sshd import COMPOSE_1, COMPOSE_5, COMPOSE_ALONE, COMPOSE_PLUGIN

_COMPOSE = (
    COMPOSE_PLUGIN,
    COMPOSE_ALONE / "docker-compose",
    COMPOSE_1 / "docker-compose",
    COMPOSE_5 / "docker-compose",
)
LABORATORY = (
    *("root", "sshd", "ssh-keygen", "dockerd", "docker", "docker-init", "docker-registry"),
    *("busybox", "iptables", "ip", "nsenter", "unshare", "debootstrap"),
    *(str(path) for path in _COMPOSE),
)


@cache
def missing(*parts: str) -> str:
    """Return in one line which of `parts` is missing and how to get it; "" when nothing is.

    A part is a program, several of which one is enough (`chromium|google-chrome`), `root`, or `mounts`: the right to
    mount in a namespace, which a chroot does not have.
    Without any, the whole laboratory is meant.
    """
    lacks = [part.partition("|")[0] for part in parts or LABORATORY if not _is_there(part)]
    cures = [
        *["run sudo tests/lab/install"] * bool({*lacks} - {"root", "mounts"}),
        *["run the tests as root"] * ("root" in lacks),
        *["run the tests outside of a chroot"] * ("mounts" in lacks),
    ]
    who = "this test" if parts else "the laboratory"
    return f"{who} needs {', '.join(lacks)}: {', and '.join(cures)}" if lacks else ""


def _is_there(part: str) -> bool:
    if part == "root":
        return os.geteuid() == 0
    path = environment()["PATH"]
    if part == "mounts":
        unshare = shutil.which("unshare", path=path)
        if unshare is None:
            return False
        return subprocess.run((unshare, "--mount", "true"), capture_output=True, check=False).returncode == 0
    return any(shutil.which(name, path=path) for name in part.split("|"))
