"""A shop whose production wants approvals, a team, and the whole way in: from a message or a pressed button on."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from deploybot.access import Access, PersonLocks
from deploybot.card import Card
from deploybot.chat.button_tokens import ButtonTokens
from deploybot.command import Context, Incoming, Services
from deploybot.command_loader import load
from deploybot.deployments import approvals
from deploybot.dispatch import Dispatcher
from deploybot.domain import AuditRow, Deployment, Identity, Person, Place, Request, Role
from deploybot.errors import UserError
from deploybot.masking import Redactor
from deploybot.ports import RefSource, Tables
from deploybot.settings import Settings
from deploybot.store.database import Database
from deploybot.testing import FakeHost, FakeLogs, FakeRefs, FakeServers, FakeStatus, Outcome, memory_store
from tests.deployments.conftest import GOOD_SWITCH, V1, V2, V3, Shop, Ticking, fetched, settings_of

TEAM = {
    "ana": (Role.DEPLOYER, "*", "*"),
    "ben": (Role.APPROVER, "shop", "*"),
    "cem": (Role.APPROVER, "shop", "production"),
    "dia": (Role.ADMIN, "*", "*"),
    "eve": (Role.DEPLOYER, "shop", "*"),
    "fay": (Role.APPROVER, "shop", "staging"),
}
STRANGER = "stranger"


@dataclass(slots=True)
class Town:
    """The bot with everything behind `Dispatcher.handle`, as three chats would use it."""

    shop: Shop
    people: dict[str, Person]
    dispatcher: Dispatcher = field(init=False)
    access: Access = field(init=False)
    desks: dict[str, ButtonTokens] = field(init=False)
    ids: itertools.count[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self._connect()

    def _connect(self) -> None:
        shop = self.shop
        self.access = Access(shop.settings, shop.store, shop.clock, shop.codes)
        services = Services(
            settings=shop.settings,
            deployments=shop.deployments,
            releases=shop.deployments.releases,
            status=FakeStatus(),
            logs=FakeLogs(),
            locks=PersonLocks(shop.settings, shop.store, shop.clock),
            people=self.access,
            commands=load(),
        )
        self.dispatcher = Dispatcher(
            services=services, access=self.access, store=shop.store, clock=shop.clock, redactor=Redactor(())
        )
        self.desks = {name: ButtonTokens(shop.store, shop.clock, name) for name in ("console", "slack", "telegram")}

    @property
    def store(self) -> Database:
        return self.shop.store

    async def restart(self, settings: Settings | None = None) -> None:
        """The bot ends, and begins anew with what is in the database, and with another bot.toml if one is given."""
        await self.shop.deployments.queue.close()
        self.shop.settings = settings or self.shop.settings
        self.shop.start_bot()
        self._connect()
        await self.shop.deployments.queue.resume()

    async def say(
        self, text: str, who: str = "ana", *, platform: str = "console", press: str = "", private: bool = True
    ) -> Card:
        """Somebody types this, or presses a button."""
        incoming = Incoming(
            identity=self.identity(who, platform),
            place=Place(platform, platform, private=private and platform != "console"),
            text=text,
            id=f"m{next(self.ids)}",
            at=self.shop.clock.now(),
            name=who,
            press=press,
        )

        async def reply(_: Card) -> None:
            """Nobody looks at what comes on the way."""

        card = await self.dispatcher.handle(incoming, reply)
        assert card is not None, f"no answer to {text!r}"
        return card

    async def press(self, token: str, who: str, message: str, *, platform: str = "slack", more: str = "") -> Card:
        """Somebody presses a button, as a chat's adapter takes it; UserError where the token is none."""
        press = await self.desks[platform].press(token, platform, message)
        return await self.say(press.command + more, who, platform=platform, press=press.hash)

    def identity(self, who: str, platform: str = "console") -> Identity:
        """Everybody has one identity in each chat; strangers have none that is known."""
        number = str(1000 + [*TEAM].index(who)) if who in TEAM else who
        return Identity("slack", f"U{number}", "T1") if platform == "slack" else Identity(platform, number)

    def ctx(self, who: str, reason: str = "") -> Context:
        """What a command of somebody's gets; strangers are nobody."""
        made = self.shop.ctx(reason)
        return dataclasses.replace(made, person=self.people.get(who))

    async def ask(self, text: str = "deploy shop@v2 to production because it is time", who: str = "ana") -> int:
        """Somebody asks for a deployment; its number."""
        card = await self.say(text, who)
        assert card.ok, card
        return int(card.key.partition(":")[2])

    async def deployment(self, number: int) -> Deployment:
        found = await self.shop.deployments.get(number)
        assert found is not None
        return found

    async def request(self, number: int) -> Request:
        found = await self.store.read(lambda tables: tables.requests.get(number))
        assert found is not None
        return found

    async def end_of(self, number: int) -> Deployment:
        return await self.shop.end_of(number)

    async def card(self, number: int) -> Card:
        found = await self.shop.deployments.card(number)
        assert found is not None
        return found

    async def audit(self) -> list[AuditRow]:
        return list(await self.store.read(lambda tables: tables.audit.tail(10_000)))

    async def until(self, number: int, true: Callable[[Deployment], bool]) -> None:
        """Wait for a deployment to be so."""
        async with asyncio.timeout(20):
            while not true(await self.deployment(number)):  # noqa: ASYNC110 - nobody tells it
                await asyncio.sleep(0.001)

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Production is busy with a clean-up: nothing begins there."""
        async with self.shop.deployments.queue._turns["shop", "production"]:
            yield

    def running(self) -> set[str]:
        """What the servers of production say that they have."""
        return {self.shop.hosts[name].server_facts.current for name in ("web1", "web2")}


def _hire(tables: Tables) -> dict[str, Person]:
    people = {}
    for number, (name, grant) in enumerate(TEAM.items(), 1000):
        people[name] = tables.people.add(name, Identity("console", str(number)))
        tables.people.link(people[name].id, Identity("slack", f"U{number}", "T1"))
        tables.people.link(people[name].id, Identity("telegram", str(number)))
        tables.people.grant(people[name].id, *grant)
    return people


@asynccontextmanager
async def make_town(folder: Path, refs: RefSource | None = None, /, **environment: object) -> AsyncIterator[Town]:
    """A town where v1 runs; `environment` are keys of production, one approval where they say nothing of it."""
    hosts = [FakeHost(name) for name in ("web1", "web2")]
    for host in hosts:
        host.script("fetch", Outcome(effect=fetched))
        host.script("switch", GOOD_SWITCH)
    known = refs or FakeRefs(folder, v1=V1.id, v2=V2.id, v3=V3.id, main=V2.id)
    settings = settings_of(folder / "data", **({"approvals": 1} | environment))
    async with memory_store() as store:
        shop = Shop(settings, store, FakeServers(hosts), cast("FakeRefs", known), Ticking())
        people = await store.write(_hire)
        shop.person = people["ana"]
        town = Town(shop, people)
        try:
            yield town
        finally:
            await shop.deployments.queue.close()


@pytest.fixture(autouse=True)
def _look_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that is moved is noticed soon."""
    monkeypatch.setattr(approvals, "CLOCK_LOOKS", 0.005)


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with make_town(tmp_path) as made:
        yield made


async def refused(town: Town, token: str, who: str, message: str) -> str:
    """Why a press was refused; an empty text where it was taken."""
    try:
        card = await town.press(token, who, message)
    except UserError as problem:
        return str(problem)
    return "" if card.ok else card.title
