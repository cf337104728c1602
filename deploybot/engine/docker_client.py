"""Wrap docker-py. Everything here blocks, so call it in threads.

Only this module imports `docker`. `deploybot.engine.docker_engine` imports it when an Engine is first used, because it
takes ten megabytes that a bot without Docker does not need.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from requests import Response
from requests.exceptions import RequestException
from urllib3.exceptions import HTTPError

from deploybot.domain import Container, EngineFacts, Image
from deploybot.domain.versions import major_minor
from deploybot.engine import docker_json
from deploybot.engine.bounded_transport import BoundedAdapter, limited
from deploybot.engine.stream_connection import EngineAddress
from deploybot.engine.stream_request import EngineRefused, words_of
from deploybot.untrusted_input import Unreadable, json_of, object_of, objects_of, text_of, unforeseen

T = TypeVar("T")

_NEWEST = (1, 44)
"""Later versions leave out `ContainerConfig` of every image, even if docker-compose 1.29 would get it."""
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
    """Call `work`. Convert errors of docker-py and its libraries to EngineRefused, OSError or Unreadable.

    An unforeseen error is logged with the name `what`.
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


class _BoundedApi(APIClient):
    """docker-py's client, with answers parsed by our own functions."""

    _last = threading.local()

    @property
    def date(self) -> str:
        """The time of this thread's last answer, by the Engine's clock."""
        return str(getattr(self._last, "date", ""))

    def _result(self, response: Response, json: bool = False, binary: bool = False) -> object:  # noqa: FBT001, FBT002  the signature is docker-py's
        self._last.date = response.headers.get("Date", "")
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
    """A connection to one Engine. `api` is the API version that both sides support."""

    def __init__(self, address: EngineAddress, timeout: float) -> None:
        """Ask the Engine for its versions; `timeout` limits every answer, in seconds."""
        with _client(address, timeout, _BEFORE_NEGOTIATION) as asking, limited(_SHORT):
            version = object_of(asking.version(api_version=False))
        theirs = _number(version.get("ApiVersion"))
        # Docker 29 accepts nothing older than 1.44.
        major, minor = max(min(theirs, _NEWEST), _number(version.get("MinAPIVersion") or "1.0"))
        self.api = f"{major}.{minor}"
        self._client = _client(address, timeout, self.api)

    def close(self) -> None:
        """Close the connections that are kept open."""
        self._client.close()

    def call(self, work: Callable[[Client], T], what: str = "Docker") -> T:
        """Call `work` with this client. Raises the same errors as `attempt`."""
        return attempt(lambda: work(self), what)

    def version(self) -> str:
        """Return the Engine's version."""
        with limited(_SHORT):
            return text_of(object_of(self._client.version()).get("Version"), "Version")

    def containers(self, project: str) -> list[str]:
        """Return the ids of a Compose project's containers, including stopped ones."""
        found = self._client.containers(all=True, filters={"label": f"{docker_json.PROJECT}={project}"})
        entries = objects_of(found, "its list of containers", most=_MOST_CONTAINERS)
        return [docker_json.identity(one.get("Id")) for one in entries]

    def container(self, which: str) -> Container | None:
        """Return one container, or None if it no longer exists."""
        with suppress(NotFound), limited(_ONE_CONTAINER):
            found = docker_json.container(object_of(self._client.inspect_container(which)))
            return replace(found, asked=docker_json.http_time(self._client.date))
        return None

    def tty(self, which: str) -> bool:
        """Return whether a container has a terminal. Its log has no frames then."""
        with limited(_ONE_CONTAINER):
            found = object_of(self._client.inspect_container(which))
        return object_of(found.get("Config"), "Config").get("Tty") is True

    def images(self) -> tuple[Image, ...]:
        """Return all images except intermediate ones."""
        with limited(_ALL_IMAGES):
            found = self._client.images()
        return tuple(docker_json.image(one) for one in objects_of(found, "its list of images", most=_MOST_IMAGES))

    def info(self) -> EngineFacts:
        """Return the Engine's id, version and data folder."""
        return docker_json.engine_facts(object_of(self._client.info()))

    def all_containers(self) -> tuple[Container, ...]:
        """Return all containers, without the details that only inspecting each one shows."""
        with limited(_ALL_IMAGES):
            found = self._client.containers(all=True)
        return tuple(map(docker_json.listed, objects_of(found, "its list of containers", most=_MOST_CONTAINERS)))

    def image(self, reference: str) -> Image | None:
        """Return one image, or None if the Engine does not have it."""
        with suppress(NotFound), limited(_ONE_CONTAINER):
            return docker_json.inspected_image(object_of(self._client.inspect_image(reference)))  # type: ignore[no-untyped-call]  # docker-py's
        return None

    def networks(self) -> tuple[str, ...]:
        """Return the names of all networks."""
        return docker_json.names(objects_of(self._client.networks(), "its list of networks", most=_MOST_CONTAINERS))

    def volumes(self) -> tuple[str, ...]:
        """Return the names of all volumes."""
        found = object_of(self._client.volumes()).get("Volumes") or []
        return docker_json.names(objects_of(found, "its list of volumes", most=_MOST_IMAGES))

    def sample(self, which: str) -> docker_json.UsageSample:
        """Return a container's usage so far, without the second that the Engine would wait for a comparison."""
        with limited(_SHORT):
            return docker_json.UsageSample(object_of(self._client.stats(which, stream=False, one_shot=True)))


def _client(address: EngineAddress, timeout: float, version: str) -> _BoundedApi:
    client = _BoundedApi(base_url=address.url, version=version, timeout=timeout, tls=bool(address.tls))  # type: ignore[arg-type]  # seconds may have a fraction
    # Connect only to this Engine, whatever address an answer names.
    client.adapters.clear()
    client.mount(client.base_url, BoundedAdapter(address, within=timeout, size=_CONNECTIONS))
    # Ignore the proxies and passwords in the environment; they are for other programs.
    client.trust_env = False
    return client


def _number(version: object) -> tuple[int, int]:
    if (found := major_minor(text_of(version, "ApiVersion"))) is None:
        raise Unreadable("ApiVersion is not a version")
    return found
