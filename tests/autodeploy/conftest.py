"""A bot that deploys its shop by itself: staging from develop, production from main with an approval."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest

from deploybot.access.bot_person import make_itself
from deploybot.autodeploy.detector import TriggerDetector
from deploybot.card import Card
from deploybot.deployments.timeouts import TIMEOUTS, Timeouts
from deploybot.domain import (
    Author,
    Build,
    BuildState,
    Channel,
    Deployment,
    Event,
    Identity,
    ImageOrigin,
    Pin,
    Push,
    State,
    Trigger,
)
from deploybot.ports import Images, RefSource, Tables
from deploybot.settings import App, Settings
from deploybot.testing import FakeRefs, FakeServers
from deploybot.wiring.autodeploy_wiring import autodeploy
from tests.approvals.conftest import OFTEN, TEAM
from tests.kit.bot import ANA, CHATS, HEALTH, SECRET, BotUnderTest, Team, open_as
from tests.kit.settings import bot_settings
from tests.kit.stores import FailingStore

CHANNEL = Channel("slack", "C0SHOP12345")
GITHUB = {name: Identity("github", str(number)) for number, name in enumerate(TEAM, 500)}
STAGING = {"auto": {"branch": "develop"}}
PRODUCTION = {"auto": {"branch": "main"}, "approvals": 1}


def auto_settings(
    data: Path,
    staging: Mapping[str, object] | None = None,
    production: Mapping[str, object] | None = None,
    **app: object,
) -> Settings:
    """A shop whose environments have servers of their own, and whose forge calls the bot."""
    shop = {
        "channel": str(CHANNEL),
        "health": {"http": HEALTH, "within": "2s"},
        "secrets": {"TOKEN": {"env": "TOKEN"}},
        "hooks": {"github": {"secret": {"env": "HOOK"}}},
        "environments": {
            "staging": {"servers": ["web1"], **(staging or {})},
            "production": {"servers": ["web2", "web3"], **(production or {})},
        },
    }
    slack = {"bot_token": {"env": "BOT_TOKEN"}, "app_token": {"env": "APP_TOKEN"}}
    return bot_settings(
        data,
        servers=("web1", "web2", "web3"),
        apps={"shop": {**shop, **app}},
        values={"TOKEN": SECRET},
        http={},
        slack=slack,
    )


class PinnedImages:
    """`ports.Images`: the pins that a test names."""

    def __init__(self) -> None:
        self.now: tuple[Pin, ...] = ()
        self.down: Exception | None = None

    async def pins(self, app: App) -> tuple[Pin, ...]:
        del app
        if self.down is not None:
            raise self.down
        return self.now

    async def services(self, app: App) -> frozenset[str] | None:
        del app
        return frozenset(pin.service for pin in self.now)

    async def origins(self, app: App, pins: Sequence[Pin]) -> dict[str, ImageOrigin]:
        del app
        return {pin.digest: ImageOrigin() for pin in pins}

    async def unfit(self, app: App) -> dict[str, list[tuple[str, str]]]:
        del app
        return {}

    async def named(self, app: App, name: str) -> tuple[Pin, ...]:
        del app
        return tuple(pin for pin in self.now if name in {pin.tag, pin.digest})


class AutodeployBot(BotUnderTest):
    """A bot behind events. `rung` are the apps that are to be looked at again."""

    automatic: TriggerDetector

    def __init__(
        self,
        settings: Settings,
        store: FailingStore,
        *,
        hosts: FakeServers,
        refs: RefSource,
        team: Team = ANA,
        images: Images | None = None,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        self.rung: set[str] = set()
        self.commits = itertools.count(1)
        super().__init__(settings, store, hosts=hosts, refs=refs, team=team, images=images, timeouts=timeouts)
        self.on_end = self.rung.add

    def start(self) -> None:
        super().start()
        made = autodeploy(self.settings, self.infrastructure, self.access, self.dispatcher, self.deployments.queue)
        assert made is not None
        self.automatic = made.automatic
        self.automatic._wake = self.rung.add

    async def restart(self, settings: Settings | None = None) -> None:
        await super().restart(settings)
        await make_itself(self.store, self.settings)

    @property
    def pinned(self) -> PinnedImages:
        """The registry."""
        return cast("PinnedImages", self.images)

    def commit(self, branch: str, message: str = "Change things", *, paths: tuple[str, ...] = (), on: str = "") -> str:
        """A commit on a branch, or on another commit: the other side has it now."""
        made = f"{next(self.commits):040x}"
        self.refs.parents[made] = on or self.refs.branches.get(branch, "")
        self.refs.branches[branch] = made
        self.refs.messages[made] = message
        self.refs.paths[made] = paths
        return made

    async def hear(self, event: Event) -> str:
        return await self.automatic.handle_event(self.app, event, "d1")

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
        return await self.automatic.look(self.app)

    async def settle(self) -> None:
        """Look as often as something rings, and let everything that has begun come to its end."""
        while True:
            waits = [number for number, task in self.deployments.queue._tasks.items() if not task.done()]
            begun = [number for number in waits if not (await self.deployment(number)).awaits_approval]
            for number in begun:
                await self.end_of(number)
            if not begun and not self.rung:
                return
            self.rung.clear()
            await self.look()

    async def deployed(self, environment: str = "staging") -> list[str]:
        """The commits of all deployments of an environment, the first one first."""
        return [one.plan.release.code or "" for one in await self.deployments_of(environment)]

    async def deployments_of(self, environment: str = "staging") -> list[Deployment]:
        rows = await self.store.read(lambda tables: tables.deployments.recent("shop", environment, 10_000))
        return list(reversed(rows))

    async def runs(self, environment: str = "staging") -> str:
        rows = await self.store.read(lambda tables: tables.running.get("shop", environment))
        (commit,) = {row.release.code or "" for row in rows} or {""}
        return commit

    async def triggers(self) -> list[Trigger]:
        def every(tables: Any) -> list[Trigger]:  # noqa: ANN401 - rows that no port gives
            numbers = tables.triggers._run("SELECT number FROM triggers ORDER BY number").fetchall()
            return [tables.triggers.get(number) for (number,) in numbers]

        return await self.store.read(every)

    async def cards(self, kind: str = "event:auto") -> list[Card]:
        """What the channel reads, by kind of card."""
        items = await self.store.read(lambda tables: tables.outbox.due(self.clock.now() + 9e9, 10_000))
        return [item.card for item in items if item.channel == CHANNEL and item.key.startswith(kind)]

    async def approve(self, number: int, who: str = "ben") -> Card:
        return await self.say(f"approve #{number}", who)

    async def end(self, number: int) -> State:
        return (await self.end_of(number)).state


@asynccontextmanager
async def open_autodeploy_bot(
    folder: Path,
    staging: Mapping[str, object] | None = None,
    production: Mapping[str, object] | None = None,
    refs: FakeRefs | None = None,
    **app: object,
) -> AsyncIterator[AutodeployBot]:
    """A bot whose repository has a commit on develop and on main, both considered already."""
    settings = auto_settings(folder / "data", staging, production, **app)
    # bot.toml has images with Compose only; what is tested here needs no containers.
    settings.apps["shop"].__dict__["strategy"] = "files"
    opening = open_as(
        AutodeployBot,
        folder,
        settings,
        team=TEAM,
        chats=CHATS,
        refs=refs or FakeRefs(folder),
        images=PinnedImages(),
        timeouts=OFTEN,
    )
    async with opening as bot:

        def link(tables: Tables) -> None:
            for name, person in bot.people.items():
                tables.people.link(person.id, GITHUB[name])

        await bot.store.write(link)
        await make_itself(bot.store, settings)
        root = bot.commit("main")
        bot.commit("develop", on=root)
        await bot.look()
        yield bot


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[AutodeployBot]:
    """Staging from develop; production from main, where somebody has to approve."""
    async with open_autodeploy_bot(tmp_path, STAGING, PRODUCTION) as made:
        yield made


async def until(true: Callable[[], Any]) -> None:
    """Wait for what happens by itself, at most 20 seconds."""
    async with asyncio.timeout(20):
        while not await true():  # noqa: ASYNC110 - a row, without an event
            await asyncio.sleep(0.005)
