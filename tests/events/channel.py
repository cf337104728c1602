"""A channel that is told of events: the real rows, a clock that stands still, and its messages."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from deploybot.card import Card
from deploybot.domain import (
    Author,
    Build,
    BuildState,
    Channel,
    Event,
    Identity,
    Kind,
    Plan,
    Push,
    PushedCommit,
    Release,
    Role,
    Running,
    ServerPlan,
    State,
)
from deploybot.masking import Redactor
from deploybot.notifications.notifier import Notifier
from deploybot.ports import Tables
from deploybot.settings import Settings
from deploybot.store.database import Database
from deploybot.testing import FakeClock, memory_store
from tests.kit.settings import bot_settings

HOME = Channel("slack", "C0HOME")
TELEGRAM = Channel("telegram", "-100")
SECRET = "hunter2-hunter2"
NOON = 1_800_014_400.0
"""15 January 2027, 12:00 UTC, a Friday."""
PASSED, FAILED, RUNNING, QUEUED = BuildState.PASSED, BuildState.FAILED, BuildState.RUNNING, BuildState.QUEUED
ANA = Author("Ana Ruiz", Identity("github", "583231"))
DIGEST = f"sha256:{'ab' * 32}"
IMAGE = "registry.example.com/acme/shop"


def sha(number: int) -> str:
    return f"{number:040x}"


def settings(**shop: object) -> Settings:
    """The shop, with staging and a production that comes after it and wants an approval; `shop` adds keys to it."""
    app: dict[str, object] = {
        "strategy": "compose",
        "environments": {
            "staging": {"servers": ["web1"], "directory": "/srv/shop-staging", "default": True},
            "production": {"approvals": 1, "after": "staging"},
        },
    }
    return bot_settings(
        servers=("web1", "web2"),
        apps={"shop": app | shop},
        http={},
        slack={"bot_token": {"env": "BOT_TOKEN"}, "app_token": {"env": "APP_TOKEN"}},
        telegram={"token": {"env": "TELEGRAM_TOKEN"}},
    )


def push(number: int = 2, *, branch: str = "develop", total: int = 1, **more: object) -> Push:
    """The push that brings commit `number` after the one before it, at its minute past noon."""
    told = PushedCommit(
        sha(number), "Ana Ruiz", f"Change number {number}\n\nAnd why.", f"https://git.example.com/c/{number}"
    )
    given: Mapping[str, Any] = {
        "sender": "github", "repository": "acme/shop", "by": ANA, "at": NOON + 60 * number, "before": sha(number - 1),
        "after": sha(number), "commits": (told,), "total": total,
        "compare": f"https://git.example.com/compare/{number - 1}...{number}",
    } | more  # fmt: skip
    return Push(branch=branch, **given)


def build(state: BuildState, number: int = 2, *, name: str = "tests", branch: str = "develop", **more: object) -> Build:
    """A state of the build of a workflow for commit `number`; it begins half a minute after the push and takes two."""
    begun = NOON + 60 * number + 30
    given: Mapping[str, Any] = {
        "sender": "github", "repository": "acme/shop", "number": number, "commit": sha(number),
        "at": begun + {BuildState.QUEUED: 0, BuildState.RUNNING: 1}.get(state, 120),
        "started": begun, "finished": begun + 120 if state.ended else 0.0, "url": f"https://git.example.com/runs/{number}",
    } | more  # fmt: skip
    return Build(key=f"{name}-{number}", name=name, state=state, branch=branch, **given)


@dataclass(slots=True)
class EventChannel:
    """What hears events, and the messages that come of them."""

    store: Database
    clock: FakeClock
    telling: Notifier
    settings: Settings
    deliveries: itertools.count[int] = field(default_factory=itertools.count)

    async def hear(self, *events: Event, delivery: str = "") -> str:
        """Hear them all, each as a delivery of its own; what was made of the last."""
        said = ""
        for event in events:
            said = await self.telling.handle_event(
                self.settings.apps["shop"], event, delivery or f"d{next(self.deliveries)}"
            )
        return said

    async def messages(self, channel: Channel = HOME) -> list[Card]:
        """The messages in a channel, each as it reads last, in the order in which they were begun."""
        items = await self.store.read(lambda tables: tables.outbox.due(1e12, 10_000))
        return [item.card for item in items if item.channel == channel]

    async def message(self, channel: Channel = HOME) -> Card:
        """The only one."""
        (card,) = await self.messages(channel)
        return card

    async def runs(self, environment: str, commit: str, *, healthy: bool = True, replaces: str = "") -> None:
        """Have the bot deploy a commit to all servers of an environment."""
        before = Release.of_commit(replaces) if replaces else None
        await self.runs_release(environment, Release.of_commit(commit), healthy=healthy, replaces=before)

    async def runs_release(
        self, environment: str, release: Release, *, healthy: bool = True, replaces: Release | None = None
    ) -> None:
        """Have the bot deploy a release to all servers of an environment."""

        def work(tables: Tables) -> None:
            person = tables.people.named("ana")
            assert person is not None
            before = ServerPlan(server="web1", steps=(), replaces=replaces) if replaces else None
            plan = Plan(
                kind=Kind.DEPLOY,
                app="shop",
                environment=environment,
                release=release,
                servers=(before,) if before else (),
            )
            made = tables.deployments.add(plan, requester=person, reason="", channel=None, now=self.clock.now())
            for server in self.settings.apps["shop"].environments[environment].servers:
                row = Running("shop", environment, server, release, made.number, self.clock.now(), healthy)
                tables.running.put(row)
            for state in (State.RUNNING, State.SUCCEEDED):
                self.telling.deployed(tables, tables.deployments.move(made.number, state, now=self.clock.now()))

        await self.store.write(work)


@asynccontextmanager
async def open_channel(
    made: Settings | None = None, *, homes: tuple[Channel, ...] = (HOME,)
) -> AsyncIterator[EventChannel]:
    """A channel at noon, in a house where the sender's Ana is ana."""
    made = made or settings()
    async with memory_store(Redactor((SECRET,))) as store:

        def hire(tables: Tables) -> None:
            person = tables.people.add("ana", ANA.identity)
            tables.people.grant(person.id, Role.ADMIN)

        await store.write(hire)
        clock = FakeClock(NOON)
        yield EventChannel(store, clock, Notifier(made, store, clock, Redactor((SECRET,)), homes), made)


def labels(card: Card) -> dict[str, str]:
    """The buttons: labels and commands."""
    return {button.label: button.command for button in card.buttons}


def says(card: Card) -> str:
    """All text of a card, but for buttons."""
    lines = [f"{line.name}  {line.text}" for line in card.lines]
    return "\n".join([card.title, card.text, *lines, *(link.text for link in card.links), card.footer, card.hint])
