"""A bot that answers `status`, on servers in memory with the real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.card import Card
from deploybot.domain import (
    Deployment,
    Identity,
    Kind,
    Plan,
    Release,
    Running,
    State,
)
from deploybot.ports import Tables
from deploybot.status.status_board import StatusBoard
from deploybot.store.database import Database
from deploybot.testing import FakeClock, FakeEngine, FakeHost, FakeRefs, FakeServers, memory_store
from tests.kit.bot import BotUnderTest
from tests.kit.stores import FailingStore
from tests.status.log_bot import container, container_app

V1 = Release.of_commit("1" * 40, "v1", "First", "Ada")
V2 = Release.of_commit("2" * 40, "v2", "Second", "Ada")
NOW = 1_795_224_300.0


class StatusBot(BotUnderTest):
    """A bot with two servers that have Engines; `board` is what it answers `status` with."""

    def __init__(self, store: Database, data: Path, **app: object) -> None:
        self.engines = {name: FakeEngine(name) for name in ("web1", "web2")}
        super().__init__(
            container_app(data, **app),
            FailingStore(store),
            hosts=FakeServers(map(FakeHost, self.engines), self.engines),
            refs=FakeRefs(data),
            clock=FakeClock(NOW),
        )
        self.board = StatusBoard(self.hosts, self.store, self.clock)

    def facts(self, server: str, **more: object) -> None:
        """Change what a server says of itself."""
        self.hosts[server].server_facts = replace(self.hosts[server].server_facts, **more)  # type: ignore[arg-type]

    async def deployed(self, release: Release = V2, *servers: str, state: State = State.SUCCEEDED) -> Deployment:
        """Let the bot have put a release onto servers, three minutes ago."""
        on = servers or ("web1", "web2")

        def work(tables: Tables) -> Deployment:
            ana = tables.people.of(Identity("console", "1")) or tables.people.add("ana", Identity("console", "1"))
            plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=release, servers=())
            made = tables.deployments.add(plan, requester=ana, reason="it is time", channel=None, now=NOW - 200)
            tables.deployments.move(made.number, State.RUNNING, now=NOW - 190)
            if state is not State.RUNNING:
                made = tables.deployments.move(made.number, state, now=NOW - 180, outcome="as it went")
            for server in on:
                tables.running.put(Running("shop", "production", server, release, made.number, NOW - 180, healthy=True))
            return made

        for server in on:
            self.facts(server, current=release.id, releases=(V1.id, release.id))
            self.engines[server].all["shop-production"] = (
                container(f"{server}-1", health="healthy", started=NOW - 100),
            )
        return await self.store.write(work)

    async def show(self) -> Card:
        return await self.board.board([(self.app, self.production)])

    async def tell(self) -> Card:
        return await self.board.detail(self.app, [self.production])


@pytest.fixture
async def store() -> AsyncIterator[Database]:
    async with memory_store() as store:
        yield store


@pytest.fixture
def bot(store: Database, tmp_path: Path) -> StatusBot:
    return StatusBot(store, tmp_path)
