"""A small team with three apps and the whole way in, for tests of commands and chats.

Messages go in as text, cards come out. The services behind the commands are fakes that record what they were asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from deploybot.access import PersonLocks, TargetFreezes
from deploybot.command import Command, Services
from deploybot.command_loader import load
from deploybot.domain import Channel, Identity, Release, Role
from deploybot.masking import Redactor
from deploybot.settings import Settings
from deploybot.testing import FakeClock, FakeDeployments, FakeLogs, FakeReleases, FakeStatus, memory_store
from tests.kit.bot import Team, WayIn, hire
from tests.kit.settings import NOWHERE, bot_settings
from tests.kit.stores import FailingStore

V1 = Release.of_commit("1" * 40, "v1.3")
V2 = Release.of_commit("2" * 40, "v1.4")
MAIN = Release.of_commit("3" * 40, "main")

TEAM: Team = {
    "ana": [(Role.ADMIN, "*", "*")],
    "ben": [(Role.DEPLOYER, "shop", "*")],
    "cem": [(Role.VIEWER, "shop", "staging"), (Role.VIEWER, "wiki", "*")],
    "dia": [(Role.ADMIN, "shop", "*")],
    "eve": [],
}
NUMBERS = {name: str(number) for number, name in enumerate(TEAM, 1000)}
STRANGER = "6666"


def team_settings(*, shop: Mapping[str, object] | None = None, **tables: Mapping[str, object]) -> Settings:
    """bot.toml of the team; `shop` adds keys to the app."""
    apps: dict[str, dict[str, Any]] = {
        "shop": {
            "strategy": "compose",
            "tasks": {"migrate": "./migrate", "reindex": "./reindex"},
            "environments": {
                "staging": {"servers": ["web1"], "directory": "/srv/shop-staging", "default": True},
                "production": {"servers": ["web1", "web2"]},
            },
            **(shop or {}),
        },
        "blog": {"environments": {"live": {"servers": ["web3"]}}},
        "wiki": {
            "environments": {
                "test": {"servers": ["web3"], "directory": "/srv/wiki-test"},
                "live": {"servers": ["web3"]},
            }
        },
    }
    return bot_settings(NOWHERE, servers=("web1", "web2", "web3"), apps=apps, values={}, **tables)


SETTINGS = team_settings()
EVERYTHING = frozenset((app.name, name) for app in SETTINGS.apps.values() for name in app.environments)


class CommandBot(WayIn):
    """Commands over fakes: `deployments`, `releases` and `logs` record what commands ask."""

    def __init__(
        self,
        settings: Settings,
        store: FailingStore,
        redactor: Redactor,
        *,
        deployments: FakeDeployments,
        releases: FakeReleases,
        more: Sequence[Command] = (),
        homes: Sequence[Channel] = (),
    ) -> None:
        """Take the services, and commands beside the real ones."""
        super().__init__(settings, store, FakeClock(), TEAM, homes=homes, redactor=redactor)
        self.deployments, self.releases, self.logs, self.more = deployments, releases, FakeLogs(), more
        self.start()

    def make_services(self) -> Services:
        """Return the fakes."""
        return Services(
            settings=self.settings,
            deployments=self.deployments,
            releases=self.releases,
            status=FakeStatus(),
            logs=self.logs,
            locks=PersonLocks(self.settings, self.store, self.clock, self.access.announcer),
            freezes=TargetFreezes(self.settings, self.store, self.clock, self.access.announcer),
            people=self.access,
            commands=load() | {made.name: made for made in self.more},
        )

    def identity(self, who: str, platform: str = "console") -> Identity:
        """Everybody has the same number in every chat, but only that of the console is known."""
        return Identity(platform, self.number(who))

    def channel(self, platform: str, *, private: bool | None = None) -> Channel:
        """A channel that others read, unless the test says otherwise."""
        return Channel(platform, "c1", private=bool(private))

    def answer_at_once(self) -> None:
        """Do not hide by a pause whether something exists."""
        self.alike_after = 0.0
        self.connect()

    def restart(self) -> None:
        """Forget what is only in memory."""
        self.connect()


@asynccontextmanager
async def open_command_bot(
    *more: Command,
    secrets: tuple[str, ...] = (),
    deployments: FakeDeployments | None = None,
    releases: FakeReleases | None = None,
    settings: Settings = SETTINGS,
    homes: Sequence[Channel] = (),
) -> AsyncIterator[CommandBot]:
    """A bot with a team of five, and commands beside the real ones."""
    redactor = Redactor(secrets)
    deployments, releases = deployments or FakeDeployments(), releases or FakeReleases()
    releases.put(MAIN, V1, V2)
    async with memory_store(redactor) as database:
        store = FailingStore(database)
        bot = CommandBot(settings, store, redactor, deployments=deployments, releases=releases, more=more, homes=homes)
        bot.people = await store.write(lambda tables: hire(tables, TEAM))
        yield bot
