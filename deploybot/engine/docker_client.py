"""docker-py at arm's length: everything here blocks, and is called in threads.

Only this module imports `docker`, and `deploybot.engine.docker_engine` imports this one when an Engine is first used:
ten megabytes that a bot without Docker does not need.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from requests import Response
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from deploybot.domain import Container, EngineFacts, Image
from deploybot.engine import docker_json
from deploybot.engine.docker_stream import EngineRefused, words_of
from deploybot.engine.docker_transport import BoundedAdapter, limited
from deploybot.engine.docker_wire import EngineAddress
from deploybot.untrusted_input import Unreadable, digits_of, json_of, object_of, objects_of, text_of, unforeseen

T = TypeVar("T")

_NEWEST = (1, 45)
_BEFORE_NEGOTIATION = "1.41"
_CONNECTIONS = 8
_BAD = 400
_NOT_FOUND = 404
_MOST_CONTAINERS = 500
_MOST_IMAGES = 20_000
_SHORT = 262_144
_ONE_CONTAINER = 1 << 20
_ALL_IMAGES = 8 << 20


def attempt(work: Callable[[], T], what: str = "Docker") -> T:
    """Call `work`; whatever docker-py and what it stands on raise comes out as Refused, OSError or Unreadable.

    An answer that nobody has foreseen is logged as one of `what`.
    """
    try:
        return work()
    except APIError as problem:
        raise EngineRefused(problem.status_code or 0, str(problem.explanation or problem)) from problem
    except DockerException as problem:
        raise EngineRefused(0, str(problem)) from problem
    except RequestException:
        raise
    except HTTPError as problem:
        raise ConnectionError(str(problem)) from problem
    except (OSError, ValueError):
        raise
    except Exception as problem:
        raise Unreadable(unforeseen(what, problem)) from problem


class _Api(APIClient):
    """docker-py with answers that are read by our own functions."""

    def _result(self, response: Response, json: bool = False, binary: bool = False) -> object:  # noqa: FBT001, FBT002  the signature is docker-py's
        self._raise_for_status(response)
        if binary:
            return response.content
        return json_of(response.content) if json else response.text

    def _raise_for_status(self, response: Response) -> None:
        if response.status_code >= _BAD:
            kind = NotFound if response.status_code == _NOT_FOUND else APIError
            words = words_of(response.content)
            raise kind(words or f"status {response.status_code}", response, words)


class Client:
    """A connection to one Engine. `api` is the version of the API that both sides speak."""

    def __init__(self, address: EngineAddress, timeout: float) -> None:
        """Ask the Engine for its versions; `timeout` bounds every answer, in seconds."""
        with _client(address, timeout, _BEFORE_NEGOTIATION) as asking, limited(_SHORT):
            version = object_of(asking.version(api_version=False))
        theirs = _number(version.get("ApiVersion"))
        # Docker 29 takes nothing older than 1.44.
        major, minor = max(min(theirs, _NEWEST), _number(version.get("MinAPIVersion") or "1.0"))
        self.api = f"{major}.{minor}"
        self._client = _client(address, timeout, self.api)

    def close(self) -> None:
        """Close the connections that are kept."""
        self._client.close()

    def call(self, work: Callable[[Client], T], what: str = "Docker") -> T:
        """Do something with the client; failures come out as from `attempt`."""
        return attempt(lambda: work(self), what)

    def version(self) -> str:
        """The Engine's version."""
        with limited(_SHORT):
            return text_of(object_of(self._client.version()).get("Version"), "Version")

    def containers(self, project: str) -> list[str]:
        """The ids of a Compose project's containers, also the stopped ones."""
        found = self._client.containers(all=True, filters={"label": f"{docker_json.PROJECT}={project}"})
        entries = objects_of(found, "its list of containers", most=_MOST_CONTAINERS)
        return [docker_json.identity(one.get("Id")) for one in entries]

    def container(self, which: str) -> Container | None:
        """One container, or None when it is gone."""
        with suppress(NotFound), limited(_ONE_CONTAINER):
            return docker_json.container(object_of(self._client.inspect_container(which)))
        return None

    def tty(self, which: str) -> bool:
        """Whether a container has a terminal, so that its log is not framed."""
        with limited(_ONE_CONTAINER):
            found = object_of(self._client.inspect_container(which))
        return object_of(found.get("Config"), "Config").get("Tty") is True

    def images(self) -> tuple[Image, ...]:
        """All images but intermediate ones."""
        with limited(_ALL_IMAGES):
            found = self._client.images()
        return tuple(docker_json.image(one) for one in objects_of(found, "its list of images", most=_MOST_IMAGES))

    def info(self) -> EngineFacts:
        """Give what the Engine is."""
        return docker_json.engine_facts(object_of(self._client.info()))

    def all_containers(self) -> tuple[Container, ...]:
        """List all containers, without what only a look at each tells."""
        with limited(_ALL_IMAGES):
            found = self._client.containers(all=True)
        return tuple(map(docker_json.listed, objects_of(found, "its list of containers", most=_MOST_CONTAINERS)))

    def image(self, reference: str) -> Image | None:
        """Give one image, or None where it is not there."""
        with suppress(NotFound), limited(_ONE_CONTAINER):
            return docker_json.inspected_image(object_of(self._client.inspect_image(reference)))  # type: ignore[no-untyped-call]  # docker-py's
        return None

    def networks(self) -> tuple[str, ...]:
        """List the names of all networks."""
        return docker_json.names(objects_of(self._client.networks(), "its list of networks", most=_MOST_CONTAINERS))

    def volumes(self) -> tuple[str, ...]:
        """List the names of all volumes."""
        found = object_of(self._client.volumes()).get("Volumes") or []
        return docker_json.names(objects_of(found, "its list of volumes", most=_MOST_IMAGES))

    def sample(self, which: str) -> docker_json.UsageSample:
        """What a container has used so far, without the second that the Engine would wait to compare."""
        with limited(_SHORT):
            return docker_json.UsageSample(object_of(self._client.stats(which, stream=False, one_shot=True)))


def _client(address: EngineAddress, timeout: float, version: str) -> APIClient:
    client = _Api(base_url=address.url, version=version, timeout=timeout, tls=bool(address.tls))  # type: ignore[arg-type]  # seconds may have a fraction
    # Nothing but the Engine is ever asked, whatever address an answer names.
    client.adapters.clear()
    client.mount(client.base_url, BoundedAdapter(address, within=timeout, size=_CONNECTIONS))
    # Proxies and passwords that the environment holds are for others.
    client.trust_env = False
    return client


def _number(version: object) -> tuple[int, int]:
    major, _, minor = text_of(version, "ApiVersion").partition(".")
    return digits_of(major, "ApiVersion"), digits_of(minor, "ApiVersion")
