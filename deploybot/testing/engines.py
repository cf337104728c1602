"""A Docker Engine in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from deploybot.domain import Container, EngineEvent, Image, Usage
from deploybot.errors import EngineError, Unreachable


class FakeEngine:
    """`ports.Engine`. Its attributes are what it answers; set `down` to a reason and it answers nothing.

    `all` holds the containers by project, `chunks` the log of a container by its id, as raw chunks.
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

    async def version(self) -> str:
        """The version."""
        self._reach()
        return self._version

    async def containers(self, project: str) -> tuple[Container, ...]:
        """The containers of a project."""
        self._reach()
        return tuple(self.all.get(project, ()))

    async def images(self) -> tuple[Image, ...]:
        """The images."""
        self._reach()
        return tuple(self.all_images)

    async def usage(self, container: str, *, quick: bool = False) -> Usage:
        """What `usages` says of a container, unknown where it says nothing."""
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
        """All chunks of a container's log, or its last lines; a followed one ends with them."""
        self._reach()
        del since, follow, times, timeout  # the chunks are what a test wants to come
        if container not in self.chunks:
            raise EngineError(f"there is no container {container}")
        chunks = self.chunks[container]
        if tail is not None:
            lines = b"".join(chunks).splitlines(keepends=True)
            chunks = lines[max(0, len(lines) - tail) :]
        for chunk in chunks:
            yield chunk

    async def events(self, *, since: float = 0.0, timeout: float = 3600.0) -> AsyncIterator[EngineEvent]:
        """The events from `since` on."""
        self._reach()
        del timeout  # it ends with the last event
        for event in self.all_events:
            if event.at >= since:
                yield event

    def _reach(self) -> None:
        if self.down:
            raise Unreachable(self._name, self.down)
