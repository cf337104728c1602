"""docker-py at arm's length: everything here blocks, and is called in threads.

Only this module imports `docker`, and `deploybot.hosts.docker` imports this one when an Engine is first used:
ten megabytes that a bot without Docker does not need.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from docker.tls import TLSConfig
from urllib3.exceptions import HTTPError

from deploybot.domain import Container, EngineFacts, Image
from deploybot.hosts import docker_json
from deploybot.hosts.docker_stream import Refused
from deploybot.hosts.docker_unix import SCHEME, UnixAdapter
from deploybot.hosts.docker_wire import Address

T = TypeVar("T")

_NEWEST = (1, 45)
_BEFORE_NEGOTIATION = "1.41"
_UNIX = "unix://"
_CONNECTIONS = 8


def attempt(work: Callable[[], T]) -> T:
    """Call `work`; whatever docker-py and what it stands on raise comes out as Refused, OSError or ValueError."""
    try:
        return work()
    except APIError as problem:
        raise Refused(problem.status_code or 0, str(problem.explanation or problem)) from problem
    except DockerException as problem:
        raise Refused(0, str(problem)) from problem
    except HTTPError as problem:
        raise ConnectionError(str(problem)) from problem


class Client:
    """A connection to one Engine. `api` is the version of the API that both sides speak."""

    def __init__(self, address: Address, timeout: float) -> None:
        """Ask the Engine for its versions; `timeout` bounds every wait, in seconds."""
        with _client(address, timeout, _BEFORE_NEGOTIATION) as asking:
            version = asking.version(api_version=False)
        theirs = _number(version.get("ApiVersion"))
        # Docker 29 takes nothing older than 1.44.
        major, minor = max(min(theirs, _NEWEST), _number(version.get("MinAPIVersion") or "1.0"))
        self.api = f"{major}.{minor}"
        self._client = _client(address, timeout, self.api)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._client.close()

    def call(self, work: Callable[[Client], T]) -> T:
        """Do something with the client; failures come out as from `attempt`."""
        return attempt(lambda: work(self))

    def version(self) -> str:
        """The Engine's version."""
        return str(self._client.version()["Version"])

    def containers(self, project: str) -> list[str]:
        """The ids of a Compose project's containers, also the stopped ones."""
        found = self._client.containers(all=True, filters={"label": f"{docker_json.PROJECT}={project}"})
        return [str(one["Id"]) for one in found]

    def container(self, which: str) -> Container | None:
        """One container, or None when it is gone."""
        with suppress(NotFound):
            return docker_json.container(self._client.inspect_container(which))
        return None

    def tty(self, which: str) -> bool:
        """Whether a container has a terminal, so that its log is not framed."""
        return bool(self._client.inspect_container(which)["Config"]["Tty"])

    def images(self) -> tuple[Image, ...]:
        """All images but intermediate ones."""
        return tuple(docker_json.image(one) for one in self._client.images())

    def info(self) -> EngineFacts:
        """What the Engine is."""
        return docker_json.facts(self._client.info())

    def all_containers(self) -> tuple[Container, ...]:
        """All containers, as a list tells them."""
        return tuple(map(docker_json.listed, self._client.containers(all=True)))

    def image(self, reference: str) -> Image | None:
        """One image, or None where it is not there."""
        with suppress(NotFound):
            return docker_json.inspected_image(self._client.inspect_image(reference))  # type: ignore[no-untyped-call]  # as they are
        return None

    def networks(self) -> tuple[str, ...]:
        """The names of all networks."""
        return docker_json.names(self._client.networks())

    def volumes(self) -> tuple[str, ...]:
        """The names of all volumes."""
        return docker_json.names(self._client.volumes().get("Volumes") or ())

    def sample(self, which: str) -> docker_json.Sample:
        """What a container has used so far, without the second that the Engine would wait to compare."""
        return docker_json.Sample(self._client.stats(which, stream=False, one_shot=True))


def _client(address: Address, timeout: float, version: str) -> APIClient:
    tls: TLSConfig | bool = False
    if address.tls:
        pair = (str(address.tls.cert), str(address.tls.key))
        tls = TLSConfig(client_cert=pair, ca_cert=str(address.tls.ca), verify=True)
    client = APIClient(base_url=address.url, version=version, timeout=timeout, tls=tls)  # type: ignore[arg-type]  # seconds may have a fraction
    if address.url.startswith(_UNIX):
        client.mount(SCHEME, UnixAdapter(address.url.removeprefix(_UNIX), timeout=timeout, size=_CONNECTIONS))
    # Proxies and passwords that the environment holds are for others.
    client.trust_env = False
    return client


def _number(version: object) -> tuple[int, int]:
    major, _, minor = str(version).partition(".")
    return int(major), int(minor)
