"""A shop that deploys itself: staging from develop, production from main with an approval; a repository in memory."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deploybot.access.bot_person import make_itself
from deploybot.card import Card
from deploybot.deployments import approvals
from deploybot.domain import Author, Build, BuildState, Deployment, Event, Identity, Pin, Place, Push, State, Trigger
from deploybot.masking import Redactor
from deploybot.settings import App, Settings
from deploybot.testing import FakeHost, FakeRefs, FakeServers, Outcome, memory_store
from deploybot.wiring.autodeploy_wiring import AutomaticDeployments, autodeploy
from deploybot.wiring.infrastructure import Infrastructure
from tests.approvals.conftest import TEAM, Town, _hire
from tests.deployments.conftest import GOOD_SWITCH, HEALTH, SECRET, Shop, Ticking, fetched

CHANNEL = Place("slack", "C0SHOP12345")
GITHUB = {name: Identity("github", str(number)) for number, name in enumerate(TEAM, 500)}
STAGING = {"auto": {"branch": "develop"}}
PRODUCTION = {"auto": {"branch": "main"}, "approvals": 1}


def settings_of(
    data: Path, staging: dict[str, Any] | None = None, production: dict[str, Any] | None = None, **app: object
) -> Settings:
    """bot.toml of the shop; each environment has servers of its own."""
    places = {"staging": (["web1"], staging), "production": (["web2", "web3"], production)}
    made = Settings.model_validate(
        {
            "bot": {"data": str(data)},
            "servers": {name: {"name": name, "ssh": f"deploy@{name}"} for name in ("web1", "web2", "web3")},
            "apps": {
                "shop": {
                    "name": "shop",
                    "repo": "git@example.com:acme/shop.git",
                    "strategy": "files",
                    "directory": "/srv/shop",
                    "channel": [str(CHANNEL)],
                    "health": {"http": HEALTH, "within": "2s"},
                    "secrets": {"TOKEN": {"env": "TOKEN"}},
                    "hooks": {"github": {"secret": {"env": "HOOK"}}},
                    "environments": {
                        name: {"name": name, "app": "shop", "servers": servers, **(more or {})}
                        for name, (servers, more) in places.items()
                    },
                    **app,
                }
            },
        }
    )
    made.apps["shop"].secrets["TOKEN"]._value = SECRET
    return made


class FakeImages:
    """`ports.Images`: the pins that a test names."""

    def __init__(self) -> None:
        self.now: tuple[Pin, ...] = ()
        self.down: Exception | None = None

    async def pins(self, app: App) -> tuple[Pin, ...]:
        del app
        if self.down is not None:
            raise self.down
        return self.now

    async def unfit(self, app: App) -> dict[str, list[tuple[str, str]]]:
        del app
        return {}

    async def named(self, app: App, name: str) -> tuple[Pin, ...]:
        del app
        return tuple(pin for pin in self.now if name in {pin.tag, pin.digest})


@dataclass(slots=True)
class Yard:
    """The whole bot behind events: a town, its repository, and what looks at it."""

    town: Town
    refs: FakeRefs
    images: FakeImages
    itself: AutomaticDeployments = field(init=False)
    rung: set[str] = field(default_factory=set)
    commits: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.connect()

    def connect(self) -> None:
        """What bot.py puts together, over the town's parts."""
        shop = self.town.shop
        world = Infrastructure(
            store=shop.store,
            servers=shop.hosts,
            refs=self.refs,
            redactor=Redactor((SECRET,)),
            clock=shop.clock,
            images=self.images,
        )
        made = autodeploy(shop.settings, world, self.town.access, self.town.dispatcher)
        assert made is not None
        self.itself = made
        made.automatic._wake = self.rung.add
        shop.on_end = self.rung.add

    async def restart(self, settings: Settings | None = None) -> None:
        """The bot ends, and begins anew with what is in the database."""
        await self.town.restart(settings)
        await make_itself(self.town.store, self.town.shop.settings)
        self.connect()

    @property
    def app(self) -> App:
        return self.town.shop.settings.apps["shop"]

    def commit(self, branch: str, message: str = "Change things", *, paths: tuple[str, ...] = (), on: str = "") -> str:
        """A commit on a branch, or on another commit: the other side has it now."""
        made = f"{next(self.commits):040x}"
        self.refs.parents[made] = on or self.refs.branches.get(branch, "")
        self.refs.branches[branch] = made
        self.refs.messages[made] = message
        self.refs.paths[made] = paths
        return made

    async def hear(self, event: Event) -> str:
        return await self.itself.automatic.handle_event(self.app, event, "d1")

    async def push(self, branch: str, message: str = "Change things", *, by: str = "ana", **more: Any) -> str:  # noqa: ANN401  it is passed on
        """A commit on a branch of which the forge tells; the bot looks."""
        before = self.refs.branches.get(branch, "")
        made = self.commit(branch, message, **more)
        author = Author(by.capitalize(), GITHUB.get(by))
        await self.hear(Push(sender="github", branch=branch, before=before, after=made, by=author))
        await self.look()
        return made

    async def built(self, commit: str, state: BuildState = BuildState.PASSED, name: str = "test", **more: Any) -> None:  # noqa: ANN401  it is passed on
        """CI tells of a build; the bot looks."""
        key = more.pop("key", name)
        await self.hear(Build(sender="github", key=key, name=name, state=state, commit=commit, **more))
        await self.look()

    async def look(self) -> float:
        return await self.itself.automatic.look(self.app)

    async def settle(self) -> None:
        """Look as often as something rings, and let everything that has begun come to its end."""
        while True:
            waits = [number for number, task in self.town.shop.deployments.queue._tasks.items() if not task.done()]
            begun = [number for number in waits if not (await self.town.deployment(number)).awaits_approval]
            for number in begun:
                await self.town.end_of(number)
            if not begun and not self.rung:
                return
            self.rung.clear()
            await self.look()

    async def deployed(self, environment: str = "staging") -> list[str]:
        """The commits of all deployments of an environment, the first one first."""
        return [one.plan.release.code or "" for one in await self.deployments(environment)]

    async def deployments(self, environment: str = "staging") -> list[Deployment]:
        rows = await self.town.store.read(lambda tables: tables.deployments.recent("shop", environment, 10_000))
        return list(reversed(rows))

    async def runs(self, environment: str = "staging") -> str:
        rows = await self.town.store.read(lambda tables: tables.running.get("shop", environment))
        (commit,) = {row.release.code or "" for row in rows} or {""}
        return commit

    async def triggers(self) -> list[Trigger]:
        def every(tables: Any) -> list[Trigger]:  # noqa: ANN401 - rows that no port gives
            numbers = tables.triggers._run("SELECT number FROM triggers ORDER BY number").fetchall()
            return [tables.triggers.get(number) for (number,) in numbers]

        return await self.town.store.read(every)

    async def cards(self, kind: str = "event:auto") -> list[Card]:
        """What the channel reads, by kind of card."""
        items = await self.town.store.read(lambda tables: tables.outbox.due(self.town.shop.clock.now() + 9e9, 10_000))
        return [item.card for item in items if item.place == CHANNEL and item.key.startswith(kind)]

    async def approve(self, number: int, who: str = "ben") -> Card:
        return await self.town.say(f"approve #{number}", who)

    async def end(self, number: int) -> State:
        return (await self.town.end_of(number)).state


