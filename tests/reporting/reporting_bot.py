"""A database with deployments that go their way, and the worker that tells doubles of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from deploybot.backoff import Backoff
from deploybot.domain import Deployment, Kind, Release, State
from deploybot.events.deployment_reports import Reporter
from deploybot.ports import Tables
from deploybot.reporting.report_http import Caller
from deploybot.reporting.report_targets import connected, receivers_of
from deploybot.reporting.report_worker import ReportWorker
from deploybot.reporting.reporter_port import ReportTools
from deploybot.settings import Settings
from deploybot.store.database import Database
from deploybot.testing import FakeClock
from tests.chat.stub import SystemClock
from tests.kit.settings import NOWHERE, bot_settings
from tests.reporting.doubles import REPOSITORY, SECRET, TOKEN
from tests.store.examples import ann, commit, plan

WELL = (State.WAITING, State.RUNNING, State.SUCCEEDED)
CLOCK = SystemClock()


def reporting_settings(
    *,
    forge: tuple[str, str] | None = None,
    outgoing: str = "",
    otel: str = "",
    token: str = TOKEN,
    apps: Sequence[str] = (),
    repository: str = REPOSITORY,
    shared: bool = False,
) -> Settings:
    """bot.toml of two apps; `forge` is a kind and the URL of its API, the others are URLs.

    Both are of one repository if it is `shared`.
    """
    environments = {"production": {}, "staging": {"directory": "/srv/staging"}}
    shop: dict[str, object] = {"environments": environments}
    blog: dict[str, object] = {"environments": {name: {"directory": f"/srv/blog/{name}"} for name in environments}}
    if forge:
        kind, url = forge
        shop["forge"] = {"kind": kind, "api_url": url, "repository": repository, "token": {"env": "FORGE_TOKEN"}}
    if shared:
        shop["environments"] = {"production": {}}
        blog |= {
            "forge": shop["forge"],
            "environments": {name: {"directory": f"/srv/blog/{name}"} for name in ("production", "live")},
        }
    tables: dict[str, Mapping[str, object]] = {}
    if outgoing:
        tables["outgoing"] = {"board": {"url": outgoing, "secret": {"env": "SECRET"}, "apps": list(apps)}}
    if otel:
        tables["otel"] = {"endpoint": otel, "headers": {"authorization": {"env": "OTEL"}}}
    return bot_settings(
        NOWHERE,
        servers=("web1",),
        apps={"shop": shop, "blog": blog},
        values={"FORGE_TOKEN": token, "SECRET": SECRET, "OTEL": "Bearer otel-secret-0123"},
        **tables,
    )


@dataclass
class ReportingBot:
    """The store, who is told by bot.toml, and the deployments."""

    store: Database
    settings: Settings
    clock: SystemClock | FakeClock = CLOCK

    def __post_init__(self) -> None:
        self.reporter = Reporter((one.target for one in receivers_of(self.settings)), self.clock)

    async def deploy(
        self,
        states: Iterable[State] = WELL,
        *,
        number: int = 1,
        environment: str = "production",
        kind: Kind = Kind.DEPLOY,
        app: str = "shop",
        reason: str = "",
        release: Release | None = None,
    ) -> Deployment:
        """A deployment of the `number`th commit, or of another release, that goes through these states.

        Each is told in its own transaction.
        """

        what = plan(number, app=app, environment=environment, kind=kind)
        what = replace(what, release=release or what.release)

        def begin(tables: Tables) -> Deployment:
            made = tables.deployments.add(
                what,
                requester=ann(tables),
                reason=reason,
                channel=None,
                now=self.clock.now(),
            )
            self.reporter(tables, made)
            return made

        deployment = await self.store.write(begin)
        for state in states:
            if state is not State.WAITING:
                deployment = await self.move(deployment.number, state)
        return deployment

    async def move(self, number: int, state: State) -> Deployment:
        """Its next state."""

        def move(tables: Tables) -> Deployment:
            moved = tables.deployments.move(number, state, now=self.clock.now(), outcome=f"It {state}.")
            self.reporter(tables, moved)
            return moved

        return await self.store.write(move)

    @asynccontextmanager
    async def telling(self, *, pause: float = 0.01, within: float = 5.0) -> AsyncIterator[ReportWorker]:
        """The worker, at work while the block lasts."""
        caller = Caller(within=within)
        worker = ReportWorker(
            self.store,
            connected(self.settings, ReportTools(caller, self.store)),
            self.clock,
            close=caller.close,
            retry=Backoff(pause, 900.0),
        )
        self.store.connect_workers(worker.wake)
        task = asyncio.create_task(worker.run())
        try:
            yield worker
        finally:
            self.store.connect_workers(None)
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def told(self, within: float = 20.0) -> None:
        """Tell all that waits, and wait for it."""
        async with self.telling():
            await self.nothing_waits(within)

    async def nothing_waits(self, within: float = 20.0) -> None:
        """Until all is told or given up."""
        async with asyncio.timeout(within):
            while await self.waiting():  # noqa: ASYNC110  the database has no event for this
                await asyncio.sleep(0.005)

    async def waiting(self) -> int:
        """How many reports wait."""
        return await self.store.read(lambda tables: tables.reports.waiting())

    async def fates(self) -> list[tuple[str, str]]:
        """What became of each report, in order: its word, and its state with the error."""

        def look(tables: Tables) -> list[tuple[str, str]]:
            run: Any = tables.reports._run  # type: ignore[attr-defined]
            return [(row[0], f"{row[1]} {row[2]}".strip()) for row in run("SELECT word, state, error FROM reports")]

        return await self.store.read(look)


def sha(number: int = 1) -> str:
    """The commit that `ReportingBot.deploy` takes."""
    return commit(number)
