"""Real servers for the tests: OpenSSH, Docker, an image registry, git, bad networks, full disks.

`tests/lab/install` installs what they are made of; `Lab` makes them.
"""

from tests.lab import debian
from tests.lab.disk import FullDisk
from tests.lab.engine import Engine
from tests.lab.images import WEB_PORT, Image, crashing, web
from tests.lab.lab import Lab
from tests.lab.proxy import Proxy
from tests.lab.registry import Registry
from tests.lab.repos import LinkTo, Repo
from tests.lab.run import LabError, free_port, until
from tests.lab.sshd import COMPOSE_ALONE, Access, Sshd

__all__ = [
    "COMPOSE_ALONE",
    "WEB_PORT",
    "Access",
    "Engine",
    "FullDisk",
    "Image",
    "Lab",
    "LabError",
    "LinkTo",
    "Proxy",
    "Registry",
    "Repo",
    "Sshd",
    "crashing",
    "debian",
    "free_port",
    "until",
    "web",
]
