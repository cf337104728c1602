"""Logins for image registries, as Docker's configuration on a server has them for one step. Pure."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field

from deploybot.domain.image_names import DOCKER_HUB

LOGINS = "DEPLOYBOT_LOGINS"
"""The value of a job that becomes a Docker configuration of its own. It is never an environment variable."""
_HUB_KEY = "https://index.docker.io/v1/"


@dataclass(frozen=True, slots=True)
class RegistryAccess:
    """A login for one registry. `host` is canonical, with the port."""

    host: str
    user: str
    password: str = field(repr=False)

    @property
    def key(self) -> str:
        """The name under which Docker's configuration has its login."""
        return _HUB_KEY if self.host == DOCKER_HUB else self.host

    @property
    def auth(self) -> str:
        """User and password, as Docker's configuration has them."""
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def logins_text(logins: Iterable[RegistryAccess]) -> str:
    """Return two lines with members of JSON objects: for `auths`, and for `credHelpers`; empty if there are none.

    The second line makes Docker take these logins from the file, even if the server keeps all others in a program.
    """
    found = {one.key: one for one in logins}
    if not found:
        return ""
    auths = json.dumps({key: {"auth": one.auth} for key, one in found.items()})
    helpers = json.dumps(dict.fromkeys(found, ""))
    return f"{auths[1:-1]}\n{helpers[1:-1]}"
