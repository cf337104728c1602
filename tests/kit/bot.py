"""A bot under test: the real services over servers, a repository and a database in memory, and people who talk to it.

`WayIn` is what is behind every chat: a message goes in as text or as a pressed button, a card comes out.
`BotUnderTest` has the real deployment engine behind that. `open_bot` makes one whose `shop` runs on two servers.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar, cast

from deploybot.access import Access, PersonLocks, TargetFreezes
from deploybot.applogs.deployment_logs import DeploymentLogs
from deploybot.applogs.log_reader import AppLogs
from deploybot.backoff import Backoff
from deploybot.card import Card
from deploybot.chat.button_tokens import ButtonTokens
from deploybot.command import Context, Incoming, Services
from deploybot.command_loader import load
from deploybot.config import secrets_of
from deploybot.deployments.deployment_card import key, number_of
from deploybot.deployments.deployment_service import DeploymentEngine
from deploybot.deployments.timeouts import TIMEOUTS, Timeouts
from deploybot.dispatch import Dispatcher
from deploybot.dispatch.dispatcher import ALIKE_AFTER
from deploybot.domain import AuditRow, Channel, Deployment, Identity, Person, Release, Request, Role, Running
from deploybot.masking import Redactor
from deploybot.ports import Images, RefSource, Tables
from deploybot.settings import App, Environment, Settings
from deploybot.status.status_board import StatusBoard
from deploybot.testing import (
    FakeClock,
    FakeCodeSecrets,
    FakeHost,
    FakeImages,
    FakeRefs,
    FakeServers,
    Outcome,
    memory_store,
)
from deploybot.wiring.deployment_wiring import deployments
from deploybot.wiring.infrastructure import Infrastructure
from tests.kit.settings import bot_settings
from tests.kit.stores import FailingStore

Grant = tuple[Role, str, str]
Team = Mapping[str, Sequence[Grant]]
T = TypeVar("T")

V1, V2, V3 = (Release.of_commit(digit * 40, f"v{digit}") for digit in "123")
CHANNEL = Channel("console", "console")
HEALTH = "http://127.0.0.1:8000/healthz"
SECRET = "correct-horse-battery"
ANA: Team = {"ana": [(Role.DEPLOYER, "*", "*")]}
CHATS = ("console", "slack", "telegram")
ENDS_WITHIN = 60


def shop_settings(data: Path, **production: object) -> Settings:
    """The shop of `BotUnderTest`: on web1 and web2, staging on web1 alone; `production` adds keys to production."""
    shop = {
        "restart": "./restart",
        "health": {"http": HEALTH, "within": "2s"},
        "restore_within": "1s",
        "secrets": {"TOKEN": {"env": "TOKEN"}},
        "tasks": {"migrate": "./migrate"},
        "environments": {"production": production, "staging": {"servers": ["web1"], "directory": "/srv/shop-staging"}},
    }
    return bot_settings(data, servers=("web1", "web2"), apps={"shop": shop}, values={"TOKEN": SECRET})


class TickingClock(FakeClock):
    """A clock on which a quarter of a second passes whenever it is read."""

    def now(self) -> float:
        self.advance(0.25)
        return FakeClock.now(self)


def fetched(host: FakeHost, env: Mapping[str, str]) -> None:
    """What the script `fetch` leaves on a server."""
    facts = host.server_facts
    releases = tuple(dict.fromkeys((*facts.releases, env["DEPLOYBOT_RELEASE"])))
    host.server_facts = dataclasses.replace(facts, releases=releases)


def switched(host: FakeHost, env: Mapping[str, str]) -> None:
    """What the script `switch` leaves on a server."""
    host.server_facts = dataclasses.replace(host.server_facts, current=env["DEPLOYBOT_RELEASE"])


GOOD_SWITCH = Outcome(effect=switched, log=b"switched\n")


def good_host(name: str) -> FakeHost:
    """A server on which `fetch` and `switch` leave what they leave on a real one."""
    host = FakeHost(name)
    host.script("fetch", Outcome(effect=fetched))
    host.script("switch", GOOD_SWITCH)
    return host


def account(number: int, platform: str) -> Identity:
    """The account of the person with a number in a chat."""
    return Identity("slack", f"U{number}", "T1") if platform == "slack" else Identity(platform, str(number))


def hire(tables: Tables, team: Team, chats: Sequence[str] = ("console",)) -> dict[str, Person]:
    """Add people with their accounts in some chats, numbered from 1000 on, and with their roles."""
    people = {}
    for number, (name, grants) in enumerate(team.items(), 1000):
        first, *others = chats
        person = people[name] = tables.people.add(name, account(number, first))
        for platform in others:
            tables.people.link(person.id, account(number, platform))
        for grant in grants:
            tables.people.grant(person.id, *grant)
    return people


class WayIn:
    """Everything behind a chat: access, commands and dispatch over a store; subclasses say which services answer."""

    services: Services
    access: Access
    dispatcher: Dispatcher
    alike_after = ALIKE_AFTER
    """Seconds until a sender learns that something does not exist."""

    def __init__(
        self,
        settings: Settings,
        store: FailingStore,
        clock: FakeClock,
        team: Team,
        *,
        homes: Sequence[Channel] = (),
        redactor: Redactor | None = None,
    ) -> None:
        """Take what survives a restart. `homes` are the channels to which the bot announces grants."""
        self.settings, self.store, self.clock, self.team, self.homes = settings, store, clock, team, homes
        self.redactor = redactor or Redactor(secrets_of(settings))
        self.codes = FakeCodeSecrets()
        self.people: dict[str, Person] = {}
        self.replies: list[Card] = []
        self.ids = itertools.count()

    def start(self) -> None:
        """Make the bot as it is right after a start: nothing in memory."""
        self.access = Access(self.settings, self.store, self.clock, self.codes, self.homes)
        self.services = self.make_services()
        self.connect()

    def connect(self) -> None:
        """Make the way in, without what dispatch remembers."""
        self.dispatcher = Dispatcher(
            services=self.services,
            access=self.access,
            store=self.store,
            clock=self.clock,
            redactor=self.redactor,
            alike_after=self.alike_after,
        )

    def make_services(self) -> Services:
        """Return what commands ask."""
        raise NotImplementedError

    def number(self, who: str) -> str:
        """The number of somebody of the team in the console; of a stranger, the name itself."""
        return str(1000 + [*self.team].index(who)) if who in self.team else who

    def identity(self, who: str, platform: str = "console") -> Identity:
        """The account of somebody of the team in a chat; a stranger's is unknown."""
        return account(int(self.number(who)), platform) if who in self.team else Identity(platform, who)

    def channel(self, platform: str, *, private: bool | None = None) -> Channel:
        """The channel where people write; outside the console a direct message, unless the test says otherwise."""
        return Channel(platform, platform, private=platform != "console" if private is None else private)

    def incoming(
        self,
        text: str,
        who: str = "ana",
        *,
        platform: str = "console",
        private: bool | None = None,
        press: str = "",
        ident: str = "",
        age: float = 0.0,
        can_pick: bool = False,
    ) -> Incoming:
        """Return a message as a chat hands it over."""
        return Incoming(
            identity=self.identity(who, platform),
            channel=self.channel(platform, private=private),
            text=text,
            id=ident or f"m{next(self.ids)}",
            at=self.clock.now() - age,
            name=who,
            press=press,
            can_pick=can_pick,
        )

    async def maybe(self, text: str, who: str = "ana", **more: object) -> Card | None:
        """Type a message; the card that answers, if there is one."""
        return await self.dispatcher.handle(self.incoming(text, who, **more), self.reply)  # type: ignore[arg-type]  # those of `incoming`

    async def say(self, text: str, who: str = "ana", **more: object) -> Card:
        """Type a message that has to be answered."""
        card = await self.maybe(text, who, **more)
        assert card is not None, f"no answer to {text!r}"
        return card

    async def reply(self, card: Card) -> None:
        """Keep the cards that come before the answer."""
        self.replies.append(card)

    def ctx(self, reason: str = "", *, who: str = "ana") -> Context:
        """Return what a command of somebody's is given; a stranger is no person."""
        return Context(
            incoming=self.incoming("", who),
            person=self.people.get(who),
            services=self.services,
            reply=self.reply,
            reason=reason,
        )

    async def audit(self) -> list[AuditRow]:
        """Return the audit log."""
        return list(await self.store.read(lambda tables: tables.audit.tail(10_000)))


