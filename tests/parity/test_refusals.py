"""Every refusal says all that it has to say to whoever asked, on every platform, and nothing was done."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from deploybot.card import Card
from deploybot.errors import (
    Cancelled,
    Denied,
    EngineError,
    Locked,
    StepFailed,
    StepUnknown,
    StoreError,
    Unhealthy,
    Unreachable,
    UserError,
)
from tests.kit.command_bot import STRANGER, CommandBot
from tests.parity.effects import direct, effects
from tests.parity.ways import Way

DEPLOY = "deploy shop@v1.4 to staging"
TAIL = ("Traceback <most recent>:", "  File 'app.py', line 3", "KeyError: *PRICE* & `more`")
_MARK = re.compile(r"id [0-9a-f]{4}")


@dataclass(frozen=True)
class Case:
    """Who says what, and what is wrong."""

    line: str
    who: str = "ana"
    before: Callable[[CommandBot], None] = lambda _: None
    first: str = ""


def failing(error: Exception) -> Callable[[CommandBot], None]:
    def arrange(bot: CommandBot) -> None:
        bot.deployments.fails = error

    return arrange


def full(bot: CommandBot) -> None:
    bot.store.full = "The disk of the bot is full: 0 bytes are left in /var/lib/deploybot."


CASES = {
    "no such command": Case("dploy shop"),
    "no such app": Case("deploy shpo"),
    "no such ref": Case("deploy shop@v9.9 to staging"),
    "no such environment": Case("deploy shop to moon"),
    "usage": Case("deploy"),
    "too much": Case("status shop staging now and then"),
    "which environment": Case("deploy wiki"),
    "a lock without a reason": Case("lock shop staging"),
    "a viewer deploys": Case("deploy shop@v1.4 to staging", "cem"),
    "a deployer of another app": Case("deploy blog", "ben"),
    "a person without a role": Case("status", "eve"),
    "a stranger": Case("deploy shop", STRANGER),
    "nobody becomes an administrator": Case("allow @cem admin", "ben"),
    "locked": Case(DEPLOY, "ben", first="lock shop staging for 2h because the <database> is *moving*"),
    "no such deployment": Case("cancel #77"),
    "user error": Case(DEPLOY, before=failing(UserError("That cannot be <done>.", hint="Do *this* instead."))),
    "denied": Case(DEPLOY, before=failing(Denied(("It is not allowed", "because of that"), who_may="ana, ben"))),
    "locked by a deployment": Case(DEPLOY, before=failing(Locked("shop/staging is held by #41 of ben since 09:12."))),
    "unreachable": Case(DEPLOY, before=failing(Unreachable("web1", "no answer within 10 s", hint="Is it on?"))),
    "step failed": Case(DEPLOY, before=failing(StepFailed("web1", "build", 2, TAIL))),
    "step unknown": Case(DEPLOY, before=failing(StepUnknown("web1", "build", "the server was started anew"))),
    "unhealthy": Case(DEPLOY, before=failing(Unhealthy("web1", "GET /healthz said 500", TAIL))),
    "engine": Case(DEPLOY, before=failing(EngineError("the Engine said: no <space> left"))),
    "cancelled": Case(DEPLOY, before=failing(Cancelled("ben"))),
    "store": Case(DEPLOY, before=failing(StoreError("The database is damaged: run `sqlite3 … .recover`."))),
    "a fault of ours": Case(DEPLOY, before=failing(RuntimeError("xoxb-secret"))),
    "a full disk": Case(DEPLOY, before=full),
}


@pytest.mark.filterwarnings("default")
async def test_every_refusal_is_reported_in_full_and_does_nothing(way: Way, plain_world: CommandBot) -> None:
    for name, case in CASES.items():
        for bot in (plain_world, way.bot):
            bot.deployments.fails, bot.store.full = None, ""
        if case.first:
            await direct(plain_world, case.first)
            await way.say("ana", case.first)
        for bot in (plain_world, way.bot):
            case.before(bot)
        told = await direct(plain_world, case.line, case.who)
        message = await way.say(case.who, case.line)
        if case.who not in {"eve", STRANGER}:
            assert [*map(without_mark, message.cards)] == [*map(without_mark, told)], name
        assert not message.cards[-1].ok, name
        assert "xoxb" not in message.sight.text, name
        for bot in (plain_world, way.bot):
            bot.deployments.fails, bot.store.full = None, ""
        assert await effects(way.bot) == await effects(plain_world), name
    assert way.bot.deployments.requests == []


def without_mark(card: Card) -> Card:
    """A card without the mark of a fault, which is made up anew each time."""
    return replace(card, title=_MARK.sub("id", card.title))


async def test_what_is_wrong_with_a_command_is_reported_to_its_sender_where_the_platform_can(way: Way) -> None:
    message = await way.say("ana", "deploy shpo")
    others = await way.seen("ben", message.where)
    assert ("shpo" in others) == (way.name == "telegram group"), "docs/chats.md says that Telegram's groups see it"
