"""A shop on two servers in memory, with the real database, strategy and deployment engine."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from deploybot.card import Card
from deploybot.command import Context, Incoming, Services
from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.deployment_card import key
from deploybot.deployments.deployment_service import DeploymentEngine
from deploybot.domain import Deployment, Identity, Person, Place, Release, Role, Running
from deploybot.masking import Redactor
from deploybot.ports import Tables
from deploybot.settings import App, Environment, Settings
from deploybot.store.database import Database
from deploybot.testing import (
    FakeClock,
    FakeCodeSecrets,
    FakeHost,
    FakeImages,
    FakeLogs,
    FakeRefs,
    FakeServers,
    FakeStatus,
    Outcome,
    memory_store,
)
from deploybot.wiring.deployment_wiring import deployments
from deploybot.wiring.infrastructure import Infrastructure

V1, V2, V3 = (Release.of_commit(digit * 40, f"v{digit}") for digit in "123")
PLACE = Place("console", "console")
HEALTH = "http://127.0.0.1:8000/healthz"
SECRET = "correct-horse-battery"
NO_RIGHT = "`deploy` needs the role deployer on shop/production; you have no role there."


class Ticking(FakeClock):
    """A clock on which a quarter of a second passes whenever somebody looks at it."""

    def now(self) -> float:
        self.advance(0.25)
        return FakeClock.now(self)


class PausingStop(CancellationWatch):
    """A wish to stop whose pauses pass on the clock; `pauses` are their seconds."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock
        self.pauses: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.pauses.append(seconds)


def settings_of(data: Path, **environment: object) -> Settings:
    """bot.toml of the shop; `environment` adds keys to production."""
    made = Settings.model_validate(
        {
            "bot": {"data": str(data)},
            "servers": {name: {"name": name, "ssh": f"deploy@{name}"} for name in ("web1", "web2")},
            "apps": {
                "shop": {
                    "name": "shop",
                    "repo": "git@example.com:acme/shop.git",
                    "strategy": "files",
                    "directory": "/srv/shop",
                    "restart": "./restart",
                    "health": {"http": HEALTH, "within": "2s"},
                    "restore_within": "1s",
                    "secrets": {"TOKEN": {"env": "TOKEN"}},
                    "tasks": {"migrate": "./migrate"},
                    "environments": {
                        "production": {"name": "production", "app": "shop", "servers": ["web1", "web2"], **environment},
                        "staging": {"name": "staging", "app": "shop", "servers": ["web1"]},
                    },
                }
            },
        }
    )
    made.apps["shop"].secrets["TOKEN"]._value = SECRET
    return made


