"""A real image registry: see `Registry`."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lab.run import free_port, until

if TYPE_CHECKING:
    from tests.lab.box import Box, Service

LOGIN = ("lab-user", "s3cr3t-pull")
"""User and password of a registry that is locked."""
_LINE = f"{LOGIN[0]}:$2y$05$deploybotlabregistrysOU4gx/88hGisdOT5XsgC8AhoyLOV7ldW"  # bcrypt: htpasswd's own format

_REPOSITORY = Path(__file__).parents[2]


class Registry:
    """Debian's docker-registry 2.8, over plain HTTP, with its own storage.

    It is `127.0.0.1:port` for the tests, and for every engine that was told to `trust`
    it, as Docker speaks plain HTTP to loopback only. Deleting is allowed.
    """

    def __init__(self, box: Box, door: Box, notify: str | None = None, token: str = "") -> None:
        """Describe a registry in `box`, which the tests reach through `door`."""
        self.box = box
        self._door = door
        self._files = box.directory
        self._service: Service | None = None
        self.port = free_port()
        self._locked = False
        self._notify = (notify, token)
        self._configure(notify, token)
        box.on_boot.append(self._serve)
        door.on_boot.append(lambda: self.open_door(door))

    @property
    def address(self) -> str:
        """`host:port`, the first part of image names."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Where its HTTP API is."""
        return f"http://{self.address}"

    @property
    def log(self) -> str:
        """What it wrote so far, a line a request."""
        return (self._files / "registry.log").read_text(errors="replace")

    def start(self) -> None:
        """Start it, and return when it answers."""
        for box in (self.box, self._door):
            if not box.running:
                box.start()
        if not self._service or not self._service.alive:
            self._serve()

    def mend(self) -> None:
        """Put it right after a test: it runs, with the images it has, and needs no login."""
        self.lock(locked=False)
        self.start()

    def lock(self, *, locked: bool = True) -> None:
        """Let it ask for `LOGIN` from now on, or for none."""
        if locked != self._locked:
            self._locked = locked
            self.stop()
            self._configure(*self._notify)
            self.start()

    def stop(self) -> None:
        """End it: connections to it are cut at once."""
        if self._service:
            self._service.stop()
        self._service = None

    def name(self, repository: str, tag: str = "latest") -> str:
        """Return the full name of an image in it."""
        return f"{self.address}/{repository}:{tag}"

    def tags(self, repository: str) -> list[str]:
        """Return the tags of a repository."""
        connection = HTTPConnection(self.address, timeout=10)
        with closing(connection):
            connection.request("GET", f"/v2/{repository}/tags/list")
            return list(json.load(connection.getresponse())["tags"])

    def open_door(self, box: Box) -> None:
        """Make it reachable at `address` inside another box."""
        target = (self.box.address, str(self.port))
        box.serve(
            *("env", f"--chdir={_REPOSITORY}", sys.executable, "-m", "tests.lab.proxy"),
            *(str(self.port), *target),
            log=box.directory / "door.log",
        )
        until(lambda: _listening(box, self.port), within=60, what=f"the registry's door in {box.name}")

    def _serve(self) -> None:
        config = self._files / "config.json"
        self._service = self.box.serve("docker-registry", "serve", config, log=self._files / "registry.log")
        until(lambda: _listening(self.box, self.port), within=60, what="the registry")

    def _configure(self, notify: str | None, token: str) -> None:
        headers = {"Authorization": [f"Bearer {token}"]} if token else {}
        endpoint = {"name": "lab", "url": notify, "timeout": "5s", "threshold": 3, "backoff": "1s", "headers": headers}
        config = {
            "version": "0.1",
            "http": {"addr": f":{self.port}"},
            "storage": {
                "filesystem": {"rootdirectory": str(self._files / "storage")},
                "delete": {"enabled": True},
            },
            "notifications": {"endpoints": [endpoint] if notify else []},
        }
        if self._locked:
            (self._files / "logins").write_text(f"{_LINE}\n")
            config["auth"] = {"htpasswd": {"realm": "lab", "path": str(self._files / "logins")}}
        (self._files / "config.json").write_text(json.dumps(config))


def _listening(box: Box, port: int) -> bool:
    # proc(5): a port in hexadecimal, and 0A for a socket that listens.
    tables = box.run("cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
    rows = [line.split() for line in tables]
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in rows)