class BotUnderTest(WayIn):
    """The deployment engine and everything around it, over servers in memory."""

    deployments: DeploymentEngine
    buttons: dict[str, ButtonTokens]
    make_clock: type[FakeClock] = TickingClock

    def __init__(
        self,
        settings: Settings,
        store: FailingStore,
        *,
        hosts: FakeServers,
        refs: RefSource,
        team: Team = ANA,
        images: Images | None = None,
        clock: FakeClock | None = None,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        """Take what survives a restart of the bot."""
        super().__init__(settings, store, clock or self.make_clock(), team)
        self.hosts = hosts
        # A test that gives a real repository does not ask it for what a fake one has.
        self.refs = cast("FakeRefs", refs)
        self.images = cast("FakeImages", images or FakeImages())
        self.timeouts = timeouts
        self.on_end: Callable[[str], object] = lambda _: None
        self.start()

    def start(self) -> None:
        """Make the bot as it is right after a start: nothing in memory."""
        self.deployments = deployments(
            self.settings, self.infrastructure, self.codes, on_end=self._ended, timeouts=self.timeouts
        )
        super().start()
        self.buttons = {name: ButtonTokens(self.store, self.clock, name) for name in CHATS}

    def _ended(self, app: str) -> None:
        self.on_end(app)

    @property
    def infrastructure(self) -> Infrastructure:
        """The ports of the core."""
        return Infrastructure(
            store=self.store,
            servers=self.hosts,
            refs=self.refs,
            redactor=self.redactor,
            clock=self.clock,
            images=self.images,
        )

    def make_services(self) -> Services:
        """Return what commands ask: the services of a real bot."""
        return Services(
            settings=self.settings,
            deployments=self.deployments,
            releases=self.deployments.releases,
            status=StatusBoard(self.hosts, self.store, self.clock),
            logs=AppLogs(
                self.settings,
                self.hosts,
                self.clock,
                self.redactor,
                DeploymentLogs(self.deployments),
                may_read=self.access.may_read,
            ),
            locks=PersonLocks(self.settings, self.store, self.clock, self.access.announcer),
            freezes=TargetFreezes(
                self.settings,
                self.store,
                self.clock,
                self.access.announcer,
                changed=lambda _: self.deployments.queue.look_again(),
                show_wait=self.deployments.queue.show_wait,
            ),
            people=self.access,
            commands=load(),
        )

    def wait(self, **seconds: float | Backoff) -> None:
        """Start the bot with other timeouts. What it had in memory is lost."""
        self.timeouts = dataclasses.replace(self.timeouts, **seconds)  # type: ignore[arg-type]  # each has its kind
        self.start()

    async def restart(self, settings: Settings | None = None) -> None:
        """End the bot, and start it with what is in the database, and with another bot.toml if one is given."""
        await self.deployments.queue.close()
        self.settings = settings or self.settings
        self.start()
        await self.deployments.queue.resume()

    @property
    def app(self) -> App:
        return self.settings.apps["shop"]

    @property
    def production(self) -> Environment:
        return self.app.environments["production"]

    @property
    def person(self) -> Person:
        """Ana."""
        return self.people["ana"]

    async def press(self, token: str, who: str, message: str, *, platform: str = "slack", more: str = "") -> Card:
        """Press a button, as a chat's adapter takes it. UserError for a token that is not valid."""
        press = await self.buttons[platform].press(token, platform, message)
        return await self.say(press.command + more, who, platform=platform, press=press.hash)

    async def ask(self, text: str = "deploy shop@v2 to production because it is time", who: str = "ana") -> int:
        """Type a request; the number of the deployment."""
        card = await self.say(text, who)
        assert card.ok, card
        return _number(card)

    async def request(self, release: Release, **more: object) -> Card:
        """Request a deployment to production as ana."""
        return await self.deployments.request(self.ctx(), self.app, self.production, release, **more)  # type: ignore[arg-type]  # those of `request`

    async def deploy(self, release: Release, **more: object) -> Deployment:
        """Request a deployment, and see it to its end."""
        return await self.end_of(_number(await self.request(release, **more)))

    async def deployment(self, number: int) -> Deployment:
        """Return a deployment as it is now."""
        found = await self.deployments.get(number)
        assert found is not None
        return found

    async def end_of(self, number: int) -> Deployment:
        """Return a deployment once it has ended and its clean-up is over."""
        async with asyncio.timeout(ENDS_WITHIN):
            await self.deployments.queue.idle(number)
        return await self.deployment(number)

    async def until(self, number: int, true: Callable[[Deployment], bool]) -> None:
        """Wait for a state of a deployment."""
        async with asyncio.timeout(ENDS_WITHIN):
            while not true(await self.deployment(number)):  # noqa: ASYNC110 - a row in a database
                await asyncio.sleep(0.001)

    async def until_card(self, number: int, true: Callable[[Card], bool]) -> None:
        """Wait for what the card of a deployment shows."""
        async with asyncio.timeout(ENDS_WITHIN):
            while not true(await self.card(number)):  # noqa: ASYNC110 - rows in a database
                await asyncio.sleep(0.001)

    async def request_of(self, number: int) -> Request:
        """Return what a deployment was asked for with."""
        found = await self.store.read(lambda tables: tables.requests.get(number))
        assert found is not None
        return found

    async def card(self, number: int) -> Card:
        """Return the card of a deployment as it would be made now."""
        found = await self.deployments.card(number)
        assert found is not None
        return found

    async def posted(self, number: int) -> Card:
        """Return the card of a deployment as it waits for the chats."""
        items = await self.store.read(lambda tables: tables.outbox.due(self.clock.now() + 1, 1000))
        return next(item.card for item in items if item.key == key(number))

    async def lose_right(self) -> None:
        """Take all roles from ana."""
        await self.store.write(lambda tables: tables.people.revoke(self.person.id))

    async def running(self) -> dict[str, Running]:
        """Return what the bot has recorded for each server of production."""
        rows = await self.store.read(lambda tables: tables.running.get("shop", "production"))
        return {row.server: row for row in rows}

    def current(self) -> set[str]:
        """Return the releases to which the servers of production have switched."""
        return {self.hosts[name].server_facts.current for name in ("web1", "web2")}

    def log_of(self, number: int) -> str:
        """Return the full log of a deployment."""
        return Path(self.deployments.log_file(number)).read_text()

    async def started(self, number: int, script: str, server: str = "web1", phase: str = "") -> str:
        """Return the id of a job once it was started."""
        async with asyncio.timeout(ENDS_WITHIN):
            while True:
                for one in self._jobs(server, script):
                    if one.startswith(f"{number}-{phase}"):
                        return one
                await asyncio.sleep(0)

    def _jobs(self, server: str, script: str) -> Iterator[str]:
        return (one.job for one in self.hosts[server].started if one.script == script)

    @asynccontextmanager
    async def busy(self) -> AsyncIterator[None]:
        """Keep production busy: nothing begins there."""
        async with self.deployments.queue._turns["shop", "production"]:
            yield


def _number(card: Card) -> int:
    number = number_of(card.key)
    assert number is not None, card
    return number


Bot = TypeVar("Bot", bound=BotUnderTest)


@asynccontextmanager
async def open_as(
    kind: type[Bot],
    folder: Path,
    settings: Settings,
    *,
    team: Team = ANA,
    chats: Sequence[str] = ("console",),
    hosts: FakeServers | None = None,
    refs: RefSource | None = None,
    images: Images | None = None,
    timeouts: Timeouts = TIMEOUTS,
) -> AsyncIterator[Bot]:
    """A bot of some class, whose people have accounts in these chats. What is not given is made."""
    hosts = hosts or FakeServers([good_host(name) for name in settings.servers])
    refs = refs or FakeRefs(folder, v1=V1.id, v2=V2.id, v3=V3.id, main=V2.id)
    async with memory_store(Redactor(secrets_of(settings))) as store:
        bot = kind(settings, FailingStore(store), hosts=hosts, refs=refs, team=team, images=images, timeouts=timeouts)
        bot.people = await bot.store.write(lambda tables: hire(tables, team, chats))
        try:
            yield bot
        finally:
            await bot.deployments.queue.close()


@asynccontextmanager
async def open_bot(folder: Path, **production: object) -> AsyncIterator[BotUnderTest]:
    """A bot whose shop is not deployed yet, and ana, who may deploy it; `production` adds keys to production."""
    async with open_as(BotUnderTest, folder, shop_settings(folder / "data", **production)) as bot:
        yield bot
