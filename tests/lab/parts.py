"""Whether this machine can have a laboratory."""

from __future__ import annotations

import os
import shutil
from functools import cache

from tests.lab.run import environment
from tests.lab.sshd import COMPOSE_1, COMPOSE_5, COMPOSE_ALONE, COMPOSE_PLUGIN

_PROGRAMS = (
    *("sshd", "ssh-keygen", "dockerd", "docker", "docker-init", "docker-registry"),
    *("busybox", "iptables", "ip", "nsenter", "unshare", "debootstrap"),
)
_COMPOSE = (
    COMPOSE_PLUGIN,
    COMPOSE_ALONE / "docker-compose",
    COMPOSE_1 / "docker-compose",
    COMPOSE_5 / "docker-compose",
)


@cache
def missing() -> str:
    """Return in one line what is missing and how to get it; "" when nothing is."""
    lacks = [name for name in _PROGRAMS if not shutil.which(name, path=environment()["PATH"])]
    lacks += [str(path) for path in _COMPOSE if not path.exists()]
    if os.geteuid() != 0:
        lacks.insert(0, "root")
    if not lacks:
        return ""
    return f"the laboratory needs {', '.join(lacks)}: run sudo tests/lab/install, and the tests as root"
