"""A shop that runs in Docker Compose: the whole deployment engine, on a real Docker Engine without sshd between."""

from __future__ import annotations

import asyncio
import itertools
import json
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploybot.card import Card
from deploybot.command import Context, Incoming, Services
from deploybot.deployments.deployment_service import DeploymentEngine
from deploybot.domain import Channel, Deployment, Identity, Person, Plan, Release, Role, ServerFacts, State, StepRow
from deploybot.engine.docker_engine import DockerEngine
from deploybot.masking import Redactor
from deploybot.ports import Images, Tables
from deploybot.settings import App, Environment, Settings
from deploybot.sources.git_source import GitSource
from deploybot.sources.no_repository import Repositories
from deploybot.store.database import Database
from deploybot.testing import FakeCodeSecrets, FakeLogs, FakeStatus, memory_store
from deploybot.wiring.deployment_wiring import deployments
from deploybot.wiring.infrastructure import Infrastructure, SystemClock
from tests.kit.everything import EVERYTHING, one_of
from tests.kit.settings import bot_settings
from tests.lab import COMPOSE_ALONE, Engine, Registry, Repo, web
from tests.lab.sshd import COMPOSE_1, COMPOSE_5
from tests.strategies.conftest import busybox_path
from tests.strategies.local_host import LocalHost, LocalServers

ENDS_WITHIN = 100
CHANNEL = Channel("console", "console")
SERVE = 'trap "exit 0" TERM; httpd -f -p 8000 -h /www & wait'
DOCKERFILE = "FROM lab/busybox\nCOPY www /www\n"
YAML = f"""
services:
  web:
    build: .
    command: ["sh", "-c", '{SERVE}']
    ports: ["8000:8000"]
    environment:
      SECRET: ${{SECRET:-}}
    healthcheck:
      test: ["CMD-SHELL", "wget -q -O /dev/null http://127.0.0.1:8000/healthz"]
      interval: 1s
      timeout: 10s
      retries: 3
  db:
    image: lab/busybox
    command: ["sh", "-c", 'trap "exit 0" TERM; sleep 100000 & wait']
    volumes: ["data:/data"]
    healthcheck: {{test: ["CMD", "true"], interval: 2s}}
volumes:
  data: {{}}
"""
_NO_PLUGIN = """#!/bin/sh
case $1 in compose)
    echo "docker: 'compose' is not a docker command." >&2
    exit 1
    ;;
esac
exec /usr/bin/docker "$@"
"""


@dataclass(frozen=True)
class ComposeInstall:
    """A way to have Compose on a server: the plugin, or `docker-compose` in a folder of PATH."""

    name: str
    alone: Path | None = None
    busybox: bool = False

    def __str__(self) -> str:
        return self.name


PLUGIN = ComposeInstall("plugin")
ALPINE = ComposeInstall("alone, busybox", COMPOSE_ALONE, busybox=True)
ONE = ComposeInstall("1", COMPOSE_1)
FIVE = ComposeInstall("5", COMPOSE_5)


