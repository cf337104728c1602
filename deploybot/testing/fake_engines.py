"""A Docker Engine in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from deploybot.domain import Container, EngineEvent, EngineFacts, Image, Usage
from deploybot.errors import EngineError, Unreachable


class FakeEngine:
    """`ports.Engine`. Its attributes are its answers. Set `down` to a reason to make every call fail.

    `all` has the containers by project; containers without a project are under an empty name. `chunks` has the log of a
    container by its id, as raw chunks.
    """

    def __init__(self, name: str = "web1", version: str = "27.0.0") -> None:
        """Take the server's name and the Engine's version."""
        self._name = name
        self._version = version
        self.down = ""
        self.all: dict[str, Sequence[Container]] = {}
        self.all_images: Sequence[Image] = ()
        self.all_events: Sequence[EngineEvent] = ()
        self.usages: dict[str, Usage] = {}
        self.chunks: dict[str, Sequence[bytes]] = {}
        self.engine_facts = EngineFacts(id=f"engine-{name}", version=version, root="/var/lib/docker")
        self.all_networks: Sequence[str] = ()
        self.all_volumes: Sequence[str] = ()

    async def version(self) -> str:
        """Return the version."""
        self._reach()
        return self._version

    async def info(self) -> EngineFacts:
        """Return the facts of the Engine."""
        self._reach()
        return self.engine_facts

    async def containers(self, project: str) -> tuple[Container, ...]:
        """Return the containers of a project."""
        self._reach()
        return tuple(self.all.get(project, ()))

    async def all_containers(self) -> tuple[Container, ...]:
        """Return all containers, without the values that a list does not have."""
        self._reach()
        found = [replace(one, project=project) for project, some in self.all.items() for one in some]
        return tuple(replace(one, health="", started=0.0, restarts=0, exit_code=0) for one in found)

    async def images(self) -> tuple[Image, ...]:
        """Return the images."""
        self._reach()
        return tuple(self.all_images)

    async def image(self, reference: str) -> Image | None:
        """Return the image that has this id, tag or digest."""
        self._reach()
        return next((one for one in self.all_images if reference in {one.id, *one.tags, *one.digests}), None)

    async def networks(self) -> tuple[str, ...]:
        """Return the networks."""
        self._reach()
        return tuple(self.all_networks)

    async def volumes(self) -> tuple[str, ...]:
        """Return the volumes."""
        self._reach()
        return tuple(self.all_volumes)

    async def usage(self, container: str, *, quick: bool = False) -> Usage:
        """Return a container's usage in `usages`; unknown by default."""
        self._reach()
        known = self.usages.get(container, Usage())
        return Usage(-1.0, known.memory, known.memory_limit) if quick else known

    async def logs(
        self,
        container: str,
        *,
        tail: int | None,
        since: float = 0.0,
        follow: bool = False,
        times: bool = True,
        timeout: float = 600.0,
    ) -> AsyncIterator[bytes]:
        """Yield all chunks of a container's log, or its last lines. A followed log ends with them."""
        self._reach()
        del since, follow, times, timeout  # a test sets all chunks that arrive
        if container not in self.chunks:
            raise EngineError(f"there is no container {container}")
        chunks = self.chunks[container]
        if tail is not None:
            lines = b"".join(chunks).splitlines(keepends=True)
            chunks = lines[max(0, len(lines) - tail) :]
        for chunk in chunks:
            yield chunk

    async def events(self, *, since: float = 0.0, timeout: float = 3600.0) -> AsyncIterator[EngineEvent]:
        """Yield the events from `since` on."""
        self._reach()
        del timeout  # it ends with the last event
        for event in self.all_events:
            if event.at >= since:
                yield event

    def _reach(self) -> None:
        if self.down:
            raise Unreachable(self._name, self.down)
