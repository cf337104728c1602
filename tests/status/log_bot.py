"""An app on two servers whose containers write when a test says so, and a person who reads."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import cast

from deploybot.applogs.deployment_logs import DeploymentLogs
from deploybot.applogs.log_reader import AppLogs
from deploybot.card import Card
from deploybot.command import Context, Incoming, Services
from deploybot.command_parameters import Follow
from deploybot.domain import Channel, Container, Deployment, Identity
from deploybot.domain.log_query import LogQuery
from deploybot.errors import DeploybotError
from deploybot.masking import Redactor
from deploybot.settings import App, Environment, Settings
from deploybot.testing import FakeClock, FakeEngine, FakeHost, FakeServers
from tests.kit.settings import bot_settings

SECRET = "correct-horse-battery"


def container_app(data: Path, **app: object) -> Settings:
    """The shop in containers on web1 and web2; `app` adds keys to it."""
    return bot_settings(data, servers=("web1", "web2"), apps={"shop": {"strategy": "compose", **app}})


def container(name: str, service: str = "web", **more: object) -> Container:
    """A container that runs."""
    known: dict[str, object] = {"id": name, "name": name, "service": service, "image": "shop", "state": "running"}
    return Container(**(known | more))  # type: ignore[arg-type]  # the example's own fields


def stamped(second: int, text: str) -> bytes:
    """A line as Docker gives it."""
    return f"2026-11-21T01:23:{second:02}.000000000Z {text}\n".encode()


class LiveEngine(FakeEngine):
    """An Engine whose followed logs go on: `write`, `end` and `fail` make them."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, int | None, float]] = []
        self.times: list[bool] = []
        self._live: dict[str, asyncio.Queue[bytes | DeploybotError | None]] = {}

    def write(self, container: str, chunk: bytes) -> None:
        """Let a container print."""
        self._queue(container).put_nowait(chunk)

    def end(self, container: str) -> None:
        """Let a container's log come to its end."""
        self._queue(container).put_nowait(None)

    def fail(self, container: str, problem: DeploybotError) -> None:
        """Break a log off."""
        self._queue(container).put_nowait(problem)

    def _queue(self, container: str) -> asyncio.Queue[bytes | DeploybotError | None]:
        return self._live.setdefault(container, asyncio.Queue())

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
        self.asked.append((container, tail, since))
        self.times.append(times)
        if not follow:
            async for chunk in super().logs(container, tail=tail, since=since, times=times, timeout=timeout):
                yield chunk
            return
        self._reach()
        while (said := await self._queue(container).get()) is not None:
            if isinstance(said, DeploybotError):
                raise said
            yield said


class LogReader:
    """A person who asks for logs; `cards` and `lines` are what replies have shown."""

    def __init__(self, logs: AppLogs, app: App, environment: Environment, user: str = "0") -> None:
        self.user = user
        self.logs = logs
        self.app = app
        self.environment = environment
        self.cards: list[Card] = []
        self._shown = asyncio.Event()

    @property
    def lines(self) -> list[str]:
        """All lines that replies brought."""
        return [line for card in self.cards for line in card.code]

    async def show(self, **query: object) -> Card:
        """Ask for a log, and return the closing card."""
        return await self.logs.show(self._context(), self.app, self.environment, LogQuery(**query))  # type: ignore[arg-type]

    async def of_deployment(self, deployment: Deployment, **query: object) -> Card:
        """Ask for a deployment's log, and return the closing card."""
        return await self.logs.of_deployment(self._context(), deployment, LogQuery(**query))  # type: ignore[arg-type]

    def follow(self, **query: object) -> asyncio.Task[Card]:
        """Follow a log."""
        return asyncio.create_task(self.show(follow=True, **query))

    async def until(self, condition: Callable[[], bool]) -> None:
        """Return when replies have made a condition true."""
        async with asyncio.timeout(30):
            while not condition():
                await self._shown.wait()
                self._shown.clear()

    def _context(self) -> Context:
        async def reply(card: Card) -> None:
            self.cards.append(card)
            self._shown.set()

        incoming = Incoming(
            identity=Identity("console", self.user), channel=Channel("console", "1"), text="", id="", at=0.0
        )
        return Context(incoming=incoming, person=None, services=cast("Services", None), reply=reply)


async def always(incoming: Incoming, follow: Follow) -> bool:
    """Let everybody read every log."""
    del incoming, follow
    return True


class KeptLogs:
    """The logs of deployments, as files that a test writes."""

    def __init__(self) -> None:
        self.rows: dict[int, Deployment] = {}
        self.parts: list[tuple[str, Path]] = []

    async def get(self, number: int) -> Deployment | None:
        return self.rows.get(number)

    async def log_parts(self, number: int) -> list[tuple[str, Path]]:
        del number
        return [(name, path) for name, path in self.parts if path.exists()]

    def log_file(self, number: int) -> str:
        path = self.parts[0][1].with_name(f"deployment-{number}.txt")
        path.write_bytes(b"".join(part.read_bytes() for _, part in self.parts))
        return str(path)


class LogBot(LogReader):
    """The log service over servers that a test moves."""

    def __init__(
        self,
        data: Path,
        *,
        hosts: Mapping[str, FakeHost] | None = None,
        engines: Mapping[str, LiveEngine] | None = None,
        **app: object,
    ) -> None:
        settings = container_app(data, **app)
        self.hosts = hosts or {name: FakeHost(name) for name in ("web1", "web2")}
        self.engines = {name: LiveEngine() for name in ("web1", "web2")} if engines is None else dict(engines)
        self.clock = FakeClock(1_795_224_300.0)
        servers = FakeServers(self.hosts.values(), self.engines)
        shop = settings.apps["shop"]
        self.deployments = KeptLogs()
        self.refused: Exception | bool = False
        kept = DeploymentLogs(self.deployments, look_every=0.01)
        logs = AppLogs(settings, servers, self.clock, Redactor((SECRET,)), kept, may_read=self.may_read, ask_every=0.01)
        super().__init__(logs, shop, shop.environments["production"])

    async def may_read(self, incoming: Incoming, follow: Follow) -> bool:
        """The policy: yes, until a test sets `refused` to True or an error."""
        assert (incoming.identity.user, follow.app, follow.environment) == (self.user, "shop", "production")
        if isinstance(self.refused, Exception):
            raise self.refused
        return not self.refused

    def put(self, server: str, *containers: Container, **chunks: list[bytes]) -> None:
        """Let a server have containers and what they have written."""
        self.engines[server].all["shop-production"] = containers
        self.engines[server].chunks |= chunks
