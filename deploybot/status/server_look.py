"""What servers report now: all are asked at the same time, each part with its own deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from deploybot.domain import Container, EngineFacts, Observed, ServerFacts, Usage
from deploybot.errors import DeploybotError
from deploybot.observed_state import runs_containers
from deploybot.observed_state import within as within_seconds
from deploybot.ports import Engine, Host, Servers
from deploybot.settings import App, Environment, HealthSettings, project_name

T = TypeVar("T")

LOOK_WITHIN = 5.0
"""Seconds for a server to answer; what has not arrived by then is unknown."""
USAGE_GRACE = 0.05
"""Seconds that a quick look waits for CPU and memory when all else is there; later values are shown the next time."""
USAGE_STALE = 600.0
"""Seconds after which a container's CPU and memory are unknown again."""
_REMEMBERED = 5000

Target = tuple[App, Environment]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLook:
    """What was found of one app on one server. A part is an error if no answer came, None if it was not asked.

    `health` is empty if the health check of bot.toml passes, else what the check saw. `usage` is by container id.
    """

    server: str
    facts: ServerFacts | DeploybotError
    containers: tuple[Container, ...] | DeploybotError | None = None
    health: str | DeploybotError | None = None
    usage: dict[str, Usage] = field(default_factory=dict)

    def observed(self, project: str, at: float) -> Observed | None:
        """Return the observed state, for the judgement; None if the server did not answer."""
        if isinstance(self.facts, DeploybotError):
            return None
        if not isinstance(self.containers, tuple):
            return Observed(facts=self.facts, at=at)
        return Observed(facts=self.facts, project=project, containers=self.containers, engine=EngineFacts(), at=at)


class ServerLooker:
    """Asks servers for their state."""

    def __init__(self, servers: Servers) -> None:
        """Take the port."""
        self._servers = servers
        self._usage: dict[str, tuple[float, Usage]] = {}
        self._late: set[asyncio.Task[None]] = set()

    async def facts(self, server: str) -> ServerFacts | DeploybotError:
        """Return the facts about a server."""
        return await within(lambda: self._servers.host(server).facts(timeout=LOOK_WITHIN), server)

    async def look(self, target: Target, server: str, *, quick: bool) -> ServerLook:
        """Return what is found of an app on a server; `quick` uses the CPU and memory values at hand."""
        environment = target[1]
        app = target[0].at(environment)
        host, engine = self._servers.host(server), self._servers.engine(server)
        health, directory = app.health, app.bot_folder
        facts, containers, healthy = await asyncio.gather(
            within(lambda: host.facts(directory, timeout=LOOK_WITHIN, docker=False), server),
            self._containers(engine, project_name(app, environment), server) if runs_containers(app) else nothing(),
            self._healthy(host, health, server) if health and (health.http or health.tcp) else nothing(),
        )
        usage: dict[str, Usage] = {}
        if engine and isinstance(containers, tuple):
            running = [one.id for one in containers if one.state == "running"]
            usage = await self._usages(engine, running, quick=quick)
        return ServerLook(server=server, facts=facts, containers=containers, health=healthy, usage=usage)

    async def _containers(
        self, engine: Engine | None, project: str, server: str
    ) -> tuple[Container, ...] | DeploybotError | None:
        if engine is None:
            return None
        found = await within(lambda: engine.containers(project), f"Docker on {server}")
        return tuple(one for one in found if not one.oneoff) if isinstance(found, tuple) else found

    async def _healthy(self, host: Host, health: HealthSettings, server: str) -> str | DeploybotError:
        """Return an empty string if the check of bot.toml passes now, else what it saw."""
        if address := health.http:
            answer = await within(
                lambda: host.http_status(address, timeout=LOOK_WITHIN), f"the health check on {server}"
            )
            if isinstance(answer, DeploybotError):
                return answer
            status, _ = answer
            good = status == health.status or (not health.status and 200 <= status < 300)  # noqa: PLR2004  any 2xx
            return "" if good else f"answers {status}"
        name, _, port = (health.tcp or "").rpartition(":")
        opened = await within(lambda: host.tcp_open(name.strip("[]"), int(port), timeout=LOOK_WITHIN), server)
        return opened if isinstance(opened, DeploybotError) else ""

    async def _usages(self, engine: Engine, containers: Sequence[str], *, quick: bool) -> dict[str, Usage]:
        tasks = [asyncio.create_task(self._learn_usage(engine, one, quick=quick)) for one in containers]
        if tasks:
            # Docker before 25 may take a second per container: a board does not wait for that.
            await asyncio.wait(tasks, timeout=USAGE_GRACE if quick else LOOK_WITHIN)
        for task in tasks:
            if not task.done():
                self._late.add(task)
                task.add_done_callback(self._late.discard)
        fresh = asyncio.get_running_loop().time() - USAGE_STALE
        known = {one: self._usage[one] for one in containers if one in self._usage}
        return {one: usage for one, (at, usage) in known.items() if at > fresh}

    async def _learn_usage(self, engine: Engine, container: str, *, quick: bool) -> None:
        found = await within(lambda: engine.usage(container, quick=quick), "Docker")
        if isinstance(found, Usage):
            if len(self._usage) > _REMEMBERED:
                self._usage.clear()
            self._usage[container] = asyncio.get_running_loop().time(), found


async def nothing() -> None:
    """Return None for a part that is not asked."""


async def within(ask: Callable[[], Awaitable[T]], what: str) -> T | DeploybotError:
    """Ask, and return the answer or the error why it did not arrive in time."""
    return await within_seconds(ask, what, LOOK_WITHIN)