@dataclass
class ComposeShop:
    """The deployment engine around one server, and words for what tests do with it."""

    settings: Settings
    store: Database
    host: LocalHost
    docker: DockerEngine
    refs: GitSource
    directory: Path
    person: Person
    deployments: DeploymentEngine = field(init=False)
    ids: itertools.count[int] = field(default_factory=itertools.count)
    images: Images | None = None

    def __post_init__(self) -> None:
        ports = Infrastructure(
            store=self.store,
            servers=LocalServers(self.host, self.docker),
            refs=Repositories(self.refs),
            redactor=Redactor(),
            clock=SystemClock(),
            images=self.images,
        )
        self.deployments = deployments(self.settings, ports, FakeCodeSecrets())

    @property
    def app(self) -> App:
        return self.settings.apps["shop"]

    @property
    def production(self) -> Environment:
        return self.app.environments["production"]

    def set_compose(self, **more: object) -> None:
        """Change keys of bot.toml's `compose` table, and start the bot again."""
        compose = self.app.compose.model_copy(update=more)
        self.settings.apps["shop"] = self.app.model_copy(update={"compose": compose})
        self.__post_init__()

    def set_app(self, **more: object) -> None:
        """Change keys of the app in bot.toml, and start the bot again."""
        self.settings.apps["shop"] = self.app.model_copy(update=more)
        self.__post_init__()

    async def release(self, ref: str) -> Release:
        return await self.deployments.releases.resolve(self.app, self.production, ref)

    async def plan(self, ref: str | Release, **more: Any) -> Plan:  # noqa: ANN401 - the planner's own keywords
        """What would be done."""
        release = ref if isinstance(ref, Release) else await self.release(ref)
        return await self.deployments._planner.deploy(self.app, self.production, release, **more)

    async def deploy(self, ref: str | Release, **more: Any) -> Deployment:  # noqa: ANN401 - those of `request`
        """Ask for a deployment and see it to its end."""
        release = ref if isinstance(ref, Release) else await self.release(ref)
        return await self._ended(self.deployments.request(self._ctx(), self.app, self.production, release, **more))

    async def good(self, ref: str | Release, **more: Any) -> Deployment:  # noqa: ANN401 - those of `request`
        """Deploy something that has to succeed."""
        ended = await self.deploy(ref, **more)
        assert ended.state is State.SUCCEEDED, (ended.outcome, ended.tail)
        return ended

    async def restart(self) -> Deployment:
        return await self._ended(self.deployments.restart(self._ctx(), self.app, self.production))

    async def task(self, name: str) -> Deployment:
        return await self._ended(self.deployments.task(self._ctx(), self.app, self.production, name))

    async def steps(self, deployment: Deployment) -> tuple[StepRow, ...]:
        return await self.store.read(lambda tables: tables.deployments.steps(deployment.number))

    async def facts(self) -> ServerFacts:
        return await self.host.facts(str(self.directory))

    async def seen(self, number: int, state: State) -> None:
        """Wait until a deployment is in a state."""
        async with asyncio.timeout(ENDS_WITHIN):
            while True:
                one = await self.deployments.get(number)
                if one and one.state is state:
                    return
                await asyncio.sleep(0.05)

    async def said(self, words: str) -> None:
        """Wait until a job says something."""
        async with asyncio.timeout(ENDS_WITHIN):
            while True:
                if words in self.host.said:
                    return
                await asyncio.sleep(0.05)

    def folder(self, release: str) -> Path:
        """The folder of a release."""
        return self.directory / "releases" / release

    def break_dockerfile(self, release: str) -> None:
        """Whoever builds this release from now on fails."""
        (self.folder(release) / "Dockerfile").write_text("FROM nothing/at/all\n")

    async def _ended(self, asked: Awaitable[Card]) -> Deployment:
        number = int((await asked).key.partition(":")[2])
        async with asyncio.timeout(ENDS_WITHIN):
            await self.deployments.queue.idle(number)
        found = await self.deployments.get(number)
        assert found is not None
        return found

    def _ctx(self) -> Context:
        number = str(next(self.ids))
        incoming = Incoming(identity=Identity("console", "1"), channel=CHANNEL, text="", id=number, at=0.0)
        services = Services(
            settings=self.settings,
            deployments=self.deployments,
            releases=self.deployments.releases,
            status=FakeStatus(),
            logs=FakeLogs(),
            locks=_Unused(),
            freezes=_Unused(),
            people=_Unused(),
        )
        return Context(incoming=incoming, person=self.person, services=services, reply=_silence, reason="")


class _Unused:
    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - it stands for anything
        raise AssertionError(f"{name} has no part in deployments")


async def _silence(card: Card) -> None:
    del card


MakeShop = Callable[..., Awaitable[ComposeShop]]


def session(folder: Path, flavour: ComposeInstall, engine: Engine) -> tuple[str, dict[str, str]]:
    """A server's shell, and the environment of a session there."""
    config = folder / "docker-config"
    config.mkdir()
    path = busybox_path(folder / "busybox") if flavour.busybox else "/usr/bin:/bin"
    shell = f"{path}/sh" if flavour.busybox else "/bin/dash"
    if flavour.alone:
        programs = folder / "programs"
        programs.mkdir()
        (programs / "docker").write_text(_NO_PLUGIN)
        (programs / "docker").chmod(0o755)
        path = f"{flavour.alone}:{programs}:{path}"
    home = folder / "home"
    (home / ".deploybot").mkdir(parents=True)
    return shell, {"PATH": path, "HOME": str(home), "DOCKER_HOST": engine.url, "DOCKER_CONFIG": str(config)}


