"""What really runs: the application is asked over HTTP, the Engine over its socket. Nothing of the bot is used here."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.parse
import urllib.request
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

ANSWERS_WITHIN = 5.0
_PROJECT = "com.docker.compose.project"
_SERVICE = "com.docker.compose.service"
_ONEOFF = "com.docker.compose.oneoff"
_UNTOUCHED = ("was not touched", "nothing was started")
TEXT = "text"
"""The label of an image that says which version it is."""


def says_untouched(outcome: str) -> bool:
    """Whether the bot says that it changed nothing of what serves."""
    return any(words in outcome for words in _UNTOUCHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class RealContainer:
    """A container of a project, as the Engine has it. `text` is the version that its image names."""

    id: str
    name: str
    service: str
    image: str
    state: str
    health: str = ""
    code: int = 0
    restarts: int = 0
    started: str = ""
    text: str = ""
    ours: bool = False

    @property
    def well(self) -> bool:
        """Whether it runs, and its health check does not say otherwise."""
        return self.state == "running" and self.health in {"", "healthy"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reality:
    """What an application answers, and its containers. `current` is where the link leads, empty where nowhere."""

    answer: str = ""
    containers: tuple[RealContainer, ...] = ()
    current: str = ""
    folders: frozenset[str] = frozenset()

    @property
    def serves(self) -> bool:
        """Whether the application answers with a version."""
        return bool(self.answer)

    @property
    def images(self) -> dict[str, str]:
        """The image id of each service that has a container that runs."""
        return {one.service: one.image for one in self.containers if one.state == "running"}

    @property
    def ids(self) -> frozenset[tuple[str, str]]:
        """Every container and when it was started: equal means that nothing was touched."""
        return frozenset((one.id, one.started) for one in self.containers)

    @property
    def made(self) -> frozenset[str]:
        """Every container, however often it was started."""
        return frozenset(one.id for one in self.containers)

    def is_as(self, before: Reality) -> bool:
        """Whether no person and no bot touched a container since. The Engine itself restarts those that end."""
        was = {one.id: one for one in before.containers}
        return self.made == before.made and all(
            one.started == was[one.id].started or one.restarts > was[one.id].restarts for one in self.containers
        )

    def of(self, service: str) -> tuple[RealContainer, ...]:
        """The containers of a service."""
        return tuple(one for one in self.containers if one.service == service)


class EngineReader:
    """Reads from a Docker Engine over its socket."""

    def __init__(self, path: Path) -> None:
        """Take the path of the socket."""
        self._path = path

    def get(self, path: str) -> Any:  # noqa: ANN401 - JSON
        """An answer of the Engine as JSON; None where it says that there is no such thing."""
        with closing(_SocketConnection(self._path)) as connection:
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise OSError(f"{path}: {answer.status} {body[:200]!r}")
        return json.loads(body)

    def containers(self, project: str) -> tuple[RealContainer, ...]:
        """The containers of a Compose project, without one-off ones."""
        filters = urllib.parse.quote(json.dumps({"label": [f"{_PROJECT}={project}"]}))
        found = self.get(f"/containers/json?all=1&filters={filters}")
        details = [self.get(f"/containers/{one['Id']}/json") for one in found]
        wanted = [one for one in details if one and one["Config"]["Labels"].get(_ONEOFF, "").lower() != "true"]
        return tuple(sorted(map(_container, wanted), key=lambda one: (one.service, one.name)))

    def has_image(self, image: str) -> bool:
        """Whether an image is there, by its id."""
        return self.get(f"/images/{image}/json") is not None

    def digests(self, image: str) -> tuple[str, ...]:
        """The registry digests of an image."""
        found = self.get(f"/images/{image}/json")
        return tuple(found.get("RepoDigests") or ()) if found else ()


class _SocketConnection(HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("engine", timeout=30)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket in place of a host."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self._path))


def _container(found: dict[str, Any]) -> RealContainer:
    state, labels = found["State"], found["Config"]["Labels"]
    return RealContainer(
        id=found["Id"],
        name=found["Name"].lstrip("/"),
        service=labels.get(_SERVICE, ""),
        image=found["Image"],
        state=state["Status"],
        health=(state.get("Health") or {}).get("Status", ""),
        code=state["ExitCode"],
        restarts=found["RestartCount"],
        started=state["StartedAt"],
        text=labels.get(TEXT, ""),
        ours="deploybot.release" in labels,
    )


def answer_of(address: str, port: int, *, within: float = ANSWERS_WITHIN) -> str:
    """What an application answers at `/`; empty where it does not answer."""
    try:
        with urllib.request.urlopen(f"http://{address}:{port}/", timeout=within) as answer:
            return str(answer.read().decode().strip())
    except (OSError, http.client.HTTPException):
        return ""


def folders_of(directory: Path) -> tuple[str, frozenset[str]]:
    """Where the link `current` of an app leads, and the releases whose folders are there."""
    link, releases = directory / "current", directory / "releases"
    leads = link.readlink().name if link.is_symlink() else ""
    return leads, frozenset(one.name for one in releases.iterdir()) if releases.is_dir() else frozenset()
