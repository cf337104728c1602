"""A small team with three apps and the whole way in, for tests: messages go in as text, cards come out."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from deploybot.access import Access, PersonLocks
from deploybot.card import Card
from deploybot.command import Command, Incoming, Services
from deploybot.command_loader import load
from deploybot.dispatch import Dispatcher
from deploybot.domain import AuditRow, Identity, Place, Release, Role
from deploybot.errors import StoreError
from deploybot.masking import Redactor
from deploybot.ports import Store, Tables
from deploybot.settings import Settings
from deploybot.testing import (
    FakeClock,
    FakeCodeSecrets,
    FakeDeployments,
    FakeLogs,
    FakeReleases,
    FakeStatus,
    memory_store,
)

T = TypeVar("T")

V1 = Release.of_commit("1" * 40, "v1.3")
V2 = Release.of_commit("2" * 40, "v1.4")
MAIN = Release.of_commit("3" * 40, "main")

SETTINGS = Settings.model_validate(
    {
        "servers": {name: {"name": name, "ssh": f"deploy@{name}"} for name in ("web1", "web2", "web3")},
        "apps": {
            "shop": {
                "name": "shop",
                "repo": "git@example.com:acme/shop.git",
                "strategy": "compose",
                "directory": "/srv/shop",
                "tasks": {"migrate": "./migrate", "reindex": "./reindex"},
                "environments": {
                    "staging": {"name": "staging", "app": "shop", "servers": ["web1"], "default": True},
                    "production": {"name": "production", "app": "shop", "servers": ["web1", "web2"]},
                },
            },
            "blog": {
                "name": "blog",
                "repo": "git@example.com:acme/blog.git",
                "strategy": "files",
                "directory": "/srv/blog",
                "environments": {"live": {"name": "live", "app": "blog", "servers": ["web3"]}},
            },
            "wiki": {
                "name": "wiki",
                "repo": "git@example.com:acme/wiki.git",
                "strategy": "files",
                "directory": "/srv/wiki",
                "environments": {
                    "test": {"name": "test", "app": "wiki", "servers": ["web3"]},
                    "live": {"name": "live", "app": "wiki", "servers": ["web3"]},
                },
            },
        },
    }
)
EVERYTHING = frozenset((app.name, name) for app in SETTINGS.apps.values() for name in app.environments)

TEAM: dict[str, tuple[str, Sequence[tuple[Role, str, str]]]] = {
    "ana": ("1000", [(Role.ADMIN, "*", "*")]),
    "ben": ("1001", [(Role.DEPLOYER, "shop", "*")]),
    "cem": ("1002", [(Role.VIEWER, "shop", "staging"), (Role.VIEWER, "wiki", "*")]),
    "dia": ("1003", [(Role.ADMIN, "shop", "*")]),
    "eve": ("1004", []),
}
STRANGER = "6666"


class Moody:
    """A store whose writes fail while `full` says why, and reads while `gone` does; `problem` is its own word."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.full = ""
        self.gone = ""
        self.problem = ""

    async def read(self, work: Callable[[Tables], T]) -> T:
        if self.gone:
            raise StoreError(self.gone)
        return await self._store.read(work)

    async def write(self, work: Callable[[Tables], T]) -> T:
        if self.full:
            raise StoreError(self.full)
        return await self._store.write(work)


@dataclass(slots=True)
class World:
    """Everything behind `Dispatcher.handle`, and a way to speak to it."""

    store: Moody
    clock: FakeClock
    deployments: FakeDeployments
    releases: FakeReleases
    logs: FakeLogs
    access: Access
    services: Services
    redactor: Redactor
    codes: FakeCodeSecrets
    dispatcher: Dispatcher = field(init=False)
    replies: list[Card] = field(default_factory=list)
    ids: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget what is only in memory."""
        self.dispatcher = Dispatcher(
            services=self.services,
            access=self.access,
            store=self.store,
            clock=self.clock,
            redactor=self.redactor,
        )

    def incoming(
        self,
        text: str,
        who: str = "ana",
        *,
        platform: str = "console",
        private: bool = False,
        ident: str = "",
        age: float = 0.0,
    ) -> Incoming:
        """A message as a chat hands it over; `who` is a name of the team, or a number."""
        user = TEAM[who][0] if who in TEAM else who
        return Incoming(
            identity=Identity(platform, user),
            place=Place(platform, "c1", private=private),
            text=text,
            id=ident or f"m{next(self.ids)}",
            at=self.clock.now() - age,
            name=who,
        )

    async def say(self, text: str, who: str = "ana", **more: object) -> Card:
        """Send a message that has to be answered."""
        card = await self.maybe(text, who, **more)
        assert card is not None, f"no answer to {text!r}"
        return card

    async def maybe(self, text: str, who: str = "ana", **more: object) -> Card | None:
        """Send a message."""
        return await self.dispatcher.handle(self.incoming(text, who, **more), self.reply)  # type: ignore[arg-type]

    async def reply(self, card: Card) -> None:
        """Keep what comes along the way."""
        self.replies.append(card)

    async def audit(self) -> list[AuditRow]:
        """The audit."""
        return list(await self.store.read(lambda tables: tables.audit.tail(1000)))


def _hire(tables: Tables) -> None:
    for name, (user, grants) in TEAM.items():
        person = tables.people.add(name, Identity("console", user))
        for role, app, environment in grants:
            tables.people.grant(person.id, role, app, environment)


@asynccontextmanager
async def make_world(
    *more: Command,
    secrets: tuple[str, ...] = (),
    deployments: FakeDeployments | None = None,
    releases: FakeReleases | None = None,
    settings: Settings = SETTINGS,
    homes: Sequence[Place] = (),
) -> AsyncIterator[World]:
    """Make a team of five, and commands beside the real ones."""
    redactor = Redactor(secrets)
    async with memory_store(redactor) as database:
        store = Moody(database)
        await store.write(_hire)
        clock = FakeClock()
        codes = FakeCodeSecrets()
        access = Access(settings, store, clock, codes, homes)
        deployments, releases, logs = deployments or FakeDeployments(), releases or FakeReleases(), FakeLogs()
        releases.put(MAIN, V1, V2)
        services = Services(
            settings=settings,
            deployments=deployments,
            releases=releases,
            status=FakeStatus(),
            logs=logs,
            locks=PersonLocks(settings, store, clock),
            people=access,
            commands=load() | {made.name: made for made in more},
        )
        yield World(store, clock, deployments, releases, logs, access, services, redactor, codes)