def compose_settings(folder: Path, repo: Repo | None, **app: object) -> Settings:
    """bot.toml of the shop; `app` adds keys to it."""
    shop = {
        "repo": repo.url if repo else None,
        "strategy": "compose",
        "directory": str(folder / "srv/shop"),
        "stable": "0.5s",
        "restore_within": "30s",
    }
    return bot_settings(folder / "data", apps={"shop": shop | app}, values={"X": "s3cr3t-value"})


@pytest.fixture
async def make_shop(engine: Engine, tmp_path: Path) -> AsyncIterator[MakeShop]:
    """Make the shop, with nothing deployed yet, on the laboratory's Engine."""
    docker = DockerEngine("web1", engine.url, timeout=30)
    async with memory_store() as store:
        made: list[ComposeShop] = []

        async def make(
            repo: Repo | None, flavour: ComposeInstall = PLUGIN, *, images: Images | None = None, **app: object
        ) -> ComposeShop:
            shell, env = session(tmp_path, flavour, engine)
            settings = compose_settings(tmp_path, repo, **app)
            (tmp_path / "jobs").mkdir()
            (tmp_path / "srv/shop").mkdir(parents=True)
            shop = ComposeShop(
                settings=settings,
                store=store,
                host=LocalHost("web1", tmp_path / "jobs", shell, env),
                docker=docker,
                refs=GitSource(settings.bot.data, Redactor()),
                directory=tmp_path / "srv/shop",
                person=await store.write(_hire),
                images=images,
            )
            made.append(shop)
            return shop

        try:
            yield make
        finally:
            for shop in made:
                await shop.deployments.queue.close()
                shop.host.close()
            await docker.close()


def _hire(tables: Tables) -> Person:
    """Ana, who may deploy everything."""
    ana = tables.people.add("ana", Identity("console", "1"))
    tables.people.grant(ana.id, Role.DEPLOYER)
    return ana


@pytest.fixture
def trusted(engine: Engine, registry: Registry) -> Registry:
    engine.trust(registry)
    return registry


def page(engine: Engine) -> str:
    with urllib.request.urlopen(f"http://{engine.address}:8000/", timeout=20) as reply:
        return str(reply.read().decode())


def container(engine: Engine, service: str, project: str = "shop-production") -> dict[str, object]:
    """What `docker inspect` says of a service's only container."""
    filters = (f"label=com.docker.compose.project={project}", f"label=com.docker.compose.service={service}")
    ids = engine.docker("ps", "-aq", *(word for text in filters for word in ("--filter", text))).split()
    assert len(ids) == 1, (service, ids)
    (found,) = json.loads(engine.docker("inspect", ids[0]))
    assert isinstance(found, dict)
    return found


def labels(engine: Engine, service: str) -> dict[str, str]:
    config = container(engine, service)["Config"]
    assert isinstance(config, dict)
    return dict(config["Labels"])


def image_of(engine: Engine, service: str, project: str = "shop-production") -> str:
    return str(container(engine, service, project)["Image"])


def our_images(engine: Engine) -> set[str]:
    """The ids of the images that have a tag of ours."""
    words = ("--no-trunc", "--format", "{{.ID}}", "deploybot/shop-production/*")
    return set(engine.docker("image", "ls", *words).split())


def push(engine: Engine, registry: Registry, text: str, tag: str = "latest") -> str:
    """Make a tag of the registry's `shop` mean an image that serves `text`; its digest. The engine does not keep it."""
    name = registry.name("shop", tag)
    engine.load(web(name, text))
    engine.docker("push", name)
    digests = engine.docker("image", "inspect", "--format", '{{join .RepoDigests "\\n"}}', name).split()
    engine.docker("image", "rm", name)
    # Another test may have pushed the same image under another name.
    return next(digest for digest in digests if digest.partition("@")[0] == name.rpartition(":")[0])


@pytest.fixture(params=(ONE, PLUGIN, FIVE) if EVERYTHING else ("by turns",), ids=str)
def flavour(request: pytest.FixtureRequest) -> ComposeInstall:
    """A version of Compose: tests take them by turns, except where their subject differs between versions."""
    if isinstance(request.param, ComposeInstall):
        return request.param
    return one_of((ONE, PLUGIN, FIVE), request.function.__name__)


def with_compose(*some: ComposeInstall) -> pytest.MarkDecorator:
    """Run a test with these versions."""
    return pytest.mark.parametrize("flavour", some, ids=[one.name for one in some], indirect=True)