@asynccontextmanager
async def make_yard(
    folder: Path,
    staging: dict[str, Any] | None = None,
    production: dict[str, Any] | None = None,
    refs: FakeRefs | None = None,
    **app: object,
) -> AsyncIterator[Yard]:
    """A yard whose repository has a commit on develop and on main, both considered already."""
    hosts = [FakeHost(name) for name in ("web1", "web2", "web3")]
    for host in hosts:
        host.script("fetch", Outcome(effect=fetched))
        host.script("switch", GOOD_SWITCH)
    known = refs or FakeRefs(folder)
    async with memory_store(Redactor((SECRET,))) as store:
        shop = Shop(
            settings_of(folder / "data", staging, production, **app), store, FakeServers(hosts), known, Ticking()
        )
        people = await store.write(_hire)
        shop.person = people["ana"]

        def link(tables: Any) -> None:  # noqa: ANN401  it is passed on
            for name, person in people.items():
                tables.people.link(person.id, GITHUB[name])

        await store.write(link)
        await make_itself(store, shop.settings)
        yard = Yard(Town(shop, people), known, FakeImages())
        root = yard.commit("main")
        yard.commit("develop", on=root)
        try:
            await yard.look()
            yield yard
        finally:
            await shop.deployments.queue.close()


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is moved is noticed soon."""
    monkeypatch.setattr(approvals, "CLOCK_LOOKS", 0.005)


@pytest.fixture
async def yard(tmp_path: Path) -> AsyncIterator[Yard]:
    """Staging from develop; production from main, where somebody has to approve."""
    async with make_yard(tmp_path, STAGING, PRODUCTION) as made:
        yield made


async def until(true: Callable[[], Any]) -> None:
    """Wait for what happens by itself, at most 20 seconds."""
    async with asyncio.timeout(20):
        while not await true():  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0.005)