@dataclass(slots=True)
class Shop:
    """The engine with everything around it, and words for what tests do with it."""

    settings: Settings
    store: Database
    hosts: FakeServers
    refs: FakeRefs
    clock: FakeClock
    images: FakeImages = field(default_factory=FakeImages)
    codes: FakeCodeSecrets = field(default_factory=FakeCodeSecrets)
    on_end: Callable[[str], object] = lambda _: None
    deployments: DeploymentEngine = field(init=False)
    person: Person = field(init=False)
    ids: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.start_bot()

    def start_bot(self) -> None:
        """A bot as it is right after a start: nothing in memory."""
        world = Infrastructure(
            store=self.store,
            servers=self.hosts,
            refs=self.refs,
            redactor=Redactor((SECRET,)),
            clock=self.clock,
            images=self.images,
        )
        self.deployments = deployments(self.settings, world, self.codes, on_end=self._ended)

    def _ended(self, app: str) -> None:
        self.on_end(app)

    @property
    def app(self) -> App:
        return self.settings.apps["shop"]

    @property
    def production(self) -> Environment:
        return self.app.environments["production"]

    def ctx(self, reason: str = "") -> Context:
        """A command of ana's."""
        incoming = Incoming(
            identity=Identity("console", "1000"), place=PLACE, text="", id=str(next(self.ids)), at=self.clock.now()
        )
        services = Services(
            settings=self.settings,
            deployments=self.deployments,
            releases=self.deployments.releases,
            status=FakeStatus(),
            logs=FakeLogs(),
            locks=_Nothing(),
            people=_Nothing(),
        )
        return Context(incoming=incoming, person=self.person, services=services, reply=_silence, reason=reason)

    async def lose_right(self) -> None:
        """Ana may do nothing any more."""
        await self.store.write(lambda tables: tables.people.revoke(self.person.id))

    async def ask(self, release: Release, **more: object) -> Card:
        """Ask for a deployment to production."""
        return await self.deployments.request(self.ctx(), self.app, self.production, release, **more)  # type: ignore[arg-type]

    async def end_of(self, number: int) -> Deployment:
        """A deployment once it has ended and its clean-up is over."""
        async with asyncio.timeout(20):
            await self.deployments.queue.idle(number)
        found = await self.deployments.get(number)
        assert found is not None
        return found

    async def deploy(self, release: Release, **more: object) -> Deployment:
        """Ask for a deployment and see it to its end."""
        card = await self.ask(release, **more)
        return await self.end_of(int(card.key.partition(":")[2]))

    async def card(self, number: int) -> Card:
        """What the outbox holds for a deployment now."""
        items = await self.store.read(lambda tables: tables.outbox.due(self.clock.now() + 1, 1000))
        return next(item.card for item in items if item.key == key(number))

    async def running(self) -> dict[str, Running]:
        rows = await self.store.read(lambda tables: tables.running.get("shop", "production"))
        return {row.server: row for row in rows}

    def log_of(self, number: int) -> str:
        """The full log of a deployment."""
        return Path(self.deployments.log_file(number)).read_text()

    async def started(self, number: int, script: str, server: str = "web1", phase: str = "") -> str:
        """The id of a job, once it was started."""
        async with asyncio.timeout(10):
            while True:
                for one in self.hosts[server].started:
                    if one.script == script and one.job.startswith(f"{number}-{phase}"):
                        return one.job
                await asyncio.sleep(0)


class _Nothing:
    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  it stands for anything
        raise AssertionError(f"{name} has no part in deployments")


async def _silence(card: Card) -> None:
    del card


def fetched(host: FakeHost, env: Mapping[str, str]) -> None:
    """What the script `fetch` leaves on a server."""
    facts = host.server_facts
    host.server_facts = replace(facts, releases=tuple(dict.fromkeys((*facts.releases, env["DEPLOYBOT_RELEASE"]))))


def switched(host: FakeHost, env: Mapping[str, str]) -> None:
    """What the script `switch` leaves on a server."""
    host.server_facts = replace(host.server_facts, current=env["DEPLOYBOT_RELEASE"])


GOOD_SWITCH = Outcome(effect=switched, log=b"switched\n")


@asynccontextmanager
async def make_shop(folder: Path, **environment: object) -> AsyncIterator[Shop]:
    """The shop, with nothing deployed yet."""
    hosts = [FakeHost(name) for name in ("web1", "web2")]
    for host in hosts:
        host.script("fetch", Outcome(effect=fetched))
        host.script("switch", GOOD_SWITCH)
    refs = FakeRefs(folder, v1=V1.id, v2=V2.id, v3=V3.id)
    async with memory_store(Redactor((SECRET,))) as store:
        shop = Shop(settings_of(folder / "data", **environment), store, FakeServers(hosts), refs, Ticking())
        shop.person = await store.write(_hire)
        try:
            yield shop
        finally:
            await shop.deployments.queue.close()


def _hire(tables: Tables) -> Person:
    """Ana, who may deploy everything."""
    ana = tables.people.add("ana", Identity("console", "1000"))
    tables.people.grant(ana.id, Role.DEPLOYER)
    return ana


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    async with make_shop(tmp_path) as made:
        yield made
